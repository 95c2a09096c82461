package ledger

import (
	"runtime"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
	"odometer/internal/share"
)

// readBudget bounds the memory of all queries at work together.
type readBudget struct {
	*share.Budget               // by organization
	decoding      chan struct{} // blocks being decoded: no more than there are processors
}

func newReadBudget(most int64) *readBudget {
	return &readBudget{Budget: share.NewBudget(most), decoding: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
}

// reading is what one query has taken of it.
type reading struct {
	of    *readBudget
	who   share.Who
	held  int64
	taken int64 // of the budget: held, and a little ahead, so that not each group asks
}

// aheadBytes is what a query takes of the budget beyond what it needs, where
// the budget is so large that nobody misses it.
const aheadBytes = 32 << 10

// newReading begins a query of an organization.
func (l *Ledger) newReading(organization string) *reading {
	return &reading{of: l.reads, who: share.Who{Organization: organization}}
}

// grow takes more. A query that is too large by itself, for the share of an
// organization that is alone, is KindInvalid, one that others leave no room
// for KindOverloaded.
func (r *reading) grow(n int64) error {
	if r == nil || n <= 0 {
		return nil
	}
	if most := r.of.Most() / 4 * 3; r.held+n > most {
		return meter.Errorf(meter.KindInvalid, "the answer needs more than %d bytes of memory; filter, group by less or ask for a shorter range", most)
	}
	if more := r.held + n - r.taken; more > 0 && !r.take(more) {
		return &meter.Error{Kind: meter.KindOverloaded, RetryAfter: time.Second, Message: "queries at work hold too much memory; send this one again"}
	}
	r.held += n
	return nil
}

// take takes more of the budget, and some ahead if there is much.
func (r *reading) take(more int64) bool {
	if ahead := min(aheadBytes, r.of.Most()>>12); more < ahead && r.of.Take(r.who, 0, ahead) {
		r.taken += ahead
		return true
	}
	if !r.of.Take(r.who, 0, more) {
		return false
	}
	r.taken += more
	return true
}

func (r *reading) shrink(n int64) {
	if r != nil && n != 0 {
		r.held -= n
		r.of.Give(r.who, r.taken-r.held)
		r.taken = r.held
	}
}

func (r *reading) release() {
	if r != nil && r.taken > 0 {
		r.of.Give(r.who, r.taken)
		r.held, r.taken = 0, 0
	}
}

// rows decodes a block for a query; done gives its memory back.
func (r *reading) rows(h *block.Header, load func(*block.Header) (*block.Rows, error)) (rows *block.Rows, done func(), err error) {
	r.of.decoding <- struct{}{}
	rows, err = load(h)
	<-r.of.decoding
	if err != nil {
		return nil, nil, err
	}
	size := rowsBytes(rows)
	if err := r.grow(size); err != nil {
		return nil, nil, err
	}
	return rows, func() { r.shrink(size) }, nil
}
