package ledger

import (
	"math"
	"time"

	"odometer/internal/ledger/block"
)

// moment is a standing of the log; its zero value is now.
type moment struct {
	at       int64  // acceptance time, unix ns; 0 = any
	sequence uint64 // 0 = any
}

// knows says whether an entry had been stored by then.
func (m moment) knows(sequence uint64, accepted int64) bool {
	return (m.at == 0 || accepted <= m.at) && (m.sequence == 0 || sequence <= m.sequence)
}

// changedSince says whether anything that was stored after the question's
// sequence may matter to its range, so that cells, which know no sequence,
// cannot answer. Headers tell that of events; voids may reach any range.
// Months that nothing reached since need no headers.
func (l *Ledger) changedSince(qu *question, v *view) (changed bool, err error) {
	since := qu.asOf.sequence
	if since == 0 || since >= v.applied || l.Reached(qu.q.Organization, qu.q.From, qu.q.To) <= since {
		return false, nil
	}
	err = v.headers(qu.q.Organization, since+1, math.MaxUint64, func(h *block.Header) (bool, error) {
		switch {
		case h.Kind == block.KindControl:
			body, err := l.log.Body(h.Sequence)
			if err != nil {
				return false, err
			}
			c, err := decodeControl(body)
			changed = c.Void != nil
			return !changed, err
		case h.Rows > 0 && h.MaxTime >= qu.from && h.MinTime < qu.to:
			changed = true
		}
		return !changed, nil
	})
	return changed, err
}

// Reached returns the last log sequence that may have changed what an
// organization's events of [from, to) add up to; 0 if nothing ever did. It
// looks at whole UTC months, so that it may name a later one than needed.
func (l *Ledger) Reached(org string, from, to time.Time) (sequence uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.peekOrg(org)
	if o == nil || !from.Before(to) {
		return 0
	}
	return o.record.Reached.Last(clampNanos(from), clampNanos(to))
}
