package wire

import (
	"maps"
	"slices"

	"odometer/internal/meter"
)

// configPartners are the partners that both clients know, or that the Python
// client of 2026 knows: ANTHROPIC, OAUTH2 and OPENAI.
var configPartners = []string{"ADYEN", "ALIBABA", "ANTHROPIC", "AWS", "AWS_CHINA", "AZURE", "DATABRICKS", "GCP", "GOOGLE", "HUBSPOT", "INTUIT", "LAGO",
	"MARKETO", "METRONOME", "MICROSOFT", "OAUTH2", "OPENAI", "ORACLE", "ORB", "REDHAT", "SALESFORCE", "SLACK", "SNOWFLAKE", "STRIPE", "ZOHO"}

// The modes of a mapping; "" is modeQuantity.
const (
	modeQuantity = "QUANTITY"
	modeAmount   = "AMOUNT"
)

// PartnerConfig is one element of partnerUsageMeteringConfigs.
type PartnerConfig struct {
	Partner           string               `json:"partner"`
	EnableMapping     bool                 `json:"enableDimensionMapping"`
	Mapping           map[string]Mapping   `json:"dimensionMapping,omitempty"`
	MappingV2         map[string][]Mapping `json:"dimensionMappingV2,omitempty"` // never null, nor a list in it
	CommitFirst       bool                 `json:"enableCommitWithAdditionalUsageMetering"`
	OverageAtList     bool                 `json:"enableCommitWithAdditionalUsageAtListPrice"`
	BillableDimension bool                 `json:"enableBillableDimension"`
}

// Mapping is one destination of a source key. Its third field is misspelt on
// the wire.
type Mapping struct {
	Dimension  string  `json:"dimensionKey"`
	Mode       string  `json:"mappingMode,omitempty"`
	Multiplier *Number `json:"convertionMultiplier,omitempty"`
}

// check judges a destination and drops a multiplier that has no meaning.
func (m *Mapping) check() error {
	switch m.Mode {
	case modeAmount:
		m.Multiplier = nil
		return nil
	case "", modeQuantity:
	default:
		return meter.Errorf(meter.KindInvalid, "mappingMode %q: want QUANTITY or AMOUNT", clip(m.Mode))
	}
	if m.Multiplier != nil && meter.Decimal(*m.Multiplier).Sign() <= 0 {
		return meter.Errorf(meter.KindInvalid, "convertionMultiplier %s is not above 0", meter.Decimal(*m.Multiplier))
	}
	return nil
}

type configInfo struct {
	Partners []PartnerConfig `json:"partnerUsageMeteringConfigs"`
}

// ParseConfig reads the body of updateUsageMeteringConfigInfo. No partner at
// all changes nothing.
func ParseConfig(body []byte) ([]PartnerConfig, error) {
	var info *configInfo
	if err := decode(body, &info); err != nil {
		return nil, err
	}
	if info == nil {
		return nil, meter.Errorf(meter.KindInvalid, "the body: want an object")
	}
	for i := range info.Partners {
		c := &info.Partners[i]
		if !slices.Contains(configPartners, c.Partner) {
			return nil, meter.Errorf(meter.KindInvalid, "partnerUsageMeteringConfigs %d: partner %q is missing or not one that the vendor's clients know", i, clip(c.Partner))
		}
		if slices.ContainsFunc(info.Partners[:i], func(o PartnerConfig) bool { return o.Partner == c.Partner }) {
			return nil, meter.Errorf(meter.KindInvalid, "partner %s is given twice", c.Partner)
		}
		if err := c.check(); err != nil {
			return nil, meter.Errorf(meter.KindInvalid, "partner %s: %s", c.Partner, err)
		}
	}
	return info.Partners, nil
}

func (c *PartnerConfig) check() error {
	for _, key := range slices.Sorted(maps.Keys(c.Mapping)) {
		m := c.Mapping[key]
		if err := m.check(); err != nil {
			return meter.Errorf(meter.KindInvalid, "dimensionMapping %q: %s", clip(key), err)
		}
		c.Mapping[key] = m
	}
	for _, key := range slices.Sorted(maps.Keys(c.MappingV2)) {
		if len(c.MappingV2[key]) == 0 {
			delete(c.MappingV2, key)
		}
		for i := range c.MappingV2[key] {
			if err := c.MappingV2[key][i].check(); err != nil {
				return meter.Errorf(meter.KindInvalid, "dimensionMappingV2 %q: %s", clip(key), err)
			}
		}
	}
	return nil
}

// EncodeConfig renders UsageMeteringConfigInfo.
func EncodeConfig(partners []PartnerConfig) ([]byte, error) {
	if partners == nil {
		partners = []PartnerConfig{}
	}
	return encode(configInfo{partners})
}
