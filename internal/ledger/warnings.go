package ledger

import (
	"fmt"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// Warnings say which of a request's events a meter skipped although they were
// accepted: a verdict depends on the event and the log alone, so what a meter
// cannot take is told beside it. They are noted while the rows are counted, as
// numbers only; what they say is worked out by the request's goroutine.

// maxWarningsPerMeter bounds the warnings of one meter in one answer, so that
// those of other meters find room.
const maxWarningsPerMeter = 20

// skip is one row that a meter did not take.
type skip struct {
	row   uint32 // in the request
	meter *meter.Meter
}

// requestSkips are the skips of one request.
type requestSkips struct {
	list []skip
	more int // further ones
}

// noteSkip records that the meter skips a row of the block that is being counted.
func (l *Ledger) noteSkip(rows *block.Rows, row int, m *meterState) {
	f := &l.fold
	if f.skips == nil {
		return
	}
	r := rows.RequestOf(row)
	if f.skipped != m || f.skippedIn != r {
		f.skipped, f.skippedIn, f.skippedBy = m, r, 0
	}
	s := &f.skips[r]
	if f.skippedBy++; f.skippedBy > maxWarningsPerMeter || len(s.list) >= l.limits.WarningsPerAnswer {
		s.more++
		return
	}
	s.list = append(s.list, skip{uint32(row) - rows.Requests[r].First, &m.record.Meter})
}

// warnings says what the request's skips were. Definitions never change, so they
// are read without a lock.
func warnings(rows *block.Rows, s requestSkips) []meter.Warning {
	out := make([]meter.Warning, 0, len(s.list))
	var e meter.Event
	last := -1
	for _, k := range s.list {
		if row := int(k.row); row != last {
			e, last = rows.Event(row), row
		}
		out = append(out, meter.Warning{Index: int(rows.Index[k.row]), ID: e.ID, Source: e.Source, Meter: k.meter.Key, Reason: skipReason(k.meter, &e)})
	}
	return out
}

// skipReason says why a meter takes nothing of an event of its type.
func skipReason(m *meter.Meter, e *meter.Event) string {
	if reason := longReason(m, e); reason != "" {
		return reason
	}
	v := e.Get(m.Value)
	if m.Aggregation == meter.AggUniqueCount {
		return fmt.Sprintf("attribute %s %s", m.Value, v.NoText())
	}
	return fmt.Sprintf("attribute %s %s", m.Value, v.NoQuantity())
}
