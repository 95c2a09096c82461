package wire

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
)

var now = time.Date(2020, 10, 15, 0, 0, 0, 0, time.UTC)

func TestParseMonths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ query, want string }{
		{"start=2020-07&end=2020-09", "2020-07 2020-09 "},
		{"end=2020-09&start=2020-07", "2020-07 2020-09 "},
		{"start=2020-12&end=2021-01", "2020-12 2021-01 "},
		{"start=2020%2D07&end=2020-08", "2020-07 2020-08 "},
		{"st%61rt=2020-07&end=2020-08", "2020-07 2020-08 "},
		{"start=2020-07&end=2020-09&accountSwitchKey=A-CCT7890:1-2RBL", "2020-07 2020-09 A-CCT7890:1-2RBL"},
		{"start=2020-07&end=2020-09&accountSwitchKey=A-CCT7890%3A1-2RBL", "2020-07 2020-09 A-CCT7890:1-2RBL"},
		{"start=2020-07&end=2020-09&accountSwitchKey=", "2020-07 2020-09 "},
		{"start=2020-07&end=2020-09&accountSwitchKey", "2020-07 2020-09 "},
		{"start=2020-07&end=2020-09&other=1&start2=x&%zz=%zz&&=", "2020-07 2020-09 "},
		{"start=2020-07&end=2020-09&month=13", "2020-07 2020-09 "},
		{"start=2020-07&end=2020-09&start=2020-07", "2020-07 2020-09 "},
		{"start=2019-04&end=2019-05", "2019-04 2019-05 "}, // 18 months before
		{"start=2019-03&end=2020-05", "more than 18 months ago: the oldest month is 2019-04"},
		{"start=2022-01&end=9999-12", "2022-01 9999-12 "},
		{"start=2020-07&end=2020-07", "not before end"},
		{"start=2020-08&end=2020-07", "not before end"},
		{"", "start is missing"},
		{"start=2020-07", "end is missing"},
		{"end=2020-07", "start is missing"},
		{"start=&end=2020-07", "start is missing"},
		{"Start=2020-07&end=2020-09", "start is missing"},
		{"start=2020-00&end=2020-09", "not a month"},
		{"start=2020-07&end=2020-13", "not a month"},
		{"start=2020-7&end=2020-09", "not a month"},
		{"start=2020-07-01&end=2020-09", "not a month"},
		{"start=202007&end=2020-09", "not a month"},
		{"start=-020-07&end=2020-09", "not a month"},
		{"start=+020-07&end=2020-09", "not a month"},
		{"start=2020-+7&end=2020-09", "not a month"},
		{"start= 2020-07&end=2020-09", "not a month"},
		{"start=2020-07%00&end=2020-09", "not a month"},
		{"start=%E0%80&end=2020-09", "not encoded"},
		{"start=２020-07&end=2020-09", "not a month"},
		{"start=2020-07&start=2020-08&end=2020-09", "start is given twice"},
		{"start=2020-07%&end=2020-09", "start is not encoded"},
		{"start=2020-07&end=2020-09&accountSwitchKey=%zz", "accountSwitchKey is not encoded"},
		{"start=2020-07;end=2020-09", "not a month"},
		{"start=" + strings.Repeat("9", 5000) + "&end=2020-09", "not a month"},
	} {
		r, err := ParseMonths(c.query, now)
		checkRange(t, c.query, r, err, r.Start.String()+" "+r.End.String()+" "+r.SwitchKey, c.want)
	}
}

func TestParseDaily(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ query, want string }{
		{"month=2020-07", "2020-07 2020-08 "},
		{"month=2020-12&accountSwitchKey=A:1&start=13", "2020-12 2021-01 A:1"},
		{"month=2019-04", "2019-04 2019-05 "},
		{"month=2019-03", "month 2019-03 is more than 18 months ago"},
		{"start=2020-07&end=2020-08", "month is missing"},
		{"month=2020-13", "not a month"},
		{"month=2020-07&month=2020-08", "month is given twice"},
	} {
		r, err := ParseDaily(c.query, now)
		checkRange(t, c.query, r, err, r.Start.String()+" "+r.End.String()+" "+r.SwitchKey, c.want)
	}
}

func checkRange(t *testing.T, query string, r Range, err error, got, want string) {
	t.Helper()
	if err != nil {
		got = err.Error()
		if meter.KindOf(err) != meter.KindInvalid || len(got) > 200 {
			t.Errorf("%.80q: %v", query, err)
		}
		if !strings.Contains(got, want) || want == "" {
			t.Errorf("%.80q: %s, want %s", query, got, want)
		}
		return
	}
	if got != want {
		t.Errorf("%.80q: %s, want %s", query, got, want)
	}
	if r.Start >= r.End {
		t.Errorf("%.80q: an empty range", query)
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{"": "", "A-CCT7890": "A-CCT7890", "A-CCT7890:1-2RBL": "A-CCT7890", "A:b:c": "A", ":x": ""} {
		if got := (Range{SwitchKey: key}).Account(); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func TestMonths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text     string
		from, to string
	}{{"2020-02", "2020-02-01", "2020-03-01"}, {"2020-12", "2020-12-01", "2021-01-01"}, {"0001-01", "0001-01-01", "0001-02-01"}} {
		m, ok := parseMonth(c.text)
		p := m.Period()
		if !ok || m.String() != c.text || p.From.Format(time.DateOnly) != c.from || p.To.Format(time.DateOnly) != c.to {
			t.Errorf("%s: %v %v %v", c.text, m, ok, p)
		}
		if MonthOf(p.From) != m || MonthOf(p.To) != m+1 || MonthOf(p.To.Add(-1)) != m {
			t.Errorf("%s: not the month of its own instants", c.text)
		}
	}
	if m := MonthOf(time.Date(2020, 7, 31, 23, 0, 0, 0, time.FixedZone("", -2*3600))); m.String() != "2020-08" {
		t.Errorf("months are not those of UTC: %s", m)
	}
}

func TestParseGroup(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"123": 123, "0": 0, "9223372036854775807": 1<<63 - 1} {
		if id, ok := ParseGroup(text); !ok || id != want {
			t.Errorf("%q: %d %v", text, id, ok)
		}
	}
	for _, text := range []string{"", "-1", "+1", "01", "1.0", "1e3", " 1", "x", "9223372036854775808", "0x1", "1_0", "１"} {
		if id, ok := ParseGroup(text); ok {
			t.Errorf("%q: %d", text, id)
		}
	}
}

func FuzzParseMonths(f *testing.F) {
	f.Add("start=2020-07&end=2020-09&accountSwitchKey=A%3A1")
	f.Add("start=2020-07%&end;=&&")
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := ParseMonths(raw, now)
		if err != nil {
			if meter.KindOf(err) != meter.KindInvalid {
				t.Fatal(err)
			}
			return
		}
		again := url.Values{"start": {r.Start.String()}, "end": {r.End.String()}, "accountSwitchKey": {r.SwitchKey}}
		if r2, err := ParseMonths(again.Encode(), now); err != nil || r2 != r {
			t.Fatalf("%+v became %+v: %v", r, r2, err)
		}
	})
}

func FuzzParseDaily(f *testing.F) {
	f.Add("month=2020-07&accountSwitchKey=A%3A1")
	f.Add("month=2020-07%&;=&&month=2020-07")
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := ParseDaily(raw, now)
		if err != nil {
			if meter.KindOf(err) != meter.KindInvalid {
				t.Fatal(err)
			}
			return
		}
		again := url.Values{"month": {r.Start.String()}, "accountSwitchKey": {r.SwitchKey}}
		if r2, err := ParseDaily(again.Encode(), now); err != nil || r2 != r || r.End != r.Start+1 {
			t.Fatalf("%+v became %+v: %v", r, r2, err)
		}
	})
}

func FuzzParseGroup(f *testing.F) {
	f.Add("123")
	f.Add("-0")
	f.Add("9223372036854775808")
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := ParseGroup(text); ok && (id < 0 || strconv.FormatInt(id, 10) != text) { // one group has one path
			t.Fatalf("%q and %d", text, id)
		}
	})
}
