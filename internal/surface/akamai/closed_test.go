package akamai

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/meter"
)

func (w *world) close(customer, month string) {
	w.Helper()
	if _, err := w.Service.ClosePeriod(context.Background(), admin, customer, month); err != nil {
		w.Fatal(err)
	}
}

// late sends one event of shop's.
func (w *world) late(id, at, data string) {
	w.Helper()
	event := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"late","type":"edge","subject":"shop","time":%q,"data":{%s}}`, id, at, data)
	if r, err := w.Service.Ingest(context.Background(), admin, []byte(event), cloudevents.Single, false); err != nil || r.Accepted != 1 {
		w.Fatalf("%+v %v", r, err)
	}
}

// get returns what shop is answered.
func (w *world) get(target string) string {
	w.Helper()
	r := w.call("GET", "shop", target)
	if r.Status != 200 {
		w.Fatalf("%s: %d %s", target, r.Status, r.Body)
	}
	return r.Body
}

// final is an answer of a closed month.
func final(body string) string {
	return strings.ReplaceAll(body, "COLLECTING_DATA", "DATA_FINALIZED")
}

// operations are one target for each operation that shows a month.
func operations(month, next string) []string {
	return []string{
		contractPath + "monthly-summary?start=" + month + "&end=" + next,
		groupPath + "monthly-summary?start=" + month + "&end=" + next,
		contractPath + "by-cp-code/monthly-summary?start=" + month + "&end=" + next,
		contractPath + "daily?month=" + month,
		groupPath + "daily?month=" + month,
		"/contracts/K-1/products?start=" + month + "&end=" + next,
	}
}

// lateEntry is the entry of what came late.
func lateEntry(month, start, end, region, gb, hits string) string {
	return period(month, start, end, region) + `"stats":[{"statType":"Total MB","unit":"GB","isBillable":true,"value":` + gb +
		`},{"statType":"Total Hits","unit":"Total Hits","isBillable":false,"value":` + hits + `}]}`
}

// A closed month answers what it answered when it was closed, whatever comes
// after; what counts and sums of that is in the open month, once.
func TestClosedMonths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	get := w.get
	stays := map[string]string{}
	for _, target := range append(operations("2026-09", "2026-10"), operations("2026-10", "2026-11")...) {
		stays[target] = final(get(target))
	}
	check := func(when string) {
		t.Helper()
		for target, want := range stays {
			if got := get(target); got != want {
				t.Errorf("%s: %s became\n%s\nwas\n%s", when, target, got, want)
			}
		}
	}
	october := map[string]string{}
	for _, target := range operations("2026-10", "2026-11") {
		october[target] = stays[target]
		delete(stays, target)
	}
	w.close("shop", "2026-09")
	check("closed")
	w.late("1", "2026-09-30T12:00:00Z", `"bytes":5000000000,"contract":"K-1","cp_code":42`)
	w.late("2", "2026-09-30T12:00:00Z", `"bytes":70000000000,"contract":"K-2"`) // another's
	check("late usage")

	summary := operations("2026-10", "2026-11")
	whole := get(summary[0])
	entry := lateEntry("2026-10", "2026-09-01", "2026-09-30", "GLOBAL", "5", "1")
	if without := strings.Replace(whole, entry+",", "", 1); without == whole || final(without) != october[summary[0]] {
		t.Errorf("October has not its late line: %s", whole)
	}
	for i, text := range map[int]string{
		1: `"start":"2026-09-01","end":"2026-09-30","region":"GLOBAL","dataStatus":"COLLECTING_DATA","cpCodes":[42,7654321],"stats":[{"statType":"Total MB","unit":"GB","isBillable":true,"value":5}`,
		2: `{"month":"2026-10","start":"2026-09-01","end":"2026-09-30","region":"GLOBAL","dataStatus":"COLLECTING_DATA","cpCodeStats":[{"cpCode":42,"stats":[{"statType":"GB","unit":"GB","isBillable":true,"value":5},{"statType":"Hits","unit":"Hits","isBillable":false,"value":1}]}]}`,
		3: `{"month":"2026-10","start":"2026-09-01","end":"2026-09-30","region":"GLOBAL","stats":[{"statType":"Total MB","unit":"GB","values":[{"date":"2026-10-31","value":5}]},{"statType":"Total Hits","unit":"Total Hits","values":[{"date":"2026-10-31","value":1}]}]}`,
		4: `"start":"2026-09-01","end":"2026-09-30","region":"GLOBAL","stats":[{"statType":"Total MB","unit":"GB","values":[{"date":"2026-10-31","value":5}]}`,
	} {
		if body := get(summary[i]); !strings.Contains(body, text) {
			t.Errorf("%s has no late line: %s", summary[i], body)
		}
	}
	if body := get(november); strings.Contains(body, "2026-09") {
		t.Errorf("late usage is booked twice: %s", body)
	}
	for _, target := range summary {
		stays[target] = final(get(target))
	}
	w.close("shop", "2026-10")
	check("October closed")
	laterStill(w, check)
}

var november = operations("2026-11", "2026-12")[0]

// laterStill goes on after September and October were closed.
func laterStill(w *world, check func(when string)) {
	t, get := w.TB, w.get
	w.late("3", "2026-09-01T00:00:00Z", `"bytes":2000000000,"contract":"K-1"`)
	w.late("4", "2026-10-31T23:59:59Z", `"bytes":1000000000,"contract":"K-1","region":"eu"`)
	w.late("5", "2026-10-31T23:59:59Z", `"bytes":500000000,"contract":"K-1","region":"sa"`)
	check("more late usage")
	body := get(november)
	for _, text := range []string{lateEntry("2026-11", "2026-09-01", "2026-09-30", "GLOBAL", "2", "1"),
		lateEntry("2026-11", "2026-10-16", "2026-10-31", "eu", "1", "1"), lateEntry("2026-11", "2026-10-16", "2026-10-31", "sa", "0.5", "1")} {
		if !strings.Contains(body, text) {
			t.Errorf("November lacks %s: %s", text, body)
		}
	}
	if n := strings.Count(body, `"month":"2026-11"`); n != 4 {
		t.Errorf("%d entries: %s", n, body)
	}

	// Events taken back are a credit; the catalog of today changes no figure.
	if _, err := w.Ledger.Void(context.Background(), "default", []meter.Identity{{Source: "late", ID: "1"}}, "test", "wrong"); err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(`scale: "0.000000001"`, `scale: "7"`, "name: static, contract: K-1", "name: other, contract: K-1",
		"from: 2026-10-16", "from: 2026-10-20").Replace(document)
	doc, err := catalog.ParseDocument([]byte(changed))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Catalog.Apply(context.Background(), "default", doc, catalog.ApplyOptions{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	check("the catalog changed")
	if body, text := get(november), lateEntry("2026-11", "2026-09-01", "2026-09-30", "GLOBAL", "-3", "0"); !strings.Contains(body, text) {
		t.Errorf("November lacks %s: %s", text, body)
	}
}

// Each event is counted in one entry of one month, however often months are
// closed in between.
func TestLateUsageIsBookedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sent := map[string]int{}
	send := func(n int, at string) {
		for range n {
			w.late(fmt.Sprint(len(sent), at, sent[at]), at, `"bytes":1,"contract":"K-1","cp_code":42`)
			sent[at]++
		}
	}
	hits := func() (sum int) {
		var s struct {
			UsagePeriods []struct {
				Stats []struct {
					StatType string
					Value    json.Number
				}
			}
		}
		r := w.call("GET", "all", contractPath+"monthly-summary?start=2026-09&end=2026-12")
		if err := json.Unmarshal([]byte(r.Body), &s); err != nil {
			t.Fatal(err, r.Body)
		}
		for _, p := range s.UsagePeriods {
			for _, one := range p.Stats {
				if one.StatType == "Total Hits" {
					n, err := one.Value.Int64()
					if err != nil {
						t.Fatal(err)
					}
					sum += int(n)
				}
			}
		}
		return sum
	}
	want := hits()
	step := func(september, october, november int) {
		t.Helper()
		send(september, "2026-09-05T00:00:00Z")
		send(october, "2026-10-05T00:00:00Z")
		send(november, "2026-11-05T00:00:00Z")
		if want += september + october + november; hits() != want {
			t.Errorf("%d hits, want %d", hits(), want)
		}
	}
	step(1, 2, 3)
	w.close("shop", "2026-10") // September is still open
	step(1, 2, 3)
	w.close("shop", "2026-09")
	step(4, 5, 6)
}

// A product whose only usage came late for a month before is among those of
// the open month that bills it, as it is when that is closed.
func TestProductsOfLateUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.close("shop", "2026-09")
	w.close("shop", "2026-10")
	event := `{"specversion":"1.0","id":"1","source":"late","type":"dns","subject":"shop","time":"2026-09-03T12:00:00Z","data":{"contract":"K-1"}}`
	if r, err := w.Service.Ingest(context.Background(), admin, []byte(event), cloudevents.Single, false); err != nil || r.Accepted != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	if body := w.get("/contracts/K-1/products/dns/usage/monthly-summary?start=2026-11&end=2026-12"); !strings.Contains(body, `"start":"2026-09-01"`) {
		t.Fatalf("November has no late line: %s", body)
	}
	if body := w.get(operations("2026-11", "2026-12")[5]); !strings.Contains(body, `"dns"`) {
		t.Errorf("the product is missing: %s", body)
	}
}
