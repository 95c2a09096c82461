package verify

import (
	"cmp"
	"context"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/idset"
	"odometer/internal/meter"
)

// sighting is one event's identity as the verdict pass sorts it.
type sighting struct {
	hash    block.Hash
	check   uint64
	seq     uint64
	ord     uint32
	stored  meter.Verdict
	refused bool // row of an atomic request whose stored verdict is rejected
	atomic  bool
}

const sightingBytes = 48

func (s *sighting) compare(o *sighting) int {
	if c := cmp.Compare(s.hash.Hi, o.hash.Hi); c != 0 {
		return c
	}
	if c := cmp.Compare(s.hash.Lo, o.hash.Lo); c != 0 {
		return c
	}
	if c := cmp.Compare(s.seq, o.seq); c != 0 {
		return c
	}
	return cmp.Compare(s.ord, o.ord)
}

// verdicts judges every event again, a partition of the identities at a time.
func (v *verifier) verdicts(ctx context.Context) error {
	// Half the memory for a partition, the rest for blocks.
	parts := uint64(int64(v.report.Events)*sightingBytes/(v.o.MemoryBytes/2) + 1)
	v.rounds = int(parts) + 1
	refused := &atomicCheck{conflicts: map[[2]uint64]bool{}}
	list := make([]sighting, 0, v.report.Events/parts+v.report.Events/parts/16+16) // growing it would take as much again
	for part := range parts {
		v.round = int(part) + 1
		list = list[:0]
		err := v.blocks(ctx, passVerdicts, func(h *block.Header, rows *block.Rows) error {
			stored, err := v.stored.verdicts(h.Sequence, rows.N)
			if err != nil {
				return err
			}
			for i := range rows.N {
				hash := rows.Hashes[i]
				if hash.Hi%parts != part {
					continue
				}
				req := rows.Request(i)
				s := sighting{hash: hash, check: rows.Checks[i], seq: h.Sequence, ord: uint32(i), stored: stored[i], atomic: req.Atomic}
				s.refused = stored[i] == meter.Rejected
				if s.refused && !req.Atomic {
					v.problem("event %d of block %d is stored as rejected but its request was not atomic", i, h.Sequence)
				}
				list = append(list, s)
			}
			return nil
		})
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b sighting) int { return a.compare(&b) })
		if err := v.judgeSorted(list, refused); err != nil {
			return err
		}
	}
	v.round++
	if err := v.checkRefused(ctx, refused); err != nil {
		return err
	}
	v.compareRecords()
	return nil
}

// atomicCheck remembers which refused atomic requests had a reason.
type atomicCheck struct {
	conflicts map[[2]uint64]bool // block, first row of the request: a conflict was found
}

// judgeSorted compares stored verdicts with those that follow from the order.
func (v *verifier) judgeSorted(list []sighting, refused *atomicCheck) error {
	firsts := make([]sighting, 0, compareBatch)
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j].hash == list[i].hash {
			j++
		}
		var first *sighting
		for k := i; k < j; k++ {
			s := &list[k]
			want := meter.Accepted
			if first != nil {
				want = meter.Conflict
				if s.check == first.check {
					want = meter.Duplicate
				}
			}
			if s.refused {
				if want == meter.Conflict {
					refused.conflicts[[2]uint64{s.seq, uint64(s.ord)}] = true
				}
				continue
			}
			if s.stored != want {
				v.problem("event %d of block %d is stored as %s, the log says %s", s.ord, s.seq, s.stored, want)
			}
			if first == nil {
				first = s
				firsts = append(firsts, *s)
				v.report.Identities++
			}
		}
		i = j
		if len(firsts) == compareBatch {
			if err := v.compareIndex(firsts); err != nil {
				return err
			}
			firsts = firsts[:0]
		}
	}
	return v.compareIndex(firsts)
}

// compareBatch is how many identities are looked up together.
const compareBatch = 4096

// compareIndex checks that the identity index knows each first sighting.
func (v *verifier) compareIndex(firsts []sighting) error {
	hashes := make([]block.Hash, len(firsts))
	for i := range firsts {
		hashes[i] = firsts[i].hash
	}
	found := make([]idset.Found, len(firsts))
	if err := v.view.Identities.Probe(hashes, found); err != nil {
		if meter.KindOf(err) != meter.KindCorrupt {
			return err
		}
		if !v.noIndex { // once
			v.problem("the identity index is damaged: %v", err)
		}
		v.noIndex = true
		return nil
	}
	for i, s := range firsts {
		f := found[i]
		if !f.OK || f.Entry.Seq != s.seq || f.Entry.Ord != s.ord || f.Entry.Check != s.check {
			v.problem("the identity of event %d of block %d is missing from the index or differs there", s.ord, s.seq)
		}
	}
	return nil
}

// checkRefused makes sure that every refused atomic request had a reason, and
// counts the blocks.
func (v *verifier) checkRefused(ctx context.Context, refused *atomicCheck) error {
	return v.blocks(ctx, passVerdicts, func(h *block.Header, rows *block.Rows) error {
		stored, err := v.stored.verdicts(h.Sequence, rows.N)
		if err != nil {
			return err
		}
		if err := v.tally(h, rows, stored); err != nil {
			return err
		}
		for r := range rows.Requests {
			q := &rows.Requests[r]
			if !q.Atomic || q.Rows == 0 || stored[q.First] != meter.Rejected {
				continue
			}
			reason := q.Events > q.Rows
			checks := map[block.Hash]uint64{}
			for i := q.First; i < q.First+q.Rows; i++ {
				if stored[i] != meter.Rejected {
					v.problem("event %d of block %d is stored as %s in a refused atomic request", i, h.Sequence, stored[i])
				}
				reason = reason || refused.conflicts[[2]uint64{h.Sequence, uint64(i)}]
				if c, ok := checks[rows.Hashes[i]]; ok && c != rows.Checks[i] {
					reason = true
				}
				checks[rows.Hashes[i]] = rows.Checks[i]
			}
			if !reason {
				v.problem("the atomic request at event %d of block %d is stored as refused without a reason", q.First, h.Sequence)
			}
		}
		return nil
	})
}
