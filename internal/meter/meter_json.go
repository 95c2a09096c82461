package meter

import (
	"encoding/json"
	"errors"
	"strings"

	"odometer/internal/strictjson"
)

// maxMeterBytes bounds the JSON text of one meter.
const maxMeterBytes = 1 << 20

// DecodeMeter reads one meter from JSON, as strictly as ReadJSON, and validates
// it. Errors are of KindInvalid, or KindTooLarge past maxMeterBytes.
func DecodeMeter(text []byte) (Meter, error) {
	var m Meter
	if err := ReadJSON("meter", text, &m, strictjson.Options{Limits: strictjson.Limits{Bytes: maxMeterBytes}}); err != nil {
		return Meter{}, err
	}
	if err := m.Validate(); err != nil {
		return Meter{}, err
	}
	return m, nil
}

// ReadJSON is strictjson.Read with errors of KindInvalid, or KindTooLarge past
// a limit. what is the text as messages name it.
func ReadJSON(what string, text []byte, into any, o strictjson.Options) error {
	err := strictjson.Read(text, into, o)
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	return Errorf(jsonKind(err), "%s: %s", what, strings.TrimPrefix(err.Error(), "json: "))
}

// jsonKind is the kind of an error of strictjson.
func jsonKind(err error) Kind {
	if wrong, ok := errors.AsType[*strictjson.Error](err); ok && wrong.TooLarge {
		return KindTooLarge
	}
	return KindInvalid
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
