package native

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

type usageBody struct {
	Meter string
	Rows  []struct {
		Start, End, Value string
		Group             map[string]string
		Clipped           bool
	}
	Total      *string
	Source     string
	Sequence   uint64
	NextCursor *string `json:"next_cursor"`
}

// lines renders rows as "start group value", which is easy to compare.
func (u usageBody) lines(groups ...string) []string {
	var out []string
	for _, r := range u.Rows {
		line := r.Start
		for _, g := range groups {
			line += " " + r.Group[g]
		}
		out = append(out, line+" "+r.Value)
	}
	return out
}

// usageWorld has a day of events: every hour from 00:30 to 11:30, service a
// for acme with 0.1 bytes, and at even hours service b for zeta with 2.
func usageWorld(t *testing.T) *world {
	w := newWorld(t)
	w.meters()
	var events []string
	for h := range 12 {
		at := quote(fmt.Sprintf("2026-11-22T%02d:30:00Z", h))
		events = append(events, testEvent(fmt.Sprintf("a-%d", h), "time", at, "data", `{"service":"a","bytes":0.1}`))
		if h%2 == 0 {
			events = append(events, testEvent(fmt.Sprintf("b-%d", h), "time", at, "subject", `"zeta"`, "data", `{"service":"b","bytes":"2"}`))
		}
	}
	w.ingest("["+strings.Join(events, ",")+"]", 18, 0, 0, 0)
	return w
}

func TestUsage(t *testing.T) {
	t.Parallel()
	w := usageWorld(t)
	get := func(query string) usageBody {
		t.Helper()
		return read[usageBody](w, w.want(w.call("GET", "/api/v1/meters/bytes/usage?"+query, ""), 200))
	}
	for _, c := range []struct {
		name, query string
		groups      []string
		want        []string
		total       string
	}{
		{"whole range", today, nil, []string{"2026-11-22T00:00:00Z 13.2"}, "13.2"},
		{"grouped", today + "&group_by=service", []string{"service"}, []string{"2026-11-22T00:00:00Z a 1.2", "2026-11-22T00:00:00Z b 12"}, "13.2"},
		{"the largest first", today + "&group_by=service&sort=-value", []string{"service"}, []string{"2026-11-22T00:00:00Z b 12", "2026-11-22T00:00:00Z a 1.2"}, "13.2"},
		{"the largest", today + "&group_by=service&sort=-value&limit=1", []string{"service"}, []string{"2026-11-22T00:00:00Z b 12"}, "13.2"},
		{"two groups", today + "&group_by=service,customer", []string{"service", "customer"},
			[]string{"2026-11-22T00:00:00Z a acme 1.2", "2026-11-22T00:00:00Z b zeta 12"}, "13.2"},
		{"repeated group_by", today + "&group_by=service&group_by=customer", []string{"service", "customer"},
			[]string{"2026-11-22T00:00:00Z a acme 1.2", "2026-11-22T00:00:00Z b zeta 12"}, "13.2"},
		{"by hour", "from=2026-11-22T02:00:00Z&to=2026-11-22T04:00:00Z&window=hour", nil,
			[]string{"2026-11-22T02:00:00Z 2.1", "2026-11-22T03:00:00Z 0.1"}, "2.2"},
		{"by hour and service", "from=2026-11-22T02:00:00Z&to=2026-11-22T03:00:00Z&window=hour&group_by=service", []string{"service"},
			[]string{"2026-11-22T02:00:00Z a 0.1", "2026-11-22T02:00:00Z b 2"}, "2.1"},
		{"filter", today + "&filter[service]=b", nil, []string{"2026-11-22T00:00:00Z 12"}, "12"},
		{"filter in one parameter", today + "&filter=service=b", nil, []string{"2026-11-22T00:00:00Z 12"}, "12"},
		{"filters in both forms", today + "&filter=service=b&filter=customer=zeta&filter[service]=a&filter=service=x=y", nil, []string{"2026-11-22T00:00:00Z 12"}, "12"},
		{"filter of alternatives", today + "&filter[service]=b&filter[service]=a", nil, []string{"2026-11-22T00:00:00Z 13.2"}, "13.2"},
		{"filters of two attributes", today + "&filter[service]=b&filter[customer]=acme", nil, nil, "0"},
		{"escaped filter", today + "&filter%5Bservice%5D=b", nil, []string{"2026-11-22T00:00:00Z 12"}, "12"},
		{"empty windows are left out", "from=2026-11-22T11:00:00Z&to=2026-11-22T14:00:00Z&window=hour", nil, []string{"2026-11-22T11:00:00Z 0.1"}, "0.1"},
		{"empty windows filled", "from=2026-11-22T11:00:00Z&to=2026-11-22T14:00:00Z&window=hour&fill=zero", nil,
			[]string{"2026-11-22T11:00:00Z 0.1", "2026-11-22T12:00:00Z 0", "2026-11-22T13:00:00Z 0"}, "0.1"},
		{"half-hour zone", "from=2026-11-22T00:00:00Z&to=2026-11-22T01:00:00Z&window=hour&tz=Asia/Kolkata", nil,
			[]string{"2026-11-22T06:00:00+05:30 2.1"}, "2.1"},
		{"day in a zone", today + "&window=day&tz=America/New_York", nil,
			[]string{"2026-11-21T19:00:00-05:00 6.5", "2026-11-22T00:00:00-05:00 6.7"}, "13.2"},
		{"half-open", "from=2026-11-22T00:30:00Z&to=2026-11-22T01:30:00Z", nil, []string{"2026-11-22T00:30:00Z 2.1"}, "2.1"},
	} {
		u := get(c.query)
		if got := u.lines(c.groups...); !slices.Equal(got, c.want) || u.Total == nil || *u.Total != c.total || u.Meter != "bytes" ||
			u.Source != "cells" && u.Source != "events" || u.Sequence == 0 || u.NextCursor != nil {
			t.Errorf("%s: %v, want %v; %+v", c.name, got, c.want, u)
		}
	}
	if u := get(today + "&window=month"); len(u.Rows) != 1 || !u.Rows[0].Clipped {
		t.Errorf("a clipped month: %+v", u)
	}
	if u := get(today + "&window=day"); len(u.Rows) != 1 || u.Rows[0].Clipped {
		t.Errorf("a whole day: %+v", u)
	}
}

func TestUsageAsOf(t *testing.T) {
	t.Parallel()
	w := usageWorld(t)
	w.Clock.Advance(time.Hour)
	w.ingest(testEvent("late", "data", `{"bytes":1}`), 1, 0, 0, 0)
	then := start.Add(time.Minute).Format(time.RFC3339)
	if now, before := w.total("bytes", today), w.total("bytes", today+"&as_of="+then); now != "14.2" || before != "13.2" {
		t.Errorf("now %s, as of before %s", now, before)
	}
}

func TestUsagePages(t *testing.T) {
	t.Parallel()
	w := usageWorld(t)
	var got []string
	cursor, pages := "", 0
	for {
		u := read[usageBody](w, w.want(w.call("GET", "/api/v1/meters/bytes/usage?"+today+"&window=hour&group_by=service&limit=4&cursor="+url.QueryEscape(cursor), ""), 200))
		got = append(got, u.lines("service")...)
		pages++
		if u.Total == nil || *u.Total != "13.2" {
			t.Errorf("page %d: total %v", pages, u.Total)
		}
		if u.NextCursor == nil {
			break
		}
		if cursor = *u.NextCursor; len(u.Rows) != 4 {
			t.Errorf("a page of %d rows", len(u.Rows))
		}
	}
	all := read[usageBody](w, w.call("GET", "/api/v1/meters/bytes/usage?"+today+"&window=hour&group_by=service", ""))
	if !slices.Equal(got, all.lines("service")) || len(got) != 18 || pages != 5 {
		t.Errorf("%d pages: %v", pages, got)
	}
}

// TestUsageCursorOfItsQuestion: a cursor is of the question that it came from; another's would leave rows out in silence.
func TestUsageCursorOfItsQuestion(t *testing.T) {
	t.Parallel()
	w := usageWorld(t)
	const path = "/api/v1/meters/bytes/usage?"
	question := today + "&window=hour&group_by=service&filter[service]=a&filter[service]=b"
	first := read[usageBody](w, w.want(w.call("GET", path+question+"&limit=1", ""), 200))
	if first.NextCursor == nil {
		t.Fatalf("%+v", first)
	}
	cursor := "&cursor=" + url.QueryEscape(*first.NextCursor)
	for _, same := range []string{question + "&limit=1", question + "&limit=7", question, today + "&filter[service]=b&filter[service]=a&group_by=service&window=hour"} {
		w.want(w.call("GET", path+same+cursor, ""), 200)
	}
	bound := read[struct{ Key string }](w, w.call("POST", "/api/v1/keys", `{"role":"read","customer":"acme"}`))
	w.want(w.call("GET", path+question+cursor, "", as(bound.Key)...), 400)
	for _, other := range []string{
		today + "&window=hour&group_by=service", today + "&window=day&group_by=service&filter[service]=a&filter[service]=b",
		today + "&window=hour&group_by=region&filter[service]=a&filter[service]=b", question + "&tz=Europe/Oslo", question + "&fill=zero",
		question + "&as_of=" + start.Format(time.RFC3339), question + "&filter[region]=eu",
	} {
		a := w.want(w.call("GET", path+other+cursor, ""), 400)
		if !strings.Contains(a.Body, "the cursor is not one of this question") {
			t.Errorf("%s: %s", other, a.Body)
		}
	}
}

func TestUsageCSV(t *testing.T) {
	t.Parallel()
	w := usageWorld(t)
	w.ingest(testEvent("odd", "data", `{"service":"quo\"te, comma","bytes":3}`), 1, 0, 0, 0)
	query := "/api/v1/meters/bytes/usage?" + today + "&window=day&group_by=service"
	a := w.want(w.call("GET", query, "", "Accept", "text/csv"), 200)
	rows, err := csv.NewReader(strings.NewReader(a.Body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"start", "end", "service", "value", "clipped"},
		{"2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", "a", "1.2", "false"},
		{"2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", "b", "12", "false"},
		{"2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", `quo"te, comma`, "3", "false"}}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Errorf("%v", rows)
	}
	if a.Header.Get("Odometer-Total") != "16.2" || a.Header.Get("Odometer-Source") == "" || a.Header.Get("Odometer-Sequence") == "" ||
		!strings.HasPrefix(a.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("%v", a.Header)
	}
	if a := w.call("GET", query+"&limit=1", "", "Accept", "text/csv"); a.Header.Get("Odometer-Next-Cursor") == "" {
		t.Error("a CSV page does not tell of the next one")
	}
	for accept, csv := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/html": false, "text/csv": true, "TEXT/CSV; q=0.5": true,
		"text/csv, application/json": false, "text/csv, application/json;q=0.9": true, "text/csv;q=0": false, "text/*": false,
	} {
		if a := w.call("GET", query, "", "Accept", accept); strings.HasPrefix(a.Header.Get("Content-Type"), "text/csv") != csv {
			t.Errorf("Accept %q: %s", accept, a.Header.Get("Content-Type"))
		}
	}
}

func TestUsageRefused(t *testing.T) {
	t.Parallel()
	w := usageWorld(t)
	for _, c := range []struct{ query, text string }{
		{"", "from"},
		{"from=2026-11-22T00:00:00Z", `to\" is missing`},
		{"to=2026-11-22T00:00:00Z", `from\" is missing`},
		{"from=2026-11-22T&to=2026-11-23", "from"},
		{"from=2026-11-22T00:00:00+01:00&to=2026-11-23T00:00:00Z", "%2B"},
		{"from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z", "before"},
		{"from=2026-11-22T00:00:00Z&to=2026-11-22T00:00:00Z", "before"},
		{"from=0001-01-01T00:00:00Z&to=2026-11-22T00:00:00Z", "1900"},
		{"from=2026-11-22T00:00:00Z&to=9999-01-01T00:00:00Z", "2200"},
		{today + "&window=fortnight", "window"},
		{today + "&window=", "window"},
		{today + "&tz=Mars/Olympus", "tz"},
		{today + "&tz=", "tz"},
		{today + "&tz=Local", "tz"},
		{today + "&tz=../../etc/passwd", "tz"},
		{today + "&group_by=", "group_by"},
		{today + "&group_by=a,,b", "group_by"},
		{today + "&group_by=a,a", "twice"},
		{today + "&group_by=" + strings.Repeat("x,", 16) + "y", "twice"},
		{today + "&group_by=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "16"},
		{today + "&filter[]=x", "attribute"},
		{today + "&filter=x", "filter"},
		{today + "&filter[service=x", "filter"},
		{today + "&filter=service", "attribute=value"},
		{today + "&filter==x", "attribute=value"},
		{today + strings.Repeat("&filter[service]=x", 1001), "1000"},
		{today + "&as_of=now", "as_of"},
		{today + "&fill=one", "fill"},
		{today + "&fill=", "fill"},
		{today + "&group_by=service&sort=value", "sort"},
		{today + "&group_by=service&sort=", "sort"},
		{today + "&sort=-value", "group_by"},
		{today + "&group_by=service&window=day&sort=-value", "windows"},
		{today + "&group_by=service&sort=-value&limit=1001", "1000"},
		{today + "&group_by=service&sort=-value&cursor=x", "cursor"},
		{today + "&limit=0", "limit"},
		{today + "&limit=-1", "limit"},
		{today + "&limit=1.5", "limit"},
		{today + "&limit=99999999999999999999", "limit"},
		{today + "&cursor=nonsense", "cursor"},
		{today + "&form=csv", "form"},
		{today + "&limit=1&limit=2", "2 times"},
		{today + "&a;b=1", "semicolon"},
		{today + "&%zz=1", "query string"},
		{"from=1950-01-01T00:00:00Z&to=2150-01-01T00:00:00Z&window=5m&fill=zero", "window"},
	} {
		a := w.call("GET", "/api/v1/meters/bytes/usage?"+c.query, "")
		if a.Status != 400 || !strings.Contains(a.Body, c.text) {
			t.Errorf("%s: %d %s", c.query, a.Status, a.Body)
		}
	}
	w.want(w.call("GET", "/api/v1/meters/unknown/usage?"+today, ""), 404, "unknown")
}

func FuzzUsageQuery(f *testing.F) {
	f.Add(today + "&window=hour&tz=Asia/Kolkata&group_by=a,b&filter[c]=d&limit=3&fill=zero&as_of=2026-01-01T00:00:00Z")
	f.Add("filter%5B%5D=&from=%zz")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw, operations[8].Params)
		if err != nil {
			if !strings.Contains(err.Error(), "query") {
				t.Errorf("%v does not say what is wrong", err)
			}
			return
		}
		uq, err := usageQuery("m", q)
		if err == nil && (!uq.From.Before(uq.To) || uq.Location == nil || slices.Contains(uq.GroupBy, "")) {
			t.Errorf("%+v", uq)
		}
	})
}

// TestLocalTimesOfQueries names dates and local times that the clock skips or
// shows twice.
func TestLocalTimesOfQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/catalog", smallCatalog), 200)
	for _, c := range []struct{ from, to, tz, start, end string }{
		{"2026-09-06", "2026-09-07", "America/Santiago", "2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"},
		{"2026-09-06T00:30:00", "2026-09-06T01:00:01", "America/Santiago", "2026-09-06T01:00:00-03:00", "2026-09-06T01:00:01-03:00"},
		{"2026-04-04T23:30", "2026-04-05", "America/Santiago", "2026-04-04T23:30:00-03:00", "2026-04-05T00:00:00-04:00"},
		{"2026-04-24", "2026-04-25", "Africa/Cairo", "2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"},
		{"2018-09-30T00:30", "2018-10-01", "Pacific/Apia", "2018-09-30T00:30:00+13:00", "2018-10-01T00:00:00+14:00"},
		{"2026-02-01", "2026-03-01", "UTC", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c.start)
		if err != nil {
			t.Fatal(err)
		}
		w.ingest(testEvent(c.from+c.tz, "time", quote(at.Format(time.RFC3339))), 1, 0, 0, 0)
		query := "from=" + c.from + "&to=" + c.to + "&tz=" + c.tz
		for _, path := range []string{"/api/v1/meters/hits/usage?", "/api/v1/usage?customer=acme&"} {
			w.want(w.call("GET", path+query, ""), 200, `"start":"`+c.start+`","end":"`+c.end+`"`)
		}
	}
	for _, wrong := range []string{"2026-13-01", "2026-02-30", "2026-09-06T25:00", "2026-09", "today"} {
		w.want(w.call("GET", "/api/v1/meters/hits/usage?from="+wrong+"&to=2026-12-01", ""), 400, "from")
	}
	w.want(w.call("GET", "/api/v1/meters/hits/usage?from=2026-11-01&to=2026-12-01&tz=Local", ""), 400, "tz")
}
