package ledger

import (
	"odometer/internal/meter"

	"odometer/internal/ledger/disk"
)

// fatal ends the process through Options.Fatal. If that returns, the ledger
// has failed: stopped says so from now on, and everybody who waits is answered.
func (l *Ledger) fatal(message string, cause error) {
	kind := meter.KindUnavailable
	if cause != nil && disk.Damaged(cause) {
		kind = meter.KindCorrupt
	}
	first := l.failed.CompareAndSwap(nil, &meter.Error{Kind: kind, Err: cause,
		Message: "the ledger has stopped; whether usage that waited was stored is known once it runs again"})
	l.logger.Error("the ledger stops", "reason", message)
	if !first {
		return
	}
	tell := l.onFail
	if kind == meter.KindCorrupt && l.onDamage != nil {
		tell = l.onDamage
	}
	if tell == nil {
		panic("odometer ledger: " + message)
	}
	tell(message)
	l.queue.fail(answer{err: l.stopped()})
}

// stopped returns an error once the ledger has failed: KindCorrupt if damage
// was the reason.
func (l *Ledger) stopped() error {
	if err := l.failed.Load(); err != nil {
		return err
	}
	return nil
}

// answer gives a pending its answer. One that was answered when the ledger
// failed takes no second one.
func (p *pending) answer(a answer) {
	select {
	case p.done <- a:
	default:
	}
}

// fail answers everybody who waits, wherever the request is, and closes the queue.
func (q *queue) fail(a answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.failed, q.turns = true, a.err, nil
	clear(q.orgs)
	for p := range q.waiting {
		p.answer(a)
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
