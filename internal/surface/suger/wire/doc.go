// Package wire is the form of Suger's metering operations as the vendor's Go
// and Python clients send and take it. It is pure: no store, no clock.
//
// What both clients need of an answer, and what every encoder here keeps to:
//
//	status       exactly 200
//	content type application/json; errors are bare text
//	fields       in exact case, left out where unset, never null
//	numbers      JSON numbers with all their digits, never quoted
//	times        UTC with zone and at most 6 fraction digits
//	enums        only the values that both clients know
package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"odometer/internal/meter"
	"odometer/internal/strictjson"
)

// MaxBodyBytes bounds a request's body.
const MaxBodyBytes = 5 << 20

// Number is a decimal as a JSON number.
type Number meter.Decimal

// MarshalJSON renders all digits, without an exponent.
func (n Number) MarshalJSON() ([]byte, error) { return []byte(meter.Decimal(n).String()), nil }

// UnmarshalJSON reads a JSON number exactly; a quoted one is refused.
func (n *Number) UnmarshalJSON(text []byte) error {
	d, err := meter.ParseDecimal(string(text))
	if err != nil {
		return meter.Errorf(meter.KindInvalid, "want a number of at most %d digits before and after the point, not %s", meter.MaxDecimalDigits, clip(string(text)))
	}
	*n = Number(d)
	return nil
}

// Numbers is an object of numbers. Reading one refuses null and a key that is
// given twice; it then holds the later value nowhere.
type Numbers map[string]Number

// NumbersOf are decimals as an object of numbers, nil for none.
func NumbersOf(m map[string]meter.Decimal) Numbers {
	if len(m) == 0 {
		return nil
	}
	out := make(Numbers, len(m))
	for k, v := range m {
		out[k] = Number(v)
	}
	return out
}

// Decimals is the reverse of NumbersOf.
func (n Numbers) Decimals() map[string]meter.Decimal {
	if len(n) == 0 {
		return nil
	}
	out := make(map[string]meter.Decimal, len(n))
	for k, v := range n {
		out[k] = meter.Decimal(v)
	}
	return out
}

// UnmarshalJSON reads an object of numbers, or null for none.
func (n *Numbers) UnmarshalJSON(text []byte) error {
	*n = nil
	if string(text) == "null" {
		return nil
	}
	if text[0] != '{' {
		return meter.Errorf(meter.KindInvalid, "records: want an object of numbers")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	_, _ = d.Token() // the brace; the text is sound JSON
	*n = Numbers{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if _, had := (*n)[name]; had {
			return meter.Errorf(meter.KindInvalid, "records %q is given twice", clip(name))
		}
		var value Number
		if err := value.UnmarshalJSON(raw); err != nil {
			return meter.Errorf(meter.KindInvalid, "records %q: %s", clip(name), err)
		}
		(*n)[name] = value
	}
	return nil
}

// Time is an instant as clients send and take it.
type Time struct{ time.Time }

// timeLayout has at most 6 fraction digits, and always a zone.
const timeLayout = "2006-01-02T15:04:05.999999Z"

// TimeOf is an instant, nil for none.
func TimeOf(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// MarshalJSON renders the instant in UTC.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}

// lenientLayouts are the forms of a time that are read, besides lower-case
// letters and a space for the T. Without a zone it is UTC.
var lenientLayouts = []string{"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999"}

// UnmarshalJSON reads a time with or without a zone, with any number of
// fraction digits.
func (t *Time) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return meter.Errorf(meter.KindInvalid, "timestamp: want a string, not %s", clip(string(text)))
	}
	form := strings.ToUpper(strings.TrimSpace(s))
	if len(form) > 10 && form[10] == ' ' {
		form = form[:10] + "T" + form[11:]
	}
	for _, layout := range lenientLayouts {
		if at, err := time.Parse(layout, form); err == nil {
			t.Time = at.UTC()
			return nil
		}
	}
	return meter.Errorf(meter.KindInvalid, "timestamp %q is not a time such as 2026-01-31T15:04:05Z", clip(s))
}

// maxNodes bounds the values and names of a body: a batch at its limits has fewer.
const maxNodes = 500_000

// decode reads one JSON text. Fields that are not known are ignored, names
// match in any case and null means absent, as at the vendor; what would lose
// usage in silence is refused: see strictjson.Read.
func decode(body []byte, into any) error {
	if len(body) > MaxBodyBytes {
		return meter.Errorf(meter.KindTooLarge, "the body is larger than %d bytes", MaxBodyBytes)
	}
	return meter.ReadJSON("the body", body, into,
		strictjson.Options{Limits: strictjson.Limits{Bytes: MaxBodyBytes, Nodes: maxNodes, Depth: maxDepth}, Unknown: true, Null: true})
}

// maxDepth bounds how deep a body nests: what an event's data may have, in the
// properties of a record of a group of a batch.
const maxDepth = 100

// encode renders an answer.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, meter.WrapError(meter.KindInternal, err, "cannot encode the answer")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// clip shortens a text for a message.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
