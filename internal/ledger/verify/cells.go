package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// storedMeter is a meter with where its cells are.
type storedMeter struct {
	state.Cells
	Record state.MeterRecord
}

// meters returns the meters as the snapshot has them: those whose backfill was
// complete in it.
func (v *verifier) meters() []*storedMeter {
	var out []*storedMeter
	for _, o := range v.tallies.orgs {
		if o.Record.Stopped != nil {
			v.report.Skipped = append(v.report.Skipped, fmt.Sprintf("organization %s is stopped: %s", o.Name, o.Record.Stopped.Reason))
			continue
		}
		for _, r := range o.Meters {
			if !r.Backfilled() {
				v.report.Skipped = append(v.report.Skipped, fmt.Sprintf("meter %s of %s is being backfilled", r.Meter.Key, o.Name))
				continue
			}
			out = append(out, &storedMeter{r.Cells(o.Name), r})
		}
	}
	slices.SortFunc(out, func(a, b *storedMeter) int { return cmp.Compare(a.Record.Version, b.Record.Version) })
	return out
}

// portion is a part of the cells that one reading of the log adds up: those of
// times in [from, to), unix ns, whose group's hash leaves part when divided by parts.
type portion struct {
	from, to    int64
	part, parts uint64
}

func (p portion) holds(m int, projection uint8, group string) bool {
	return p.parts == 1 || (xxhash.Sum64String(group)^uint64(m)<<8^uint64(projection))%p.parts == p.part
}

// cells adds up every event and compares with the stored cells, in as many
// readings of the log as the memory asks for.
func (v *verifier) cells(ctx context.Context) error {
	meters := v.meters()
	if len(meters) == 0 {
		return nil
	}
	work, err := v.plan(ctx, meters)
	if err != nil {
		return err
	}
	v.round, v.rounds = 0, len(work)
	for len(work) > 0 {
		v.round++
		pass := &cellPass{v: v, meters: meters, portion: work[0], bound: v.o.MemoryBytes, cells: map[naiveKey]*naiveCell{}, groups: map[string]uint32{}}
		if err := v.blocks(ctx, passCells, pass.block); err != nil {
			return err
		}
		if err := pass.compare(); err != nil {
			return err
		}
		work = append(pass.left, work[1:]...)
		v.rounds = v.round + len(work)
		v.report.Peak = max(v.report.Peak, pass.peak)
	}
	return nil
}

// plan counts the stored cells by day and lays out what is read when, so that
// each reading fits the memory. It is only a plan: a pass whose cells outgrow the
// memory leaves a part of them to a further one.
func (v *verifier) plan(ctx context.Context, meters []*storedMeter) ([]portion, error) {
	days := map[int64]int64{} // bytes, about
	for _, m := range meters {
		for _, projection := range m.Projections() {
			s := cell.Scope{Layout: m.Layout(), Projection: projection, From: math.MinInt32, To: math.MaxInt32}
			err := s.Chunks(v.view.State, func(_ []uint64, slot int32, st *cell.State) error {
				v.planned++
				size := int64(naiveCellBytes)
				if st.Set != nil {
					size += int64(st.Set.Len()) * naiveValueBytes
				}
				if st.Kind == cell.Last {
					size += naiveLastBytes
				}
				days[floor(int64(slot)*int64(m.Width), dayNanos)] += size
				if v.planned%4096 == 0 {
					return ctx.Err()
				}
				return nil
			})
			if err != nil && meter.KindOf(err) != meter.KindCorrupt { // damage is found when it is compared
				return nil, err
			}
		}
	}
	var work []portion
	open := portion{from: math.MinInt64, to: math.MaxInt64, parts: 1}
	most := v.o.MemoryBytes - v.o.MemoryBytes/4 // groups' texts, and what a plan does not know
	var size int64
	for _, day := range slices.Sorted(maps.Keys(days)) {
		if size > 0 && size+days[day] > most {
			open.to = day * dayNanos
			work = append(work, open.split(size, most)...)
			open.from, open.to, size = open.to, math.MaxInt64, 0
		}
		size += days[day]
	}
	return append(work, open.split(size, most)...), nil
}

// split cuts a portion of a size into such as fit.
func (p portion) split(size, most int64) []portion {
	p.parts = uint64(max(1, (size+most-1)/most))
	out := make([]portion, p.parts)
	for i := range out {
		out[i] = p
		out[i].part = uint64(i)
	}
	return out
}
