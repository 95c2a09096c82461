package meter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxMeterBytes bounds the JSON text of one meter.
const MaxMeterBytes = 1 << 20

// DecodeMeter reads one meter from JSON and validates it. Fields that a meter
// does not have, a field given twice and anything after the object are refused.
// Errors are of KindInvalid, or KindTooLarge past MaxMeterBytes.
func DecodeMeter(text []byte) (Meter, error) {
	if len(text) > MaxMeterBytes {
		return Meter{}, Errorf(KindTooLarge, "meter has %d bytes, more than %d", len(text), MaxMeterBytes)
	}
	if !utf8.Valid(text) {
		return Meter{}, Errorf(KindInvalid, "meter is not valid UTF-8")
	}
	if err := checkMembers(text); err != nil {
		return Meter{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var m Meter
	if err := dec.Decode(&m); err != nil {
		return Meter{}, describeJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Meter{}, Errorf(KindInvalid, "meter: text after the object")
	}
	if err := m.Validate(); err != nil {
		return Meter{}, err
	}
	return m, nil
}

// describeJSON turns an error of encoding/json into one that names the field.
func describeJSON(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "":
		return Errorf(KindInvalid, "meter: want a JSON object, not %s", clip(wrong.Value))
	case errors.As(err, &wrong):
		return Errorf(KindInvalid, "meter: field %q does not take a value of JSON type %s", wrong.Field, clip(wrong.Value))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Errorf(KindInvalid, "meter: the JSON text ends too early")
	}
	return Errorf(KindInvalid, "meter: %s", strings.TrimPrefix(err.Error(), "json: "))
}

// checkMembers refuses what encoding/json would settle silently: a member that
// an object of the text has twice, and a name in other than lower case.
func checkMembers(text []byte) error {
	type level struct {
		seen  map[string]bool // nil in an array
		value bool            // a key was read and its value comes next
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var levels []level
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return describeJSON(err)
		}
		if n := len(levels); n > 0 && levels[n-1].seen != nil && token != json.Delim('}') {
			top := &levels[n-1]
			top.value = !top.value
			if name, ok := token.(string); ok && top.value {
				switch {
				case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "":
					return Errorf(KindInvalid, "meter: unknown field %q", clip(name))
				case top.seen[name]:
					return Errorf(KindInvalid, "meter: field %q is given twice", clip(name))
				}
				top.seen[name] = true
			}
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{seen: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
	}
}

// MarshalJSON renders p as a number.
func (p Percentage) MarshalJSON() ([]byte, error) {
	d, err := ParseDecimal(string(p))
	if err != nil {
		return nil, err
	}
	return []byte(d.String()), nil
}

// UnmarshalJSON reads a number or a string; Meter.Validate judges it.
func (p *Percentage) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*p = Percentage(s)
		return nil
	}
	*p = Percentage(b)
	return nil
}

// MarshalYAML renders p as an integer if it is one, else as a string.
func (p Percentage) MarshalYAML() (any, error) {
	if n, exact := p.Decimal().Int64(); exact {
		return n, nil
	}
	return string(p), nil
}
