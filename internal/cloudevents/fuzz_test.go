package cloudevents

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// check decodes a body and compares what it finds with encoding/json, and a
// decoder that has seen other events with a fresh one.
func check(t *testing.T, body []byte, mode Mode) {
	t.Helper()
	rows, err := tryDecode(string(body), mode, Limits{})
	if mode == NDJSON {
		checkLines(t, body, rows, err)
	} else {
		body := bytes.TrimPrefix(body, byteOrderMark)
		valid := json.Valid(body)
		trimmed := bytes.TrimLeft(body, " \t\r\n")
		readable := valid && (trimmed[0] == '[' && mode != Single || trimmed[0] == '{' && mode != Batch)
		switch k := meter.KindOf(err); {
		case err == nil && !readable:
			t.Fatalf("%q is accepted", body)
		case err != nil && readable && k != meter.KindTooLarge:
			t.Fatalf("%q: %v", body, err)
		case err != nil && k != meter.KindTooLarge && k != meter.KindInvalid:
			t.Fatalf("%q: kind %v", body, k)
		}
	}
	checkShape(t, body, mode, rows, err)
	if err != nil {
		return
	}
	texts := split(body, mode)
	if q := rows.Requests[0]; int(q.Events) != len(texts) || q.Rejected() != len(q.Rejections) {
		t.Fatalf("%q: %d events, %d rejected, %d kept; want %d", body, q.Events, q.Rejected(), len(q.Rejections), len(texts))
	}
	for row := range rows.N {
		checkRow(t, rows, row, texts[rows.Index[row]])
	}
}

// checkLines: a body of lines fails only by their number.
func checkLines(t *testing.T, body []byte, rows *block.Rows, err error) {
	t.Helper()
	if err != nil {
		if meter.KindOf(err) != meter.KindTooLarge {
			t.Fatalf("%q: %v", body, err)
		}
		return
	}
	for i, text := range split(body, NDJSON) {
		if !json.Valid(text) && slices.Contains(rows.Index, uint32(i)) {
			t.Fatalf("line %q is accepted", text)
		}
	}
}

// split returns the texts of the events of a sound body.
func split(body []byte, mode Mode) (texts [][]byte) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case mode == NDJSON:
		for _, line := range bytes.Split(body, []byte("\n")) {
			if line = bytes.Trim(line, " \t\r"); len(line) > 0 {
				texts = append(texts, line)
			}
		}
	case trimmed[0] == '[':
		var raw []json.RawMessage
		if err := json.Unmarshal(body, &raw); err != nil {
			panic(err)
		}
		for _, r := range raw {
			texts = append(texts, r)
		}
	default:
		texts = append(texts, body)
	}
	return texts
}

func checkRow(t *testing.T, rows *block.Rows, row int, text []byte) {
	t.Helper()
	if !utf8.Valid(text) {
		t.Fatalf("%q is accepted", text)
	}
	members := parseNaively(t, text).(map[string]any)
	e := rows.Event(row)
	subject, hasSubject := members["subject"].(string)
	if members["id"] != e.ID || members["source"] != e.Source || members["type"] != e.Type || subject != e.Subject || hasSubject != e.HasSubject {
		t.Fatalf("%q is read as %+v", text, e)
	}
	if sent, ok := members["time"].(string); ok == e.Untimed {
		t.Fatalf("%q: sent without a time is %t", text, e.Untimed)
	} else if ok {
		at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(sent))
		if err != nil || !at.Equal(e.Time) {
			t.Fatalf("%q: time %v, want %v (%v)", text, e.Time, at, err)
		}
	}
	data, _ := members["data"].(map[string]any)
	if encoded, ok := members["data_base64"].(string); ok {
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatalf("%q is accepted", text)
		}
		data, _ = parseNaively(t, bytes.TrimPrefix(raw, byteOrderMark)).(map[string]any)
	}
	if data == nil {
		data = map[string]any{}
	}
	if got := parseNaively(t, rows.DataJSON(row, nil)); !reflect.DeepEqual(got, any(data)) {
		t.Fatalf("%q: data is read as %v, want %v", text, got, data)
	}
	checkExtensions(t, rows, row, members)
}

// checkExtensions holds what is kept beside the data against what was sent.
func checkExtensions(t *testing.T, rows *block.Rows, row int, members map[string]any) {
	t.Helper()
	want := map[string]any{}
	for name, v := range members {
		if _, known := fieldNames[name]; !known && v != nil {
			want[name] = v
		}
	}
	got := map[string]any{}
	if text := rows.ExtensionsJSON(row, nil); text != nil {
		got = parseNaively(t, text).(map[string]any)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%v: extensions are read as %v, want %v", members, got, want)
	}
}

// parseNaively parses JSON with encoding/json; numbers become their exact
// shortest text.
func parseNaively(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	var normal func(v any) any
	normal = func(v any) any {
		switch v := v.(type) {
		case json.Number:
			if n, err := meter.ParseNumber(v.String()); err == nil {
				return json.Number(n.Group())
			}
		case []any:
			for i := range v {
				v[i] = normal(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = normal(v[k])
			}
		}
		return v
	}
	return normal(v)
}

// checkShape: what a decoder has learned never changes what it reads.
func checkShape(t *testing.T, body []byte, mode Mode, rows *block.Rows, err error) {
	t.Helper()
	const other = `{"specversion":"1.0","id":"x","source":"y","type":"z","time":"2025-06-15T11:00:00Z","data":{"a":1,"b":{"c":2}}}`
	for _, before := range []string{"", string(body), other} {
		d := &decoder{}
		if before != "" {
			d.reset([]byte(before), testNow, DefaultLimits(), block.NewBuilder(testKey, "acme", ""))
			_ = d.body(mode)
		}
		b := block.NewBuilder(testKey, "acme", "")
		d.reset(body, testNow, DefaultLimits(), b)
		againErr := d.body(mode)
		again := b.Rows()
		if fmt.Sprint(err) != fmt.Sprint(againErr) {
			t.Fatalf("%q: %v, and after %q: %v", body, err, before, againErr)
		}
		if err != nil {
			continue
		}
		if !slices.Equal(rows.Checks, again.Checks) || !slices.Equal(rows.Hashes, again.Hashes) || !reflect.DeepEqual(rows.Requests, again.Requests) {
			t.Fatalf("%q is read differently after %q", body, before)
		}
	}
}

// generator makes random bodies, sound and not.
type generator struct {
	*rand.Rand
	wild bool // sometimes break what the limits or the grammar ask for
}

func (g generator) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g generator) space() string {
	return g.pick("", "", "", "", " ", "\t", "  ", "\r")
}

func (g generator) text() string {
	s := g.pick("a", "b", "service", "x y", "é", "😀", "long enough to pass eight bytes", `\"`, `\\`, `\u0061`, `\ud83d\ude00`, `\n`, "", "0", "[1]", "12.50")
	if g.wild && g.IntN(60) == 0 {
		s += g.pick("\xff", `\ud800`, `\x`, "\x01", `\u12`, `"`)
	}
	return `"` + s + `"`
}

func (g generator) number() string {
	s := g.pick("0", "-0", "1", "200", "-17", "1.5", "0.10", "1e3", "25E-2", "123456789012345678", "1234567890123456789", "99999999999999999999999999", "-0.000000000001", "0.30000000000000004", "1e26", "-12.50e-13", "1e400", "1E999999999", "1e-99999999999999999999")
	if g.wild && g.IntN(40) == 0 {
		s = g.pick("01", "-", "1.", ".5", "NaN", "+1", "0x10")
	}
	return s
}

func (g generator) value(depth int) string {
	switch n := g.IntN(10); {
	case n < 3:
		return g.text()
	case n < 6:
		return g.number()
	case n < 7:
		return g.pick("true", "false", "null", "null ")
	case n < 8 && depth < 18:
		var parts []string
		for range g.IntN(4) {
			parts = append(parts, g.space()+g.value(depth+1)+g.space())
		}
		return "[" + strings.Join(parts, ",") + "]"
	case depth < 18:
		return g.object(depth+1, g.IntN(4))
	}
	return "{" + g.space() + "}"
}

// object has distinct keys, mostly in the same order.
func (g generator) object(depth, n int) string {
	var parts []string
	for i := range n {
		key := fmt.Sprintf(`"k%d"`, i)
		if g.IntN(8) == 0 {
			key = fmt.Sprintf(`"\u006b%d"`, i)
		}
		if g.IntN(20) == 0 || g.wild && g.IntN(20) == 0 {
			key = g.text()
		}
		parts = append(parts, g.space()+key+g.space()+":"+g.space()+g.value(depth)+g.space())
	}
	if g.IntN(5) == 0 {
		g.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	}
	return "{" + strings.Join(parts, ",") + g.space() + "}"
}

func (g generator) event() string {
	parts := []string{
		`"specversion":"1.0"`, `"id":` + g.pick(`"1"`, `"0b3c9c4e-7a53-4d9b-9f0e-0123456789ab"`, `"\u0069d"`), `"source":"s"`,
		`"type":` + g.pick(`"t"`, `"u"`),
	}
	if g.IntN(6) > 0 {
		parts = append(parts, `"time":`+g.pick(`"2025-06-15T11:59:59Z"`, `"2025-06-15t11:59:59.123z"`, `"2025-06-15T14:29:59.000000001+05:30"`, "null"))
	}
	if g.IntN(2) == 0 {
		parts = append(parts, `"subject": `+g.pick("null", `"c"`, `""`))
	}
	if g.IntN(3) == 0 {
		parts = append(parts, g.pick(`"ext":`, `"k0":`, `"tenantid" : `)+g.value(1))
	}
	switch data := g.space() + g.object(1, g.IntN(6)) + g.space(); {
	case g.IntN(10) == 0:
		parts = append(parts, `"data_base64":"`+base64.StdEncoding.EncodeToString([]byte(g.pick("", "\ufeff")+data))+`"`)
		if g.wild && g.IntN(4) == 0 {
			parts = append(parts, g.pick(`"data":{}`, `"data":null`, `"data_base64":"e30="`))
		}
	case g.IntN(8) > 0:
		parts = append(parts, `"data":`+data)
	}
	if g.IntN(4) == 0 {
		g.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	}
	if g.wild && g.IntN(10) == 0 {
		i := g.IntN(len(parts))
		parts = append(parts[:i], parts[i+g.IntN(2):]...)
	}
	return "{" + strings.Join(parts, g.pick(",", ",", ", ")) + "}"
}

func (g generator) body(mode Mode) string {
	n := 1
	if mode != Single {
		n = g.IntN(6)
	}
	var events []string
	for range n {
		events = append(events, g.space()+g.event()+g.space())
	}
	switch mode {
	case NDJSON:
		return strings.Join(events, g.pick("\n", "\r\n", "\n\n"))
	case Batch:
		return "[" + strings.Join(events, ",") + "]"
	}
	return g.pick("", "", "", "\ufeff") + strings.Join(events, "")
}

func TestDecodeAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	accepted := 0
	for i := range 6000 {
		g := generator{r, i%2 == 0}
		mode := Mode(1 + r.IntN(3))
		body := []byte(g.body(mode))
		if g.wild && r.IntN(4) == 0 && len(body) > 0 {
			body[r.IntN(len(body))] = []byte(`{}[]",:\ 0e`)[r.IntN(11)]
		}
		check(t, body, mode)
		if rows, err := tryDecode(string(body), mode, Limits{}); err == nil {
			accepted += rows.N
		}
	}
	if accepted < 3000 {
		t.Errorf("only %d events of the generated ones are accepted", accepted)
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 60 {
		mode := Mode(1 + i%3)
		f.Add([]byte(generator{r, i%2 == 0}.body(mode)), uint8(mode))
	}
	for _, s := range malformed {
		f.Add([]byte(s), uint8(Auto))
	}
	f.Fuzz(func(t *testing.T, body []byte, mode uint8) {
		if len(body) < 1<<16 {
			check(t, body, Mode(mode%4))
		}
	})
}
