package wire

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"odometer/internal/meter"
)

func metricsV3(t testing.TB, query string) Metrics {
	t.Helper()
	m, err := ParseMetricsV3(query, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCursorsComeBack(t *testing.T) {
	t.Parallel()
	c := NewCursors([]byte("a key of these tests"))
	m := metricsV3(t, "start_month=0001-01&end_month=9999-12")
	for _, after := range []Row{{}, {Service: "SU1"}, {"SU1", "cdn_usage", "North America Requests", "2026-09"}, {"ø/ \xff\x00", "", "=", ""}, {Service: strings.Repeat("s", 1000)}} {
		p := Position{m.Window, after}
		text := c.Sign(m.Scope("o", "c"), p)
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%s needs escaping", text)
		}
		if got, err := c.Open(m.Scope("o", "c"), text); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v: %+v %v", p, got, err)
		}
	}
}

// TestCursorsAreBound shows that a cursor opens for its own request only, and
// for that with pages of another size.
func TestCursorsAreBound(t *testing.T) {
	t.Parallel()
	c := NewCursors([]byte("a key of these tests"))
	const query = "product_id=p&usage_type_name=u&service=s&start_month=2023-01&end_month=2023-02"
	m := metricsV3(t, query)
	scope := m.Scope("o", "c")
	text := c.Sign(scope, Position{m.Window, Row{Service: "s"}})
	if _, err := c.Open(metricsV3(t, query+"&limit=7&cursor=x").Scope("o", "c"), text); err != nil {
		t.Errorf("another limit: %v", err)
	}
	for name, other := range map[string]Scope{
		"organization": m.Scope("p", "c"),
		"customer":     m.Scope("o", "d"),
		"a shift":      m.Scope("oc", ""),
		"product":      metricsV3(t, strings.Replace(query, "product_id=p", "product_id=q", 1)).Scope("o", "c"),
		"usage type":   metricsV3(t, strings.Replace(query, "name=u", "name=v", 1)).Scope("o", "c"),
		"service":      metricsV3(t, strings.Replace(query, "service=s", "service=t", 1)).Scope("o", "c"),
		"start":        metricsV3(t, strings.Replace(query, "2023-01", "2022-12", 1)).Scope("o", "c"),
		"end":          metricsV3(t, strings.Replace(query, "2023-02", "2023-03", 1)).Scope("o", "c"),
		"no end":       metricsV3(t, strings.Replace(query, "&end_month=2023-02", "", 1)).Scope("o", "c"),
	} {
		if p, err := c.Open(other, text); meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("another %s: %+v %v", name, p, err)
		}
	}
	v2 := func(granularity string) Scope {
		m, err := ParseMetricsV2("product_id=p&usage_type_name=u&time_granularity="+granularity, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		return m.Scope("o", "c")
	}
	monthly := c.Sign(v2("month"), Position{m.Window, Row{}})
	for name, other := range map[string]Scope{"granularity": v2("day"), "version": metricsV3(t, "product_id=p&usage_type_name=u").Scope("o", "c")} {
		if _, err := c.Open(other, monthly); meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, err := NewCursors([]byte("another key")).Open(scope, text); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("another key: %v", err)
	}
}

func TestDamagedCursorsAreRefused(t *testing.T) {
	t.Parallel()
	c := NewCursors([]byte("a key of these tests"))
	m := metricsV3(t, "")
	scope := m.Scope("o", "c")
	text := c.Sign(scope, Position{m.Window, Row{Service: "SU1Z0isxPaozGVKXdv0eY"}})
	bad := []string{"", " ", "x", "null", text + "A", text + "=", text[1:], strings.Repeat("A", maxCursorBytes), strings.Repeat("A", maxCursorBytes+1)}
	for i := range text {
		bad = append(bad, text[:i])
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(raw) {
		raw[i/8] ^= 1 << (i % 8)
		bad = append(bad, base64.RawURLEncoding.EncodeToString(raw))
		raw[i/8] ^= 1 << (i % 8)
	}
	for _, b := range bad {
		p, err := c.Open(scope, b)
		if meter.KindOf(err) != meter.KindInvalid || !strings.Contains(err.Error(), "cursor is not one that was given for this request") {
			t.Errorf("%.80q: %+v %v", b, p, err)
		}
	}
}

// TestCursorLengthLimit opens one of the longest cursors and one past it.
func TestCursorLengthLimit(t *testing.T) {
	t.Parallel()
	c := NewCursors([]byte("a key of these tests"))
	m := metricsV3(t, "")
	scope := m.Scope("o", "c")
	longest := 0
	for size := 3000; ; size++ {
		text := c.Sign(scope, Position{m.Window, Row{Service: strings.Repeat("s", size)}})
		_, err := c.Open(scope, text)
		if len(text) <= maxCursorBytes {
			if longest = len(text); err != nil {
				t.Fatalf("%d bytes: %v", longest, err)
			}
			continue
		}
		if longest != maxCursorBytes || meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%d bytes after %d: %v", len(text), longest, err)
		}
		return
	}
}

func FuzzCursor(f *testing.F) {
	c := NewCursors([]byte("a key of these tests"))
	scope := metricsV3(f, "").Scope("o", "c")
	f.Add(c.Sign(scope, Position{metricsV3(f, "").Window, Row{"a", "b", "c", "d"}}), []byte{4, 4, 1, 'a', 0, 0, 0})
	f.Add("\n"+c.Sign(scope, Position{metricsV3(f, "").Window, Row{"a", "b", "c", "d"}})+"\r\n", []byte{})
	f.Add("AAAA", []byte{0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, text string, position []byte) {
		if p, err := c.Open(scope, text); err == nil && c.Sign(scope, p) != text {
			t.Fatalf("%q is another form of %+v", text, p)
		}
		readPosition(position)
	})
}
