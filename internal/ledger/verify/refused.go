package verify

import (
	"cmp"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// refusedRequest is an atomic request that is stored as refused, for no reason
// that its own rows give.
type refusedRequest struct {
	seq         uint64
	first, rows uint32
	reason      bool // a row conflicts with an earlier event
}

// refusals are the refused requests in the order of the log.
type refusals struct{ list []refusedRequest }

// note takes over the refused requests of a block.
func (r *refusals) note(h *block.Header, rows *block.Rows, stored []meter.Verdict, found *problems) {
	for n := range rows.Requests {
		q := &rows.Requests[n]
		if !q.Atomic || q.Rows == 0 || stored[q.First] != meter.Rejected {
			continue
		}
		reason := q.Events > q.Rows
		checks := map[block.Hash]uint64{}
		for i := q.First; i < q.First+q.Rows; i++ {
			if stored[i] != meter.Rejected {
				found.add("event %d of block %d is stored as %s in a refused atomic request", i, h.Sequence, stored[i])
			}
			if c, ok := checks[rows.Hashes[i]]; ok && c != rows.Checks[i] {
				reason = true
			}
			checks[rows.Hashes[i]] = rows.Checks[i]
		}
		if !reason {
			r.list = append(r.list, refusedRequest{seq: h.Sequence, first: q.First, rows: q.Rows})
		}
	}
}

// conflict gives the request of a row its reason.
func (r *refusals) conflict(seq uint64, ord uint32) {
	at, found := slices.BinarySearchFunc(r.list, refusedRequest{seq: seq, first: ord}, func(a, b refusedRequest) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.first, b.first))
	})
	if !found {
		at--
	}
	if at >= 0 && r.list[at].seq == seq && ord-r.list[at].first < r.list[at].rows {
		r.list[at].reason = true
	}
}

// check makes sure that every refused atomic request had a reason.
func (r *refusals) check(found *problems) {
	for _, q := range r.list {
		if !q.reason {
			found.add("the atomic request at event %d of block %d is stored as refused without a reason", q.first, q.seq)
		}
	}
}
