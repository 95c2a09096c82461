package meter

import (
	"bytes"
	"encoding/json"
)

// ValueKind is the kind of an attribute's value.
type ValueKind uint8

// The kinds of value. Their numbers are stored; never reorder them.
const (
	Absent ValueKind = iota // the event has no such attribute
	Null
	False
	True
	Number // Value.Num
	String // Value.Str
	JSON   // an array or object, its raw text in Value.Str
	Excess // a number beyond the limits of a Quantity, its canonical text in Value.Str: see ExcessText
)

// Value is one attribute's value. The zero value is an absent attribute; equal
// values are equal under ==.
type Value struct {
	Kind ValueKind
	Num  Quantity
	Str  string
}

// NumberValue returns a number.
func NumberValue(q Quantity) Value { return Value{Kind: Number, Num: q} }

// StringValue returns a string.
func StringValue(s string) Value { return Value{Kind: String, Str: s} }

// BoolValue returns a boolean.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: True}
	}
	return Value{Kind: False}
}

// IsZero reports whether v is absent.
func (v Value) IsZero() bool { return v.Kind == Absent }

// Group returns the text by which v is grouped: a string as it is, a number's
// shortest decimal text, "true" or "false", and "" for everything else. So 9001
// and "9001" are one group, and so are absent, null and "".
func (v Value) Group() string {
	switch v.Kind {
	case String:
		return v.Str
	case Number:
		return v.Num.String()
	case Excess:
		return excessDisplay(v.Str)
	case True:
		return "true"
	case False:
		return "false"
	default:
		return ""
	}
}

// AppendGroup appends what Group returns to dst.
func (v Value) AppendGroup(dst []byte) []byte {
	if v.Kind == Number {
		return v.Num.AppendText(dst)
	}
	return append(dst, v.Group()...)
}

// Numeric returns v as a quantity: a number, or a string that holds one within
// the limits. Everything else is not numeric and skipped by meters.
func (v Value) Numeric() (Quantity, bool) {
	switch v.Kind {
	case Number:
		return v.Num, true
	case String:
		return ParseNumericText(v.Str)
	default:
		return Quantity{}, false
	}
}

// Text returns the text that UNIQUE_COUNT counts, the same as Group's. It
// reports false for what is skipped: absent, null, arrays and objects.
func (v Value) Text() (string, bool) {
	if !v.scalar() {
		return "", false
	}
	return v.Group(), true
}

// scalar reports whether v has a text: a boolean, a number or a string.
func (v Value) scalar() bool { return v.Kind >= False && v.Kind <= String || v.Kind == Excess }

// MarshalJSON renders v as it was sent; absent as null.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.Kind {
	case String:
		return json.Marshal(v.Str)
	case Number:
		return v.Num.AppendText(nil), nil
	case JSON:
		return []byte(v.Str), nil
	case True, False, Excess:
		return []byte(v.Group()), nil
	default:
		return []byte("null"), nil
	}
}

// UnmarshalJSON reads any JSON value; numbers exactly.
func (v *Value) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return Errorf(KindInvalid, "value is empty")
	}
	switch b[0] {
	case 'n':
		*v = Value{Kind: Null}
	case 't', 'f':
		*v = BoolValue(b[0] == 't')
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*v = StringValue(s)
	case '{', '[':
		*v = Value{Kind: JSON, Str: string(b)}
	default:
		n, err := ParseNumber(string(b))
		if err != nil {
			return Errorf(KindInvalid, "value: %s", err)
		}
		*v = n
	}
	return nil
}

// MarshalYAML renders v for a YAML encoder. A number that is no int64 becomes
// its text in quotes, which has the same meaning in a filter.
func (v Value) MarshalYAML() (any, error) {
	switch v.Kind {
	case String, JSON:
		return v.Str, nil
	case True, False:
		return v.Kind == True, nil
	case Number:
		if n, exact := v.Num.int64(); exact {
			return n, nil
		}
		return v.Num.String(), nil
	case Excess:
		return v.Group(), nil
	default:
		return nil, nil
	}
}

// UnmarshalYAML reads a YAML scalar; numbers exactly, from their text.
func (v *Value) UnmarshalYAML(unmarshal func(any) error) error {
	var decoded any
	if err := unmarshal(&decoded); err != nil {
		return err
	}
	switch d := decoded.(type) {
	case nil:
		*v = Value{Kind: Null}
		return nil
	case bool:
		*v = BoolValue(d)
		return nil
	case map[string]any, map[any]any, []any:
		return Errorf(KindInvalid, "value: want a string, a number or a boolean")
	}
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	if _, ok := decoded.(string); ok {
		*v = StringValue(text)
		return nil
	}
	switch decoded.(type) {
	case int, int64, uint64, float64:
		n, err := ParseNumber(text)
		if err != nil {
			return Errorf(KindInvalid, "value: %s", err)
		}
		*v = n
	default: // a date or the like: its text
		*v = StringValue(text)
	}
	return nil
}
