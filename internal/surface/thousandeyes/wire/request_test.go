package wire

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
)

var now = time.Date(2026, 11, 22, 12, 30, 0, 5, time.UTC)

// wantInvalid checks that err is a KindInvalid about one field.
func wantInvalid(t *testing.T, name string, err error, code, field string) {
	t.Helper()
	var invalid *InvalidError
	if !errors.As(err, &invalid) || meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("%s: %v, want %s of %s", name, err, code, field)
		return
	}
	if f := invalid.Fields; len(f) != 1 || f[0].Code != code || f[0].Field != field || f[0].Message == "" {
		t.Errorf("%s: %+v, want %s of %s", name, f, code, field)
	}
}

func TestParseUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, aid, expand, bad string }{
		{raw: ""},
		{raw: "aid=1234", aid: "1234"},
		{raw: "aid=" + strings.Repeat("9", maxAIDDigits), aid: strings.Repeat("9", maxAIDDigits)},
		{raw: "aid=" + strings.Repeat("9", maxAIDDigits+1), bad: "aid"},
		{raw: "aid=", bad: "aid"}, {raw: "aid", bad: "aid"}, {raw: "aid=12a", bad: "aid"}, {raw: "aid=-1", bad: "aid"}, {raw: "aid=1&aid=1", bad: "aid"},
		{raw: "expand=test", expand: "test"},
		{raw: "expand=endpoint-agent,test", expand: "test,endpoint-agent"},                      // Python
		{raw: "expand=test%2Center&expand=", bad: "expand"},                                     //
		{raw: "expand=test%2Centerprise-agent", expand: "test,enterprise-agent"},                // Go, Java
		{raw: "expand=test&expand=enterprise-agent-unit", expand: "test,enterprise-agent-unit"}, // repeated
		{raw: "expand=test,test&expand=test", expand: "test"},
		{raw: "expand="},
		{raw: "expand=test,enterprise-agent,enterprise-agent-unit,endpoint-agent,endpoint-agent-essential,endpoint-agent-embedded",
			expand: "test,enterprise-agent,enterprise-agent-unit,endpoint-agent,endpoint-agent-essential,endpoint-agent-embedded"},
		{raw: "expand=unknown", bad: "expand"}, {raw: "expand=tests", bad: "expand"}, {raw: "expand=Test", bad: "expand"},
		{raw: "expand=test,", bad: "expand"}, {raw: "expand=test, endpoint-agent", bad: "expand"},
		{raw: "startDate=never&window=x&cursor=&foo=a;b&&=&bar"}, // not known here
		{raw: "aid=%zz", bad: "aid"}, {raw: "%zz=1&startDate=%zz&=%"},
	} {
		r, err := ParseUsage(c.raw)
		if c.bad != "" {
			wantInvalid(t, c.raw, err, codeInvalid, c.bad)
			continue
		}
		if got := strings.Join(r.expandTexts(), ","); err != nil || r.AID != c.aid || got != c.expand {
			t.Errorf("%q: %q %q %v", c.raw, r.AID, got, err)
		}
		for _, e := range expands {
			if r.Has(e) != slices.Contains(strings.Split(c.expand, ","), string(e)) {
				t.Errorf("%q: %s", c.raw, e)
			}
		}
	}
}

func TestParseUnitsRange(t *testing.T) {
	t.Parallel()
	at := now.Format(time.RFC3339Nano)
	for _, c := range []struct{ raw, from, to, code, bad string }{
		{raw: "", from: "2026-11-05T00:00:00Z", to: at}, // the cycle so far
		{raw: "startDate=2026-11-01T00:00:00.000000+0000", from: "2026-11-01T00:00:00Z", to: at},
		{raw: "startDate=2026-11-01T00:00:00%2B02:00&endDate=2026-11-02T00:00:00Z", from: "2026-10-31T22:00:00Z", to: "2026-11-02T00:00:00Z"},
		{raw: "startDate=2025-10-01T00:00:00Z&endDate=2026-11-05T00:00:00Z", from: "2025-10-01T00:00:00Z", to: "2026-11-05T00:00:00Z"}, // 400 days
		{raw: "startDate=2026-11-01T00:00:00Z&endDate=2027-01-01T00:00:00Z", from: "2026-11-01T00:00:00Z", to: "2027-01-01T00:00:00Z"},
		{raw: "window=6h", from: now.Add(-6 * time.Hour).Format(time.RFC3339Nano), to: at},
		{raw: "aid=1&foo=bar&expand=nonsense", from: "2026-11-05T00:00:00Z", to: at},

		{raw: "endDate=2026-11-02T00:00:00Z", code: CodeMissing, bad: "startDate"},
		{raw: "startDate=2026-11-02T00:00:00Z&endDate=2026-11-02T00:00:00Z", code: codeInvalid, bad: "endDate"},
		{raw: "startDate=2026-11-02T00:00:00Z&endDate=2026-11-01T00:00:00Z", code: codeInvalid, bad: "endDate"},
		{raw: "startDate=" + at, code: codeInvalid, bad: "endDate"},
		{raw: "startDate=" + now.Add(1).Format(time.RFC3339Nano), code: codeInvalid, bad: "startDate"},
		{raw: "startDate=2026-11-02", code: codeInvalid, bad: "startDate"},
		{raw: "startDate=", code: codeInvalid, bad: "startDate"},
		{raw: "startDate=2026-11-01T00:00:00Z&endDate=", code: codeInvalid, bad: "endDate"},
		{raw: "startDate=2026-11-01T00:00:00Z&startDate=2026-11-01T00:00:00Z", code: codeInvalid, bad: "startDate"},
		{raw: "window=6h&startDate=2026-11-01T00:00:00Z", code: codeConflict, bad: "window"},
		{raw: "window=&endDate=2026-11-01T00:00:00Z", code: codeConflict, bad: "window"},
		{raw: "window=", code: codeInvalid, bad: "window"}, {raw: "window=soon", code: codeInvalid, bad: "window"},
		{raw: "cursor=", code: codeInvalid, bad: "cursor"}, {raw: "cursor=abc", code: codeInvalid, bad: "cursor"},
		{raw: "cursor=a&cursor=b", code: codeInvalid, bad: "cursor"},
		{raw: "aid=x", code: codeInvalid, bad: "aid"},
	} {
		r, err := ParseUnits(TestsOperation, "o", c.raw, testCodec, now)
		if c.bad != "" {
			wantInvalid(t, c.raw, err, c.code, c.bad)
			continue
		}
		r.DefaultRange(meter.Cycle(now, 5))
		from, to := r.Range.From.Format(time.RFC3339Nano), r.Range.To.Format(time.RFC3339Nano)
		if err != nil || from != c.from || to != c.to {
			t.Errorf("%q: %s to %s, %v", c.raw, from, to, err)
		}
		if d := r.Data(); d.To.After(now) || d.To.After(r.Range.To) || !d.From.Equal(r.Range.From) {
			t.Errorf("%q: data %v", c.raw, d)
		}
	}
}

func TestAgentsOperationTakesNoAID(t *testing.T) {
	t.Parallel()
	if r, err := ParseUnits(AgentsOperation, "o", "aid=x", testCodec, now); err != nil || r.AID != "" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestComparePositions(t *testing.T) {
	t.Parallel()
	sorted := []Position{{"1", "9"}, {"1", "10"}, {"1", "010"}, {"2", "1"}, {"10", ""}, {"10", "a"}, {"99999999999999999999999", "1"}, {"", "5"}, {"", ""}, {"b", "1"}}
	mixed := slices.Clone(sorted)
	slices.Reverse(mixed)
	slices.SortFunc(mixed, ComparePositions)
	// "" is not a number, so it comes after those that are.
	want := "[{1 9} {1 010} {1 10} {2 1} {10 } {10 a} {99999999999999999999999 1} { 5} { } {b 1}]"
	if got := fmt.Sprint(mixed); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

var testCodec = NewCursorCodec([]byte("0123456789abcdef0123456789abcdef"))

// follow gives the page after the first one of a request, by its link.
func follow(t *testing.T, op Operation, raw string) (first UnitsRequest, href *url.URL) {
	t.Helper()
	first, err := ParseUnits(op, "o/c", raw, testCodec, now)
	if err != nil {
		t.Fatal(err)
	}
	first.DefaultRange(meter.Cycle(now, 5))
	links, err := first.Links("https://meter.example", testCodec, &Position{"1234", "901"})
	if err != nil {
		t.Fatal(err)
	}
	href, err = url.Parse(links.Next.Href)
	if err != nil {
		t.Fatal(err)
	}
	return first, href
}

func TestCursorFreezesTheFirstPage(t *testing.T) {
	t.Parallel()
	later := now.Add(40 * 24 * time.Hour)
	for _, raw := range []string{
		"", "aid=1234", "window=6h", "startDate=2026-11-01T00:00:00.5Z", "startDate=2026-11-01T00:00:00 0000&endDate=2027-01-01T00:00:00Z&aid=7",
	} {
		first, href := follow(t, TestsOperation, raw)
		if n := href.Query()["cursor"]; len(n) != 1 || n[0] == "" {
			t.Errorf("%q: %d cursors", raw, len(n))
		}
		cursor := url.Values{"cursor": href.Query()["cursor"]}.Encode()
		// As the link says, as SDKs do (their filters and the cursor), and with the cursor alone.
		for _, next := range []string{href.RawQuery, raw + "&" + cursor, cursor} {
			got, err := ParseUnits(TestsOperation, "o/c", next, testCodec, later)
			if err != nil {
				t.Errorf("%q: %q: %v", raw, next, err)
				continue
			}
			got.DefaultRange(meter.Cycle(later, 5))
			if !got.Range.From.Equal(first.Range.From) || !got.Range.To.Equal(first.Range.To) || !got.Now.Equal(first.Now) || got.AID != first.AID {
				t.Errorf("%q: %q: %+v, want %+v", raw, next, got, first)
			}
			if got.After == nil || *got.After != (Position{"1234", "901"}) {
				t.Errorf("%q: after %v", raw, got.After)
			}
			links, err := got.Links("https://meter.example", testCodec, nil)
			if err != nil || links.Next != nil || links.Self.Href != href.String() {
				t.Errorf("%q: %+v %v, want self %s", raw, links, err, href)
			}
		}
	}
}

func TestCursorRefusals(t *testing.T) {
	t.Parallel()
	_, href := follow(t, TestsOperation, "aid=1234&startDate=2026-11-01T00:00:00Z")
	cursor := "&cursor=" + href.Query().Get("cursor")
	parse := func(op Operation, scope, raw string, codec *CursorCodec) error {
		_, err := ParseUnits(op, scope, raw, codec, now)
		return err
	}
	for raw, field := range map[string]string{
		"aid=5678": "aid", "startDate=2026-11-02T00:00:00Z": "startDate",
		"startDate=2026-11-01T00:00:00Z&endDate=2026-11-02T00:00:00Z": "endDate", "window=7d": "window",
	} {
		wantInvalid(t, raw, parse(TestsOperation, "o/c", raw+cursor, testCodec), codeConflict, field)
	}
	wantInvalid(t, "another operation", parse(AgentsOperation, "o/c", cursor, testCodec), codeInvalid, "cursor")
	wantInvalid(t, "another scope", parse(TestsOperation, "o/d", cursor, testCodec), codeInvalid, "cursor")
	wantInvalid(t, "another key", parse(TestsOperation, "o/c", cursor, NewCursorCodec([]byte("x"))), codeInvalid, "cursor")
	text := href.Query().Get("cursor")
	for i := range len(text) {
		changed := []byte(text)
		changed[i] = 'A' + (changed[i]-'A'+1)%26
		wantInvalid(t, fmt.Sprint("byte ", i), parse(TestsOperation, "o/c", "cursor="+string(changed), testCodec), codeInvalid, "cursor")
		wantInvalid(t, fmt.Sprint("cut at ", i), parse(TestsOperation, "o/c", "cursor="+text[:i], testCodec), codeInvalid, "cursor")
	}
	wantInvalid(t, "padded", parse(TestsOperation, "o/c", "cursor="+text+"%3D", testCodec), codeInvalid, "cursor")
}

func TestCursorBytes(t *testing.T) {
	t.Parallel()
	r, _ := follow(t, TestsOperation, "")
	var longest int
	for n := 1000; ; n++ {
		cursor, err := testCodec.encode(r, Position{ID: strings.Repeat("x", n)})
		if err != nil {
			if meter.KindOf(err) != meter.KindTooLarge || longest != maxCursorBytes && longest != maxCursorBytes-1 {
				t.Errorf("%d bytes, then %v", longest, err)
			}
			return
		}
		longest = len(cursor)
		if _, ok := testCodec.decode(TestsOperation, "o/c", cursor); !ok {
			t.Fatalf("%d bytes cannot be read", longest)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("aid=1&expand=test%2Cendpoint-agent", int64(0))
	f.Add("startDate=2022-07-17T22:00:54.000000+0000&endDate=2022-07-18T22:00:54Z", now.Unix())
	f.Add("window=7d&cursor=abc", now.Unix())
	r, _ := ParseUnits(TestsOperation, "o", "startDate=2026-11-01T00:00:00Z", testCodec, now)
	cursor, _ := testCodec.encode(r, Position{"1", "2"})
	f.Add("cursor="+cursor, now.Unix())
	f.Fuzz(func(t *testing.T, raw string, seconds int64) {
		at := time.Unix(seconds%(1<<32), 0)
		if r, err := ParseUsage(raw); err == nil {
			again, err := ParseUsage(strings.TrimPrefix(r.Links("").Self.Href, PathUsage+"?"))
			if r.Links("").Self.Href != PathUsage && (err != nil || again.AID != r.AID || !slices.Equal(again.Expand, r.Expand)) {
				t.Fatalf("%q: %+v, by its link %+v %v", raw, r, again, err)
			}
		}
		for _, op := range []Operation{TestsOperation, AgentsOperation} {
			r, err := ParseUnits(op, "o", raw, testCodec, at)
			if err != nil {
				if meter.KindOf(err) != meter.KindInvalid {
					t.Fatalf("%q: %v", raw, err)
				}
				continue
			}
			r.DefaultRange(meter.Cycle(at, 1))
			links, err := r.Links("", testCodec, &Position{"1", "2"})
			if err != nil {
				t.Fatalf("%q: %v", raw, err)
			}
			_, query, _ := strings.Cut(links.Next.Href, "?")
			next, err := ParseUnits(op, "o", query, testCodec, at.Add(time.Hour))
			if err != nil || !next.Range.From.Equal(r.Range.From) || !next.Range.To.Equal(r.Range.To) || next.AID != r.AID {
				t.Fatalf("%q: %+v, then %+v %v", raw, r, next, err)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	r, _ := ParseUnits(TestsOperation, "o", "startDate=2026-11-01T00:00:00Z", testCodec, now)
	cursor, _ := testCodec.encode(r, Position{"1", "2"})
	f.Add(cursor)
	f.Add(cursor[:4] + "\r\n" + cursor[4:] + "\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, ok := testCodec.decode(TestsOperation, "o", text); ok && text != cursor {
			t.Fatalf("%q was taken", text)
		}
	})
}
