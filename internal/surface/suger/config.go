package suger

import (
	"odometer/internal/billing"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/surface/suger/wire"
)

// config is operation getUsageMeteringConfigInfo.
func (a api) config(x *httpserver.Exchange) error {
	configs, err := a.Records.MeteringConfigs(x.Request.Context(), x.Principal)
	if err != nil {
		return err
	}
	return answerConfig(x, configs)
}

// updateConfig is operation updateUsageMeteringConfigInfo, which answers the
// whole configuration.
func (a api) updateConfig(x *httpserver.Exchange) error {
	text, err := body(x)
	if err != nil {
		return err
	}
	parsed, err := wire.ParseConfig(text)
	if err != nil {
		return err
	}
	var configs []billing.MeteringConfig
	for _, c := range parsed {
		config := billing.MeteringConfig{Partner: c.Partner, EnableMapping: c.EnableMapping, CommitFirst: c.CommitFirst,
			OverageAtList: c.OverageAtList, BillableDimension: c.BillableDimension}
		for key, m := range c.Mapping {
			if config.Mapping == nil {
				config.Mapping = map[string]billing.MappingValue{}
			}
			config.Mapping[key] = mappingIn(m)
		}
		for key, list := range c.MappingV2 {
			if config.MappingV2 == nil {
				config.MappingV2 = map[string][]billing.MappingValue{}
			}
			for _, m := range list {
				config.MappingV2[key] = append(config.MappingV2[key], mappingIn(m))
			}
		}
		configs = append(configs, config)
	}
	all, err := a.Records.UpdateMeteringConfigs(x.Request.Context(), x.Principal, configs)
	if err != nil {
		return err
	}
	return answerConfig(x, all)
}

func answerConfig(x *httpserver.Exchange, configs []billing.MeteringConfig) error {
	var out []wire.PartnerConfig
	for _, c := range configs {
		one := wire.PartnerConfig{Partner: c.Partner, EnableMapping: c.EnableMapping, CommitFirst: c.CommitFirst,
			OverageAtList: c.OverageAtList, BillableDimension: c.BillableDimension,
			Mapping: map[string]wire.Mapping{}, MappingV2: map[string][]wire.Mapping{}}
		for key, m := range c.Mapping {
			one.Mapping[key] = mappingOut(m)
		}
		for key, list := range c.MappingV2 {
			for _, m := range list {
				one.MappingV2[key] = append(one.MappingV2[key], mappingOut(m))
			}
		}
		out = append(out, one)
	}
	encoded, err := wire.EncodeConfig(out)
	return answer(x, encoded, err)
}

func mappingIn(m wire.Mapping) billing.MappingValue {
	v := billing.MappingValue{Dimension: m.Dimension, Mode: m.Mode}
	if m.Multiplier != nil {
		v.Multiplier = meter.Decimal(*m.Multiplier).String()
	}
	return v
}

func mappingOut(v billing.MappingValue) wire.Mapping {
	m := wire.Mapping{Dimension: v.Dimension, Mode: v.Mode}
	if d, err := meter.ParseDecimal(v.Multiplier); err == nil {
		n := wire.Number(d)
		m.Multiplier = &n
	}
	return m
}
