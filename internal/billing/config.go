package billing

// MeteringConfig says how usage that is reported against the entitlements of
// one partner is mapped and billed. The values are the writer's to check.
type MeteringConfig struct {
	Partner           string                    `json:"partner"`
	EnableMapping     bool                      `json:"enable_mapping,omitempty"`     // false: keys pass through
	Mapping           map[string]MappingValue   `json:"mapping,omitempty"`            // one destination per source; read where MappingV2 has none
	MappingV2         map[string][]MappingValue `json:"mapping_v2,omitempty"`         // several destinations per source
	CommitFirst       bool                      `json:"commit_first,omitempty"`       // usage is reported only once the commit is used up
	OverageAtList     bool                      `json:"overage_at_list,omitempty"`    // and then at the list price
	BillableDimension bool                      `json:"billable_dimension,omitempty"` // billable metrics are reported to the partner
}

// MappingValue is one destination of a source key.
type MappingValue struct {
	Dimension  string `json:"dimension"`
	Mode       string `json:"mode,omitempty"`       // QUANTITY, AMOUNT; "" = QUANTITY
	Multiplier string `json:"multiplier,omitempty"` // decimal above 0; "" = 1
}
