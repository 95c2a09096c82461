package verify

import (
	"bytes"
	"maps"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/log"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// tally is what the log says of one organization, counted block by block.
type tally struct {
	state.OrgRecord
	partial bool // a damaged block could not be counted
}

// tallies are collected while the verdicts are checked.
type tallies struct {
	orgs  map[string]*state.Org // as the snapshot has them
	found map[string]*tally
}

func (v *verifier) newTallies() (*tallies, error) {
	orgs, err := state.ReadOrgs(v.view.State)
	return &tallies{orgs: orgs, found: map[string]*tally{}}, err
}

func (t *tallies) of(org string) *tally {
	if t.found[org] == nil {
		t.found[org] = &tally{}
	}
	return t.found[org]
}

// folded says whether the block's organization was still served at it.
func (t *tallies) folded(h *block.Header) bool {
	o := t.orgs[h.Org]
	return o == nil || o.Record.Stopped == nil || h.Sequence <= o.Record.Stopped.Sequence
}

// headerCopy compares the header that scans find with the log's.
func (v *verifier) headerCopy(h *block.Header) error {
	if !v.tallies.folded(h) {
		return nil
	}
	stored, err := v.stored.get(state.HeaderKey(h.Org, h.Sequence))
	if err != nil {
		return err
	}
	if !bytes.Equal(stored, h.Append(nil)) {
		v.stage(stageChain).add("the header of block %d of organization %s is missing from the state or differs there: scans would miss the block", h.Sequence, h.Org)
	}
	return nil
}

// tally counts one undamaged block.
func (v *verifier) tally(h *block.Header, rows *block.Rows, stored []meter.Verdict, voids map[uint32]state.VoidNote) {
	if !v.tallies.folded(h) {
		return
	}
	t := v.tallies.of(h.Org)
	t.Voided += uint64(len(voids))
	t.Reached.NoteHeader(h)
	for ord, n := range voids {
		t.Reached.Note(rows.Times[ord], rows.Times[ord], n.Sequence)
	}
	for i, verdict := range stored {
		switch verdict {
		case meter.Accepted:
			at := rows.Times[i]
			if t.Accepted == 0 {
				t.MinTime, t.MaxTime = at, at
			}
			t.MinTime, t.MaxTime = min(t.MinTime, at), max(t.MaxTime, at)
			t.Accepted++
		case meter.Duplicate:
			t.Duplicates++
		case meter.Conflict:
			t.Conflicts++
		default:
			t.Rejected++
		}
	}
	t.Rejected += uint64(rows.Rejected())
}

// events returns how many events the organizations' records say there are, or more.
func (t *tallies) events() (n uint64) {
	for _, o := range t.orgs {
		n += o.Record.Accepted + o.Record.Duplicates + o.Record.Conflicts + o.Record.Rejected
	}
	return n
}

// compareRecords holds the organizations' counts against the log's.
func (v *verifier) compareRecords() {
	for seq := range v.damaged {
		if h, err := log.ReadHeader(v.view.Log, seq); err == nil {
			v.tallies.of(h.Org).partial = true
		}
	}
	for name, o := range v.tallies.orgs {
		t := v.tallies.of(name)
		r := &o.Record
		if t.partial {
			continue
		}
		if r.Accepted != t.Accepted || r.Duplicates != t.Duplicates || r.Conflicts != t.Conflicts || r.Rejected != t.Rejected || r.Voided != t.Voided {
			v.stage(stageRecords).add("organization %s is stored with %d accepted, %d duplicates, %d conflicts, %d rejected, %d voided; the log says %d, %d, %d, %d, %d", name,
				r.Accepted, r.Duplicates, r.Conflicts, r.Rejected, r.Voided, t.Accepted, t.Duplicates, t.Conflicts, t.Rejected, t.Voided)
		}
		if !maps.Equal(r.Reached, t.Reached) {
			v.stage(stageRecords).add("organization %s is stored with other last blocks of its months than the log has", name)
		}
		if t.Accepted > 0 && (r.MinTime != t.MinTime || r.MaxTime != t.MaxTime) {
			v.stage(stageRecords).add("organization %s is stored with event times from %d to %d, the log says %d to %d (unix ns)", name, r.MinTime, r.MaxTime, t.MinTime, t.MaxTime)
		}
	}
}
