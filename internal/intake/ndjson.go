package intake

import (
	"bytes"
	"errors"
)

// NDJSONDecoder passes CloudEvents on as they are: whether one is sound is for
// the server to say, which keeps what it rejects.
type NDJSONDecoder struct{}

// Header is never called.
func (NDJSONDecoder) Header([]byte) error { return nil }

// HasHeader is false.
func (NDJSONDecoder) HasHeader() bool { return false }

// Derived is false: every event has its own source and id.
func (NDJSONDecoder) Derived() bool { return false }

// Append copies the line. It refuses what is not a JSON object at first sight.
func (NDJSONDecoder) Append(dst, record []byte, _ Identity) ([]byte, error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(record, utf8BOM))
	if len(text) > 0 && text[0] == '[' {
		return dst, errors.New("a JSON array; write one event a line")
	}
	if len(text) == 0 || text[0] != '{' || text[len(text)-1] != '}' {
		return dst, errors.New("not a JSON object")
	}
	return append(dst, text...), nil
}

// Fingerprint is constant: there is nothing to choose.
func (NDJSONDecoder) Fingerprint() string { return "ndjson" }
