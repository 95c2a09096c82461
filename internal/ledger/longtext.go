package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// Texts of more than meter.MaxGroupBytes are no group and no distinct value: what
// is kept of a group is so bounded in bytes. A meter that groups by such an
// attribute, or counts its values, skips the event. A question that groups by an
// attribute that its meter does not is answered from the events and has such
// texts under a digest, so that nothing is missing from it.

// tooLong marks the rows in which the attribute is a text that no group has; nil if there are none.
func (e *evaluator) tooLong(name string) []bool {
	if rows, ok := e.longs[name]; ok {
		return rows
	}
	var rows []bool
	switch {
	case name == meter.CustomerAttribute:
		rows = longInDict(&e.rows.Customers, e.rows.N)
	case e.irregular(name):
		for i := range e.rows.N {
			if v := e.value(name, i); longValue(v.Kind, v.Str) {
				rows = mark(rows, e.rows.N, i)
			}
		}
	default:
		cands := e.candidates(name)
		if !e.anyLong(cands) {
			break
		}
		// Later candidates first, so that earlier ones overwrite them, as in group.
		for i := len(cands) - 1; i >= 0; i-- {
			rows = longInColumn(&e.rows.Columns[cands[i]], rows, e.rows.N)
		}
	}
	e.longs[name] = rows
	return rows
}

func (e *evaluator) anyLong(columns []int) bool {
	for _, c := range columns {
		if hasLong(&e.rows.Columns[c].Strs) {
			return true
		}
	}
	return false
}

// longerShown is how much longer the text of a number beyond the limits may be when it is shown.
const longerShown = 8

// longValue says whether a value's text is longer than a group's may be.
func longValue[T string | []byte](kind meter.ValueKind, text T) bool {
	switch {
	case len(text) <= meter.MaxGroupBytes-longerShown:
		return false
	case kind == meter.Excess:
		return len(meter.Value{Kind: kind, Str: string(text)}.Group()) > meter.MaxGroupBytes
	default:
		return kind == meter.String && len(text) > meter.MaxGroupBytes
	}
}

// hasLong says whether any of the texts may be longer than a group's may be.
func hasLong(s *block.Strings) bool {
	for i := range s.Len() {
		if len(s.At(i)) > meter.MaxGroupBytes-longerShown {
			return true
		}
	}
	return false
}

func longInDict(d *block.Dict, n int) []bool {
	if !hasLong(&d.Values) {
		return nil
	}
	var rows []bool
	for i, c := range d.Codes {
		if c != block.NoCode && len(d.Values.At(int(c))) > meter.MaxGroupBytes {
			rows = mark(rows, n, i)
		}
	}
	return rows
}

func longInColumn(col *block.Column, rows []bool, n int) []bool {
	for k := range col.Len() {
		row, kind, code := col.Entry(k)
		if kind >= meter.String && longValue(kind, col.Strs.At(int(code))) {
			rows = mark(rows, n, row)
		} else if rows != nil {
			rows[row] = false
		}
	}
	return rows
}

func mark(rows []bool, n, row int) []bool {
	if rows == nil {
		rows = make([]bool, n)
	}
	rows[row] = true
	return rows
}

// noteLong makes the measure skip the rows in which the meter's groups or
// distinct values would be too long.
func (m *measure) noteLong(e *evaluator, of *meter.Meter) {
	for _, name := range of.GroupBy {
		m.addLong(e.tooLong(name))
	}
	if of.Aggregation == meter.AggUniqueCount {
		m.addLong(e.tooLong(of.Value))
	}
}

func (m *measure) addLong(rows []bool) {
	switch {
	case rows == nil:
	case m.long == nil:
		m.long = rows
	default:
		both := make([]bool, len(rows))
		for i := range rows {
			both[i] = rows[i] || m.long[i]
		}
		m.long = both
	}
}

// longReason says which attribute of an event made the meter skip it, "" if none is too long.
func longReason(m *meter.Meter, e *meter.Event) string {
	names := m.GroupBy
	if m.Aggregation == meter.AggUniqueCount {
		names = append(names[:len(names):len(names)], m.Value)
	}
	for _, name := range names {
		if n := len(e.Get(name).Group()); n > meter.MaxGroupBytes {
			return fmt.Sprintf("attribute %s has a text of %d bytes; a group or a distinct value has at most %d", name, n, meter.MaxGroupBytes)
		}
	}
	return ""
}

// digestShown is how much of a text its digest begins with.
const digestShown = 64

// digestOf names a text that is too long for a group: its beginning, and its SHA-256.
func digestOf(text []byte) string {
	cut := digestShown
	for cut > digestShown-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	sum := sha256.Sum256(text)
	return string(text[:cut]) + "… sha256:" + hex.EncodeToString(sum[:])
}
