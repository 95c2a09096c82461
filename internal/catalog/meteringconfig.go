package catalog

import (
	"context"
	"database/sql"
	"encoding/json"

	"odometer/internal/meter"
)

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

// PutMeteringConfigs replaces the configs of the partners that are named, whole
// and in one step; the others stay. It returns all of them by partner. No
// partner at all, or one twice, is KindInvalid.
func (s *Store) PutMeteringConfigs(ctx context.Context, organization string, configs []MeteringConfig, actor string) ([]MeteringConfig, error) {
	if err := checkActor(actor); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range configs {
		if !validText(c.Partner, MaxNounIDBytes) || seen[c.Partner] {
			return nil, meter.Errorf(meter.KindInvalid, "partner %q is missing or given twice", clip(c.Partner))
		}
		seen[c.Partner] = true
	}
	var all []MeteringConfig
	err := s.write(ctx, "change the metering configuration", func(tx *sql.Tx) error {
		if _, err := getOrganization(ctx, tx, organization); err != nil {
			return err
		}
		had, err := list(ctx, tx, scanMeteringConfig, stmtRecords.MeteringConfigList, organization)
		if err != nil {
			return err
		}
		for _, c := range configs {
			text, err := json.Marshal(c)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, stmtRecords.MeteringConfigPut, organization, c.Partner, string(text)); err != nil {
				return err
			}
			told := change{organization: organization, actor: actor, action: AuditCreate, noun: "metering_config", id: c.Partner, after: c}
			for _, before := range had {
				if before.Partner == c.Partner {
					told.action, told.before = AuditUpdate, before
				}
			}
			if err := s.audit(ctx, tx, told); err != nil {
				return err
			}
		}
		all, err = list(ctx, tx, scanMeteringConfig, stmtRecords.MeteringConfigList, organization)
		return err
	})
	return all, err
}

// MeteringConfigs returns an organization's configs by partner.
func (s *Store) MeteringConfigs(ctx context.Context, organization string) ([]MeteringConfig, error) {
	all, err := list(ctx, s.reader, scanMeteringConfig, stmtRecords.MeteringConfigList, organization)
	if err != nil {
		return nil, s.fail(err, "cannot read the metering configuration")
	}
	return all, nil
}

func scanMeteringConfig(r row) (MeteringConfig, error) {
	var c MeteringConfig
	var text string
	if err := r.Scan(&text); err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(text), &c)
}
