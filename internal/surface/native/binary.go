package native

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"odometer/internal/cloudevents"
	"odometer/internal/meter"
)

// Events in the binary mode of the CloudEvents HTTP binding: the attributes are
// ce- headers, the data is the body and its type the Content-Type.

// eventMode tells how the body holds its events. binary means that it is one
// event's data only, the rest being in ce- headers.
func eventMode(r *http.Request) (mode cloudevents.Mode, binary bool, err error) {
	t := contentType(r)
	if len(r.Header["Ce-Specversion"]) > 0 && (t == "" || binaryType(t)) {
		return cloudevents.Single, true, nil
	}
	mode, ok := modes[t]
	if !ok {
		return mode, false, meter.Errorf(meter.KindUnsupported, "content type %.60q is not supported here: want %s", t,
			"application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson or application/json; or JSON as the data of an event in binary mode")
	}
	return mode, false, nil
}

// binaryType says whether a body of a media type is the data of an event in
// binary mode: any JSON, but for the types that mean a whole event. One that
// still has parameters has a charset that is not served.
func binaryType(t string) bool {
	return cloudevents.IsJSON(t) && !strings.Contains(t, ";") && !strings.HasPrefix(t, "application/cloudevents")
}

// byteOrderMark may precede a body of JSON.
var byteOrderMark = []byte("\ufeff")

// structured puts an event in binary mode together.
func structured(h http.Header, body []byte) ([]byte, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	if len(body) > 0 && !json.Valid(body) {
		return nil, meter.Errorf(meter.KindInvalid, "the body of an event in binary mode must be one JSON value")
	}
	var names []string
	for name := range h {
		if strings.HasPrefix(name, "Ce-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := make([]byte, 0, len(body)+256)
	for _, name := range names {
		if len(h[name]) > 1 {
			return nil, meter.Errorf(meter.KindInvalid, "header %q is given %d times", name, len(h[name]))
		}
		text, problem := attributeText(h[name][0])
		if problem != "" {
			return nil, meter.Errorf(meter.KindInvalid, "header %q %s", name, problem)
		}
		attr := strings.ToLower(name[len("Ce-"):])
		if attr == "data" || attr == "data_base64" {
			return nil, meter.Errorf(meter.KindInvalid, "header %q: the data of an event in binary mode is the body", name)
		}
		out = append(out, ',')
		out = appendString(out, attr)
		out = append(out, ':')
		out = appendString(out, text)
	}
	if len(body) > 0 {
		out = append(out, `,"data":`...)
		out = append(out, body...)
	}
	out[0] = '{'
	return append(out, '}'), nil
}

// attributeText decodes the value of a ce- header: first what is in double
// quotes, as RFC 7230 has it, then one round of percent-encoding. problem says
// what is wrong with it.
func attributeText(value string) (text, problem string) {
	if strings.Contains(value, `"`) {
		var ok bool
		if value, ok = unquoted(value); !ok {
			return "", "has a double quote without an end"
		}
	}
	text, err := url.PathUnescape(value)
	switch {
	case err != nil:
		return "", "is not percent-encoded"
	case !utf8.ValidString(text):
		return "", "is not UTF-8"
	}
	return text, ""
}

// unquoted takes the double quotes out of a header's value, and the backslashes
// before characters inside of them.
func unquoted(value string) (text string, ok bool) {
	out := make([]byte, 0, len(value))
	inside := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			inside = !inside
		case c == '\\' && inside:
			if i++; i == len(value) {
				return "", false
			}
			out = append(out, value[i])
		default:
			out = append(out, c)
		}
	}
	return string(out), !inside
}
