package wire

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
)

// now is the instant at which all requests of these tests arrive.
var now = time.Date(2026, 11, 22, 13, 14, 15, 16, time.UTC)

// span renders a window as the wire does.
func span(w Window) string { return w.Start() + " " + w.End() }

func TestWindowsOfV2(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"time_granularity=month":                                                  "2026-11-01T00:00:00Z 2026-11-30T23:59:59Z",
		"time_granularity=month&start_month=2026-09":                              "2026-09-01T00:00:00Z 2026-11-30T23:59:59Z",
		"time_granularity=month&end_month=2024-02":                                "2024-02-01T00:00:00Z 2024-02-29T23:59:59Z",
		"time_granularity=month&start_month=2023-01&end_month=2023-03":            "2023-01-01T00:00:00Z 2023-03-31T23:59:59Z",
		"time_granularity=month&start_month=2023-02&end_month=2023-02":            "2023-02-01T00:00:00Z 2023-02-28T23:59:59Z",
		"time_granularity=month&start_month=2023-12&end_month=2027-01":            "2023-12-01T00:00:00Z 2027-01-31T23:59:59Z",
		"time_granularity=month&start_month=0001-01&end_month=9999-12":            "0001-01-01T00:00:00Z 9999-12-31T23:59:59Z",
		"time_granularity=day":                                                    "2026-11-01T00:00:00Z 2026-11-22T23:59:59Z",
		"time_granularity=day&start_date=2026-10-30":                              "2026-10-30T00:00:00Z 2026-11-22T23:59:59Z",
		"time_granularity=day&end_date=2026-10-30":                                "2026-10-30T00:00:00Z 2026-10-30T23:59:59Z",
		"time_granularity=day&start_date=2023-01-01&end_date=2023-01-31":          "2023-01-01T00:00:00Z 2023-01-31T23:59:59Z",
		"time_granularity=day&start_date=2024-02-29&end_date=2024-02-29":          "2024-02-29T00:00:00Z 2024-02-29T23:59:59Z",
		"time_granularity=day&start_date=2025-10-18&end_date=2026-11-22":          "2025-10-18T00:00:00Z 2026-11-22T23:59:59Z", // 400 days
		"end_date=2023-01-31&time_granularity=day&start_date=2023-01-01":          "2023-01-01T00:00:00Z 2023-01-31T23:59:59Z",
		"time_granularity=month&colour=%zz&start_month=2023-01&end_month=2023-01": "2023-01-01T00:00:00Z 2023-01-31T23:59:59Z",
	} {
		m, err := ParseMetricsV2("product_id=p&usage_type_name=u&"+query, nil, now)
		if err != nil || span(m.Window) != want {
			t.Errorf("%s: %s %v, want %s", query, span(m.Window), err, want)
		}
	}
}

func TestParametersOfV2(t *testing.T) {
	t.Parallel()
	const plain = "product_id=cdn_usage&usage_type_name=North+America+Requests&time_granularity=month"
	for query, want := range map[string]Metrics{
		plain: {Product: "cdn_usage", UsageType: "North America Requests", Limit: 5},
		"product_id=cdn_usage&usage_type_name=North%20America%20Requests&time_granularity=month&cursor=": {Product: "cdn_usage", UsageType: "North America Requests", Limit: 5},
		"product_id=%C3%B8l%2F%2B&usage_type_name=%26&time_granularity=month":                            {Product: "øl/+", UsageType: "&", Limit: 5},
		"product_id=a;b&usage_type_name=c=d&time_granularity=month":                                      {Product: "a;b", UsageType: "c=d", Limit: 5},
		plain + "&limit=1":      {Product: "cdn_usage", UsageType: "North America Requests", Limit: 1},
		plain + "&limit=100":    {Product: "cdn_usage", UsageType: "North America Requests", Limit: 100},
		plain + "&limit=007":    {Product: "cdn_usage", UsageType: "North America Requests", Limit: 7},
		plain + "&cursor=a-_b&": {Product: "cdn_usage", UsageType: "North America Requests", Limit: 5, Cursor: "a-_b"},
		plain + "&unknown=1&unknown=2&service=x&=&&limit=6": {Product: "cdn_usage", UsageType: "North America Requests", Limit: 6},
	} {
		m, err := ParseMetricsV2(query, nil, now)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if m.Product != want.Product || m.UsageType != want.UsageType || m.Limit != want.Limit || m.Cursor != want.Cursor || m.Granularity != Monthly || m.CSV || m.Service != "" {
			t.Errorf("%s: %+v", query, m)
		}
	}
}

func TestRefusalsOfV2(t *testing.T) {
	t.Parallel()
	const named = "product_id=p&usage_type_name=u&"
	for query, want := range map[string]string{
		"":                              "time_granularity",
		named:                           "time_granularity",
		named + "time_granularity=":     "time_granularity",
		named + "time_granularity=Day":  "time_granularity",
		named + "time_granularity=hour": "time_granularity",
		named + "time_granularity=day&time_granularity=day":                      "time_granularity is given more than once",
		"product_id=p&time_granularity=day":                                      "required",
		"usage_type_name=u&time_granularity=day":                                 "required",
		"product_id=&usage_type_name=u&time_granularity=day":                     "required",
		"product_id=p&usage_type_name=&time_granularity=day":                     "required",
		"product_id=%zz&usage_type_name=u&time_granularity=day":                  "product_id is not percent-encoded UTF-8",
		"product_id=%ff&usage_type_name=u&time_granularity=day":                  "product_id is not percent-encoded UTF-8",
		named + "time_granularity=month&start_date=2023-01-01":                   "start_date cannot be used with time_granularity month",
		named + "time_granularity=month&end_date=":                               "end_date cannot be used",
		named + "time_granularity=day&start_month=2023-01":                       "start_month cannot be used with time_granularity day",
		named + "time_granularity=day&start_date=2023-01-01&end_month=2023-01":   "end_month cannot be used",
		named + "time_granularity=month&start_month=2023-13":                     "start_month must be",
		named + "time_granularity=month&start_month=2023-00":                     "start_month must be",
		named + "time_granularity=month&end_month=2023-1":                        "end_month must be",
		named + "time_granularity=month&end_month=0000-01":                       "end_month must be",
		named + "time_granularity=month&start_month=":                            "start_month must be",
		named + "time_granularity=month&start_month=2023-01-01":                  "start_month must be",
		named + "time_granularity=month&start_month=2023-02&end_month=2023-01":   "after end_month",
		named + "time_granularity=month&start_month=2026-12":                     "after end_month",
		named + "time_granularity=day&start_date=2023-02-29":                     "start_date must be",
		named + "time_granularity=day&start_date=2023-04-31":                     "start_date must be",
		named + "time_granularity=day&end_date=2023-01-1":                        "end_date must be",
		named + "time_granularity=day&end_date=":                                 "end_date must be",
		named + "time_granularity=day&end_date=2023-01-01T00:00:00Z":             "end_date must be",
		named + "time_granularity=day&start_date=2023-01-02&end_date=2023-01-01": "after end_date",
		named + "time_granularity=day&start_date=2026-11-23":                     "after end_date",
		named + "time_granularity=day&limit=":                                    "limit",
		named + "time_granularity=day&limit=0":                                   "limit",
		named + "time_granularity=day&limit=101":                                 "from 1 to 100",
		named + "time_granularity=day&limit=-5":                                  "limit",
		named + "time_granularity=day&limit=%2B5":                                "limit",
		named + "time_granularity=day&limit=5.0":                                 "limit",
		named + "time_granularity=day&limit=5+":                                  "limit",
		named + "time_granularity=day&limit=99999999999999999999":                "limit",
		named + "time_granularity=day&limit=5&limit=5":                           "more than once",
	} {
		m, err := ParseMetricsV2(query, nil, now)
		if meter.KindOf(err) != meter.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v %v, want %s", query, m, err, want)
		}
	}
}

func TestRequestsOfV3(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]struct {
		Metrics
		window string
	}{
		"": {Metrics{Limit: 1000}, "2026-11-01T00:00:00Z 2026-11-30T23:59:59Z"},
		"product_id=p&usage_type_name=u&service=s&start_month=2023-01&end_month=2023-05&limit=10000&cursor=c": {
			Metrics{Product: "p", UsageType: "u", Service: "s", Limit: 10000, Cursor: "c"}, "2023-01-01T00:00:00Z 2023-05-31T23:59:59Z"},
		"start_month=2026-10&start_date=nonsense&time_granularity=nonsense": {Metrics{Limit: 1000}, "2026-10-01T00:00:00Z 2026-11-30T23:59:59Z"},
		"end_month=2026-10&product_id=&usage_type_name=":                    {Metrics{Limit: 1000}, "2026-10-01T00:00:00Z 2026-10-31T23:59:59Z"},
	} {
		m, err := ParseMetricsV3(query, nil, now)
		if err != nil || m.Product != want.Product || m.UsageType != want.UsageType || m.Service != want.Service || m.Limit != want.Limit ||
			m.Cursor != want.Cursor || span(m.Window) != want.window {
			t.Errorf("%s: %+v %v", query, m, err)
		}
	}
	for query, want := range map[string]string{
		"product_id=p":                          "used together",
		"usage_type_name=u":                     "used together",
		"limit=10001":                           "from 1 to 10000",
		"limit=0":                               "limit",
		"start_month=2023-13":                   "start_month must be",
		"start_month=2023-02&end_month=2023-01": "after end_month",
		"service=%zz":                           "service is not",
		"service=a&service=b":                   "more than once",
	} {
		if _, err := ParseMetricsV3(query, nil, now); meter.KindOf(err) != meter.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}

func TestMonthlyRequests(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"start_month=2023-01&end_month=2023-01":         "2023-01-01T00:00:00Z 2023-01-31T23:59:59Z",
		"start_month=2022-12&end_month=2023-02":         "2022-12-01T00:00:00Z 2023-02-28T23:59:59Z", // three months
		"start_month=2099-01&end_month=2099-02&limit=x": "2099-01-01T00:00:00Z 2099-02-28T23:59:59Z",
	} {
		w, err := ParseMonthly(query)
		if err != nil || span(w) != want {
			t.Errorf("%s: %s %v, want %s", query, span(w), err, want)
		}
	}
	for query, want := range map[string]string{
		"":                                      "start_month is required",
		"start_month=2023-01":                   "end_month is required",
		"end_month=2023-01":                     "start_month is required",
		"start_month=&end_month=2023-01":        "start_month must be",
		"start_month=2023-01&end_month=2023-04": "at most 3 months", // four
		"start_month=2022-12&end_month=2023-12": "at most 3 months",
		"start_month=2023-02&end_month=2023-01": "after end_month",
		"start_month=2023-1&end_month=2023-02":  "start_month must be",
	} {
		if w, err := ParseMonthly(query); meter.KindOf(err) != meter.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v %v, want %s", query, w, err, want)
		}
	}
}

func TestMonthsOfAWindow(t *testing.T) {
	t.Parallel()
	w, err := ParseMonthly("start_month=2023-12&end_month=2024-02")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range w.Months() {
		got = append(got, m.Name+" "+span(m.Window))
	}
	want := "2023-12 2023-12-01T00:00:00Z 2023-12-31T23:59:59Z, 2024-01 2024-01-01T00:00:00Z 2024-01-31T23:59:59Z, " +
		"2024-02 2024-02-01T00:00:00Z 2024-02-29T23:59:59Z"
	if text := strings.Join(got, ", "); text != want {
		t.Error(text)
	}
}

func TestUsageIsClampedToToday(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"start_month=2026-10&end_month=2026-10": "2026-10-01 2026-11-01",
		"start_month=2026-11&end_month=2026-11": "2026-11-01 2026-11-23",
		"start_month=2026-10&end_month=2027-01": "2026-10-01 2026-11-23",
		"start_month=2027-01&end_month=2027-01": "2027-01-01 2027-01-01",
		"start_month=0001-01&end_month=9999-12": "1970-01-01 2026-11-23",
		"start_month=0001-01&end_month=0001-02": "1970-01-01 1970-01-01",
	} {
		m, err := ParseMetricsV3(query, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		p := m.Window.Usage(now)
		if got := p.From.Format(dateForm) + " " + p.To.Format(dateForm); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"":                                      false,
		"*/*":                                   false,
		"application/json":                      false,
		"text/csv":                              true,
		"Text/CSV; charset=utf-8":               true,
		"text/*":                                true,
		"text/html":                             false,
		"text/csv, */*":                         false,
		"text/csv, */*;q=0.8":                   true,
		"text/csv, application/json":            false,
		"application/json, text/csv":            false,
		"application/json;q=0.5, text/csv":      true,
		"application/json;q=0.5,text/csv;q=0.4": false,
		"text/csv;q=0.1, application/json;q=0":  true,
		"text/csv;q=0":                          false,
		"text/csv;q=0, */*":                     false,
		"text/csv;q=0.001":                      true,
		"text/csv;q=0.0001":                     false,
		"text/csv;q=1.000":                      true,
		"text/csv;q=1.1":                        false,
		"text/csv;q=x":                          false,
		"text/csv;header=present;Q=0.7, application/*;q=0.6": true,
		"application/json, text/csv, application/pdf":        false,
		"text/csv\napplication/json":                         false,
		"text/csv\napplication/json;q=0.9":                   true,
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(accept, "\n") {
			h.Add("Accept", line)
		}
		if got := wantsCSV(h); got != want {
			t.Errorf("%q: %t", accept, got)
		}
	}
}

// TestCSVNeedsNoProduct also shows that CSV has no pages.
func TestCSVNeedsNoProduct(t *testing.T) {
	t.Parallel()
	h := http.Header{"Accept": {"text/csv"}}
	for _, query := range []string{"", "product_id=p", "usage_type_name=u", "product_id=p&usage_type_name=u", "limit=none&cursor=none"} {
		for version, m := range parseBoth(t, query, h) {
			q, err := url.ParseQuery(query)
			if err != nil || m.Product != q.Get("product_id") || m.UsageType != q.Get("usage_type_name") || !m.CSV || m.Cursor != "" {
				t.Errorf("%s %s: %+v %v", version, query, m, err)
			}
		}
	}
	if _, err := ParseMetricsV2("product_id=p", h, now); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("CSV without time_granularity: %v", err)
	}
}

func parseBoth(t *testing.T, query string, h http.Header) map[string]Metrics {
	t.Helper()
	v2, err := ParseMetricsV2("time_granularity=day&"+query, h, now)
	if err != nil {
		t.Error(err)
	}
	v3, err := ParseMetricsV3(query, h, now)
	if err != nil {
		t.Error(err)
	}
	return map[string]Metrics{"v2": v2, "v3": v3}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"":                 "",
		"odo_abc":          "odo_abc",
		"Bearer odo_abc":   "odo_abc",
		"bearer  odo_abc ": "odo_abc",
		"Bearer ":          "Bearer", // a token may be any word
		" ":                "",
		"Token odo_abc":    "Token odo_abc",
		"a\nb":             "",
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(sent, "\n") {
			h.Add("Fastly-Key", line)
		}
		if got, ok := Token(h); got != want || ok != (want != "") {
			t.Errorf("%q: %q %t", sent, got, ok)
		}
	}
	if got, ok := Token(http.Header{"Authorization": {"Bearer x"}}); ok {
		t.Errorf("another header: %q", got)
	}
}

func FuzzRequests(f *testing.F) {
	f.Add("product_id=p&usage_type_name=u&time_granularity=month&start_month=2023-01&end_month=2023-03&limit=5&cursor=", "text/csv;q=0.5")
	f.Add("product_id=p&usage_type_name=u&time_granularity=day&start_date=0001-01-01&end_date=9999-12-31", "*/*")
	f.Add("%zz=%zz&&=&limit=99999999999999999999", "a;q=,;;q")
	f.Fuzz(func(t *testing.T, query, accept string) {
		h := http.Header{"Accept": {accept}}
		check := func(w Window, err error) {
			if err != nil {
				if meter.KindOf(err) != meter.KindInvalid {
					t.Fatal(err)
				}
				return
			}
			u := w.Usage(now)
			if w.Last.Before(w.First) || u.To.Before(u.From) || len(w.Start()) != 20 || len(w.End()) != 20 {
				t.Fatalf("%s, usage %v", span(w), u)
			}
		}
		v2, err := ParseMetricsV2(query, h, now)
		check(v2.Window, err)
		if err == nil && !v2.CSV && (v2.Limit < 1 || v2.Limit > maxLimitV2) {
			t.Fatal(v2.Limit)
		}
		v3, err := ParseMetricsV3(query, h, now)
		check(v3.Window, err)
		w, err := ParseMonthly(query)
		check(w, err)
		if err == nil && (len(w.Months()) < 1 || len(w.Months()) > maxMonths) {
			t.Fatal(w.Months())
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add("odo_key")
	f.Add("Bearer odo_key")
	f.Add("bearer  ")
	f.Fuzz(func(t *testing.T, value string) {
		token, ok := Token(http.Header{"Fastly-Key": {value}})
		if ok != (token != "") || !strings.Contains(value, token) || strings.TrimSpace(token) != token {
			t.Fatalf("%q: %q, %v", value, token, ok)
		}
	})
}
