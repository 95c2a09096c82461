package ledger

import (
	"encoding/json"
	"testing"

	"odometer/internal/meter"
)

// What is taken as the cursor of a list of events, or of an answer, is what
// was given out, to the byte.
func FuzzLedgerCursors(f *testing.F) {
	events := eventsCursor(7, 3)
	question := &meter.UsageQuery{Organization: "o", Meter: "m", GroupBy: []string{"a", "b"}}
	usage, err := json.Marshal(usageCursor{Question: questionMark(question), Start: 5, Group: []string{"eu", "a<b\n"}})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{events, events + "\n", "\r\n" + events, meter.WriteCursor(usage), meter.WriteCursor(usage) + "\n",
		meter.WriteCursor([]byte(`{"s":5,"g":["eu","x"],"s":6}`)), meter.WriteCursor([]byte(`{"S":5,"g":["eu","x"]}`)), meter.WriteCursor([]byte("null"))} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if seq, ord, err := parseEventsCursor(text); err == nil && text != "" && eventsCursor(seq, ord) != text {
			t.Errorf("%q is another form of a place in events", text)
		}
		if c, ok := parseUsageCursor(text, question); ok {
			raw, err := json.Marshal(c)
			if err != nil || meter.WriteCursor(raw) != text {
				t.Errorf("%q is another form of %+v: %v", text, c, err)
			}
		}
	})
}
