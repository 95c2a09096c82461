package loadgen

import "time"

// paceSlot is how finely the pace of a run is kept, worstOf over how many slots
// a run is at its worst, and paceEdge the slots at each end that do not count for that.
const (
	paceSlot = 100 * time.Millisecond
	worstOf  = 20
	paceEdge = 10
)

// pace is how many events were acknowledged in each slot of a run.
type pace struct {
	slots []uint64
}

func (p *pace) add(at time.Duration, events uint64) {
	slot := int(max(at, 0) / paceSlot)
	for len(p.slots) <= slot {
		p.slots = append(p.slots, 0)
	}
	p.slots[slot] += events
}

func (p *pace) merge(o *pace) {
	for len(p.slots) < len(o.slots) {
		p.slots = append(p.slots, 0)
	}
	for i, n := range o.slots {
		p.slots[i] += n
	}
}

// worst is the rate over the worst two seconds, without the first and the last
// second; nil for a run that is too short to tell.
func (p *pace) worst() *uint64 {
	inner := len(p.slots) - 1 - paceEdge // the last slot is not a whole one
	if inner-paceEdge < worstOf {
		return nil
	}
	var sum, least uint64
	for i, n := range p.slots[paceEdge:inner] {
		sum += n
		if i >= worstOf {
			sum -= p.slots[paceEdge+i-worstOf]
		}
		if i == worstOf-1 || i >= worstOf && sum < least {
			least = sum
		}
	}
	rate := perSecond(least, worstOf*paceSlot)
	return &rate
}

// ends is the rate over the first and the last tenth of the events; 0 for a run
// of fewer slots than ten.
func (p *pace) ends() (first, last uint64) {
	if len(p.slots) < 10 {
		return 0, 0
	}
	var all uint64
	for _, n := range p.slots {
		all += n
	}
	tenth := all / 10
	return perSecond(tenth, p.reached(tenth)), perSecond(tenth, p.reached(all)-p.reached(all-tenth))
}

// reached is when so many events were acknowledged, as if they came evenly within a slot.
func (p *pace) reached(events uint64) time.Duration {
	var seen uint64
	for i, n := range p.slots {
		if n > 0 && seen+n >= events {
			return time.Duration(i)*paceSlot + paceSlot*time.Duration(events-seen)/time.Duration(n)
		}
		seen += n
	}
	return time.Duration(len(p.slots)) * paceSlot
}
