package records

import (
	"context"
	"maps"
	"odometer/internal/access"
	"odometer/internal/billing"
	"slices"

	"odometer/internal/meter"
	"odometer/internal/rating"
)

// The limits of one partner's metering configuration.
const (
	maxMappedKeys      = 1000 // source keys of one mapping
	maxDestinations    = 100  // destinations of one source key
	maxMappingKeyBytes = 256  // of a source key or a destination
)

// MeteringConfigs returns the organization's configurations by partner.
func (s *Service) MeteringConfigs(ctx context.Context, p access.Principal) ([]billing.MeteringConfig, error) {
	if err := p.May(access.ActionReport); err != nil {
		return nil, err
	}
	return s.accounts.MeteringConfigs(ctx, p.Organization)
}

// UpdateMeteringConfigs replaces the configurations of the partners that are
// named, whole, and returns all. Groups that were accepted keep the mapping they had.
func (s *Service) UpdateMeteringConfigs(ctx context.Context, p access.Principal, configs []billing.MeteringConfig) ([]billing.MeteringConfig, error) {
	if err := p.MayReportAll(); err != nil {
		return nil, err
	}
	for _, c := range configs {
		if err := checkConfig(c); err != nil {
			return nil, meter.Errorf(meter.KindInvalid, "partner %s: %s", meter.Clip(c.Partner), meter.MessageOf(err))
		}
	}
	return s.accounts.PutMeteringConfigs(ctx, p.Organization, configs, p.Actor())
}

func checkConfig(c billing.MeteringConfig) error {
	if len(c.Mapping) > maxMappedKeys || len(c.MappingV2) > maxMappedKeys {
		return meter.Errorf(meter.KindInvalid, "a mapping has more than %d keys", maxMappedKeys)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Mapping)) {
		if err := checkMapping(key, c.Mapping[key]); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.MappingV2)) {
		if len(c.MappingV2[key]) > maxDestinations {
			return meter.Errorf(meter.KindInvalid, "key %q has more than %d destinations", meter.Clip(key), maxDestinations)
		}
		if err := checkMapping(key, c.MappingV2[key]...); err != nil {
			return err
		}
	}
	return nil
}

func checkMapping(key string, values ...billing.MappingValue) error {
	for _, v := range values {
		if key == "" || len(key) > maxMappingKeyBytes || len(v.Dimension) > maxMappingKeyBytes {
			return meter.Errorf(meter.KindInvalid, "key %q: a key and a dimensionKey have 1 to %d bytes", meter.Clip(key), maxMappingKeyBytes)
		}
		if v.Multiplier != "" {
			if q, err := meter.ParseQuantity(v.Multiplier); err != nil || q.Sign() <= 0 {
				return meter.Errorf(meter.KindInvalid, "key %q: convertionMultiplier %s is not above 0, or out of range", meter.Clip(key), meter.Clip(v.Multiplier))
			}
		}
		if err := destinationOf(v).Check(); err != nil {
			return meter.Errorf(meter.KindInvalid, "key %q: %s", meter.Clip(key), meter.MessageOf(err))
		}
	}
	return nil
}

// mappingOf is a configuration's mapping as it is computed with.
func mappingOf(c billing.MeteringConfig) rating.Mapping {
	m := rating.Mapping{Enabled: c.EnableMapping, V1: map[string]rating.Destination{}, V2: map[string][]rating.Destination{}}
	for key, v := range c.Mapping {
		m.V1[key] = destinationOf(v)
	}
	for key, values := range c.MappingV2 {
		for _, v := range values {
			m.V2[key] = append(m.V2[key], destinationOf(v))
		}
	}
	return m
}

func destinationOf(v billing.MappingValue) rating.Destination {
	d := rating.Destination{Dimension: v.Dimension, Mode: rating.Mode(v.Mode)}
	if v.Multiplier != "" {
		d.Multiplier, _ = meter.ParseDecimal(v.Multiplier) // checked when it was stored
	}
	return d
}
