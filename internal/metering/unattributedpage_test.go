package metering

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// Pages of what is unattributed, put together, are the whole list, at every
// length of a page, and as a page looks at few customers or many.
func TestUnattributedPages(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	service := openStores(t).service(t, Limits{})
	if _, err := service.Apply(t.Context(), admin, []byte(unattributedCatalog), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	n := 0
	send := func(events int) {
		t.Helper()
		var lines strings.Builder
		for range events {
			n++
			at := time.Date(2026, 11, 1+r.IntN(21), 12, 0, 0, 0, time.UTC).Format(time.RFC3339)
			subject := one("acme", "zeta", "", "nobody", fmt.Sprint("x", r.IntN(60)))
			fmt.Fprintf(&lines, `{"specversion":"1.0","id":"%d","source":"s","type":%q,"subject":%q,"time":%q,"data":{"service":%q,"product":%q,"contract":%q,"account_group":%q,"test":%q,"bytes":1,"units":1}}`+"\n",
				n, one("edge", "units"), subject, at, one("", "S1", "Z1", fmt.Sprint("S", r.IntN(30))), one("cdn", "dns"), one("", "K-1", "K-2", "K-9"), one("1", "9", "7"), one("T1", "T2", "T3"))
		}
		if res, err := service.Ingest(t.Context(), admin, []byte(lines.String()), cloudevents.NDJSON, false); err != nil || int(res.Accepted) != events {
			t.Fatalf("%+v %v", res, err)
		}
	}
	pages := func(p access.Principal, limit, looks int) (all []Unattributed) {
		t.Helper()
		q := UnattributedQuery{In: meter.Month(testStart), Limit: limit}
		for range 10_000 {
			page, err := service.unattributedPage(t.Context(), p, q, looks)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Rows) > limit {
				t.Fatalf("%d rows, limit %d", len(page.Rows), limit)
			}
			all = append(all, page.Rows...)
			if q.Cursor = page.NextCursor; q.Cursor == "" {
				return all
			}
		}
		t.Fatal("pages without end")
		return nil
	}
	for range 4 {
		send(200)
		for _, p := range []access.Principal{admin, {Organization: admin.Organization, Role: access.RoleRead, Customer: one("acme", "x3")}} {
			want, err := service.Unattributed(t.Context(), p, meter.Month(testStart))
			if err != nil || len(want) == 0 && p.Customer == "" || !slices.IsSortedFunc(want, compareUnattributed) {
				t.Fatalf("%+v %v", want, err)
			}
			for _, limit := range []int{1, 2, 7, 50, 10_000} {
				for _, looks := range []int{1, 150, mostLookedAt} {
					if got := pages(p, limit, looks); fmt.Sprint(got) != fmt.Sprint(want) {
						t.Fatalf("%q, %d a page, %d looked at: %d rows, want %d:\n%v\nwant\n%v", p.Customer, limit, looks, len(got), len(want), got, want)
					}
				}
			}
		}
	}
}
