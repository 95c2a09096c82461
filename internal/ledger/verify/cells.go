package verify

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

const dayNanos = int64(24 * time.Hour)

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

// cells is what the log has for the cells: all in one table, or in files that
// hold a part of the groups each.
type cells struct {
	v       *verifier
	meters  []*storedMeter
	table   *table
	adder   *adder
	counted *partitions // nil while all fits the table
	plan    plan
	merging int64 // bytes that a file may have when it is merged
}

// Shares of the memory: of the table while the log is read, of each worker's
// table when parts are compared, and of the buffers of files. What is left is
// for identities, for blocks and for garbage.
func tableShare(memory int64) int64  { return memory * 3 / 8 }
func workerShare(memory int64) int64 { return memory / 4 }
func bufferShare(memory int64) int64 { return memory / 16 }

// workers compare at the same time.
const workers = 2

const (
	fewestParts, mostParts = 16, 256
	splitWays, splitBits   = 16, 4
	splitLast              = 8 + 3*splitBits // a file is not split any more from this bit of the hashes on
	leastBuffer            = 8 << 10
	mostBuffer             = 256 << 10
)

// projectionOf is one projection of one meter.
type projectionOf struct {
	meter int32
	cell.Projection
}

func projections(meters []*storedMeter) (out []projectionOf) {
	for m := range meters {
		for _, p := range meters[m].Projections() {
			out = append(out, projectionOf{int32(m), p})
		}
	}
	return out
}

// plan is what is known of the cells before the log is read.
type plan struct {
	cells  uint64 // stored
	memory int64  // that they take in a table
	disk   int64  // that they take in files, about
}

// What a stored cell takes in files beside its number and texts, and a day of a group.
const (
	diskCell  = 24
	diskGroup = 64
	diskText  = 32
)

// planCells counts the stored cells. It is only a plan: what the log has may be more.
func (v *verifier) planCells(ctx context.Context, meters []*storedMeter) (plan, error) {
	all := projections(meters)
	plans := make([]plan, len(all))
	err := each(len(all), func(_, i int) error {
		m, p := meters[all[i].meter], &plans[i]
		s := cell.Scope{Layout: m.Layout(), Projection: all[i].Projection, From: math.MinInt32, To: math.MaxInt32}
		var day int64
		var last []uint64
		err := s.Chunks(v.view.State, func(group []uint64, slot int32, st *cell.State) error {
			texts := int64(0)
			if st.Set != nil {
				texts = int64(st.Set.Len())
			}
			if at := floor(int64(slot)*int64(m.Width), dayNanos); p.cells == 0 || at != day || !slices.Equal(group, last) {
				day, last = at, append(last[:0], group...)
				p.disk += diskGroup + diskText*int64(len(group))
				p.memory += seriesBytes // once a day is too much, and texts are not counted
			}
			p.cells++
			p.memory += cellBytes + texts*valueBytes
			p.disk += diskCell + texts*diskText
			if st.Kind == cell.Last {
				p.memory += latestBytes
				p.disk += 2 * diskText
			}
			if p.cells%4096 == 0 {
				return ctx.Err()
			}
			return nil
		})
		if meter.KindOf(err) == meter.KindCorrupt { // damage is found when it is compared
			return nil
		}
		return err
	})
	var sum plan
	for _, p := range plans {
		sum.cells, sum.memory, sum.disk = sum.cells+p.cells, sum.memory+p.memory, sum.disk+p.disk
	}
	return sum, err
}

// spills says whether the plan needs files, and how large they become at most:
// merged, they are at most twice their cells, with one more that is written anew.
func (p *plan) spills(memory int64) int64 {
	if p.memory <= tableShare(memory) {
		return 0
	}
	return 4 * p.disk
}

// newCells prepares to count.
func (v *verifier) newCells(meters []*storedMeter, p plan) *cells {
	c := &cells{v: v, meters: meters, table: newTable(meters), plan: p, merging: workerShare(v.o.MemoryBytes)}
	c.adder = newAdder(c.table, tableShare(v.o.MemoryBytes), v.reader(), v.stage(stageCells), c.empty)
	return c
}

func (c *cells) newPartitions(name string) *partitions {
	memory := c.v.o.MemoryBytes
	n := int(min(mostParts, max(fewestParts, 2*c.plan.memory/workerShare(memory)+1)))
	p := newPartitions(c.v.spill, name, 0, n, int(min(mostBuffer, max(leastBuffer, bufferShare(memory)/int64(n)))))
	p.least = max(c.plan.disk/int64(n), int64(p.most))
	return p
}

// empty writes the table to files.
func (c *cells) empty() error {
	if c.counted == nil {
		c.counted = c.newPartitions("counted")
	}
	if err := c.v.spill.check(c.table.held); err != nil {
		return err
	}
	err := c.counted.write(c.table)
	c.table.reset()
	if err == nil {
		err = c.counted.flush()
	}
	if err == nil {
		err = c.counted.merge(c.table, c.merging)
	}
	return err
}

// settle leaves memory to others: nothing stays in a table that is not complete.
func (c *cells) settle() error {
	c.v.report.Peak = max(c.v.report.Peak, c.table.peak)
	if c.counted == nil {
		return nil
	}
	err := c.empty()
	c.table, c.adder = nil, nil
	return err
}

// compare holds the stored cells against the counted ones.
func (c *cells) compare(ctx context.Context) error {
	if c.counted != nil {
		return c.compareParts(ctx)
	}
	all := projections(c.meters)
	ks := make([]*comparison, len(all))
	err := each(len(all), func(_, i int) error {
		ks[i] = c.comparison(c.table)
		err := ks[i].projection(ctx, all[i].meter, all[i].Projection)
		c.v.part(passCells, len(all))
		return err
	})
	c.take(ks)
	if err == nil {
		c.table.missing(c.v.stage(stageCells))
	}
	return err
}

func (c *cells) comparison(t *table) *comparison {
	return &comparison{meters: c.meters, db: c.v.view.State, stored: c.v.reader(), table: t}
}

// take takes over what comparisons found.
func (c *cells) take(ks []*comparison) {
	for _, k := range ks {
		if k != nil {
			c.v.report.Cells += k.cells
			c.v.stage(stageCells).take(&k.found)
		}
	}
}

// compareParts distributes the stored cells as the counted ones are, and
// compares part by part.
func (c *cells) compareParts(ctx context.Context) error {
	stored := c.newPartitions("stored")
	reading := c.comparison(nil)
	for _, p := range projections(c.meters) {
		if err := stored.spillStored(ctx, reading, p.meter, p.Projection); err != nil {
			return err
		}
	}
	if err := stored.flush(); err != nil {
		return err
	}
	c.take([]*comparison{reading})
	ks := make([]*comparison, len(stored.parts))
	tables := [workers]*table{newTable(c.meters), newTable(c.meters)}
	err := each(len(ks), func(worker, i int) error {
		ks[i] = c.comparison(tables[worker])
		err := c.comparePart(ctx, ks[i], c.counted.parts[i], stored.parts[i], 8)
		c.v.part(passCells, len(ks))
		return err
	})
	c.take(ks)
	c.v.report.Peak = max(c.v.report.Peak, tables[0].peak+tables[1].peak)
	return err
}

// comparePart compares one part, or splits it if it does not fit the memory.
func (c *cells) comparePart(ctx context.Context, k *comparison, counted, stored *part, shift int) error {
	k.table.reset()
	bound := workerShare(c.v.o.MemoryBytes)
	if shift >= splitLast {
		bound = math.MaxInt64 // a group alone, or nearly: it takes what it takes
	}
	fits, err := k.table.load(counted, bound)
	if err != nil {
		return err
	}
	if fits {
		if err := k.records(ctx, stored); err != nil {
			return err
		}
		k.table.missing(&k.found)
		if err := counted.remove(); err != nil {
			return err
		}
		return stored.remove()
	}
	k.table.reset()
	most := c.counted.most
	counts, err := counted.split(len(c.meters), shift, splitWays, most)
	if err != nil {
		return err
	}
	stores, err := stored.split(len(c.meters), shift, splitWays, most)
	if err != nil {
		return err
	}
	for i := range counts.parts {
		if err := c.comparePart(ctx, k, counts.parts[i], stores.parts[i], shift+splitBits); err != nil {
			return err
		}
	}
	return nil
}

// each calls fn for 0 to n-1, by so many workers at once, until one fails.
func each(n int, fn func(worker, i int) error) error {
	var all sync.WaitGroup
	var next atomic.Int64
	var failed atomic.Bool
	var errs [workers]error
	for worker := range workers {
		all.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := fn(worker, i); err != nil {
					errs[worker] = err
					failed.Store(true)
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
