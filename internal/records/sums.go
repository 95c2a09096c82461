package records

import (
	"cmp"
	"context"
	"maps"
	"odometer/internal/billing"
	"slices"
	"time"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// DimensionSum is a quantity of one dimension in one period.
type DimensionSum struct {
	Period    time.Time // its start, UTC
	Dimension string
	Quantity  meter.Decimal
}

// maxSums bounds the sums of one answer.
const maxSums = 100_000

// dimensionSums adds up quantities by period and dimension.
type dimensionSums struct {
	period func(time.Time) time.Time
	all    map[sumKey]meter.Decimal
}

type sumKey struct {
	period    time.Time
	dimension string
}

func (s *dimensionSums) add(at time.Time, dimension string, q meter.Decimal) {
	k := sumKey{s.period(at.UTC()), dimension}
	s.all[k] = s.all[k].Add(q)
}

func (s *dimensionSums) list() ([]DimensionSum, error) {
	if len(s.all) > maxSums {
		return nil, meter.Errorf(meter.KindTooLarge, "the answer would have %d sums, more than %d: choose fewer days", len(s.all), maxSums)
	}
	out := []DimensionSum{}
	for _, k := range slices.SortedFunc(maps.Keys(s.all), func(a, b sumKey) int {
		return cmp.Or(a.period.Compare(b.period), cmp.Compare(a.dimension, b.dimension))
	}) {
		out = append(out, DimensionSum{k.period, k.dimension, s.all[k]})
	}
	return out, nil
}

// SumRecordGroups adds up what groups that the filter chooses have of each
// dimension, after mapping, by the period in which they were created. Groups
// that are deleted or cannot be billed are left out.
func (s *Service) SumRecordGroups(ctx context.Context, p access.Principal, f billing.RecordGroupFilter, period func(time.Time) time.Time) ([]DimensionSum, error) {
	all := dimensionSums{period, map[sumKey]meter.Decimal{}}
	f.Match = func(g *billing.RecordGroup) bool {
		if g.Status != billing.GroupDeleted && g.Status != billing.GroupInvalid {
			for dimension, q := range g.Records {
				all.add(g.Created, dimension, q)
			}
		}
		return false // nothing of it is listed
	}
	if _, err := s.RecordGroups(ctx, p, f, 0, 1); err != nil {
		return nil, err
	}
	return all.list()
}

// SumUsageReports adds up what was sent of each dimension in the reports that
// the filter chooses, by the period in which they were created; what a
// marketplace refused, or goes to another hour, is left out.
func (s *Service) SumUsageReports(ctx context.Context, p access.Principal, f billing.ReportFilter, period func(time.Time) time.Time) ([]DimensionSum, error) {
	all := dimensionSums{period, map[sumKey]meter.Decimal{}}
	const chunk = 1000
	for offset := 0; ; offset += chunk {
		if offset >= reportScan {
			return nil, meter.Errorf(meter.KindTooLarge, "more than %d reports would be looked at: choose fewer days", reportScan)
		}
		page, err := s.UsageReports(ctx, p, f, offset, chunk)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			for _, portion := range page.Items[i].Portions {
				if portion.State != billing.LineRefused && portion.State != billing.LineMoved {
					all.add(page.Items[i].Created, portion.Dimension, portion.Sent)
				}
			}
		}
		if !page.More {
			return all.list()
		}
	}
}
