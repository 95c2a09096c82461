package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

var recordGroupCases = []testCase{
	{"usage record groups keep what was reported, also after a restart", groupsStay},
	{"an id of a usage record group is consumed for ever", groupIDs},
	{"reporters of different customers have ids of their own", groupNames},
	{"idempotency keys of different customers have nothing to do with each other", groupsRepeatedByCustomer},
	{"concurrent groups of one id: one is stored", groupsConcurrent},
	{"a batch of groups is stored whole or not at all, in order", groupsAtomic},
	{"usage record groups are listed by everything and in pages", groupLists},
	{"pages pass over no group that stays while others change their status", groupPagesStay},
	{"a list that looks at too much is refused", groupMatchLimit},
	{"only what may be deleted is, once", groupsDeleted},
	{"only what failed is retried", groupsRetried},
	{"what is unposted is found, and marked", groupsPosted},
	{"a batch that is sent again with its key is stored once", groupsRepeated},
	{"an idempotency key is forgotten after its time", keysForgotten},
}

// usageGroup is a group of ent's usage, to be created.
func usageGroup(id string) billing.RecordGroup {
	return billing.RecordGroup{ID: id, Entitlement: "e1", Customer: "acme", Buyer: "buyer-1", Partner: catalog.PartnerAWS, Product: "cdn",
		Status: billing.GroupCreated, Usage: day("2026-03-01"), Source: "API",
		Origin:  map[string]meter.Decimal{"gb": number("0.100000000000")},
		Records: map[string]meter.Decimal{"gb": number("12345678901234567890123456.123456789012")}}
}

func number(text string) meter.Decimal {
	d, err := meter.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

func (b *bench) groups(organization string, groups ...billing.RecordGroup) []billing.RecordGroup {
	b.Helper()
	made, _, err := b.records.CreateRecordGroups(b.ctx, organization, groups, billing.Idempotency{})
	b.must(err)
	return made
}

// every is the filter that chooses all groups.
var every = billing.RecordGroupFilter{From: day("2000-01-01"), To: day("2100-01-01")}

func (b *bench) listed(organization string, f billing.RecordGroupFilter, offset, limit int) (string, bool) {
	b.Helper()
	page, err := b.records.RecordGroups(b.ctx, organization, f, offset, limit)
	b.must(err)
	return ids(page.Items), page.More
}

func ids(groups []billing.RecordGroup) string {
	var names []string
	for _, g := range groups {
		names = append(names, g.ID)
	}
	return strings.Join(names, " ")
}

func groupsStay(b *bench) {
	b.organization("a")
	g := usageGroup("g1")
	tenth := number("0.1")
	g.Billable = []billing.BillableRecord{{Metric: "m", Properties: json.RawMessage(`{"os":"linux"}`), Quantity: &tenth}, {Metric: "n"}}
	g.Message = "why"
	made := b.groups("a", g)[0]
	if made.Serial != 1 || !made.Created.Equal(b.clock.Now()) || !made.Updated.Equal(made.Created) {
		b.Errorf("%+v", made)
	}
	for range 2 {
		got, err := b.records.RecordGroup(b.ctx, "a", "g1")
		b.must(err)
		if got.Serial != 1 || got.Entitlement != "e1" || got.Customer != "acme" || got.Buyer != "buyer-1" || got.Partner != "AWS" || got.Product != "cdn" ||
			got.Status != billing.GroupCreated || !got.Usage.Equal(g.Usage) || !got.Created.Equal(made.Created) || got.Source != "API" || got.Message != "why" ||
			got.Posted != billing.EventsToPost || got.Report != "" || !got.Reported.IsZero() || len(got.Settled) != 0 {
			b.Errorf("%+v", got)
		}
		if got.Origin["gb"].String() != "0.1" || got.Records["gb"].String() != "12345678901234567890123456.123456789012" || len(got.Billable) != 2 {
			b.Errorf("%+v", got)
		}
		if first := got.Billable[0]; first.Metric != "m" || string(first.Properties) != `{"os":"linux"}` || first.Quantity.String() != "0.1" || got.Billable[1].Quantity != nil {
			b.Errorf("%+v", got.Billable)
		}
		b.reopen(b.limit)
	}
	_, err := b.records.RecordGroup(b.ctx, "a", "g2")
	b.wantKind(err, meter.KindNotFound)
	b.organization("b")
	_, err = b.records.RecordGroup(b.ctx, "b", "g1")
	b.wantKind(err, meter.KindNotFound)
	b.must(b.store.Check(b.ctx))
}

func groupIDs(b *bench) {
	b.organization("a")
	b.organization("b")
	longest := strings.Repeat("x", billing.MaxGroupIDBytes)
	b.groups("a", usageGroup("g1"), usageGroup(longest))
	b.groups("b", usageGroup("g1"))
	_, err := b.records.DeleteRecordGroup(b.ctx, "a", "g1", actor)
	b.must(err)
	other := usageGroup("g1")
	other.Entitlement = "e2"
	for _, g := range []billing.RecordGroup{usageGroup("g1"), other} {
		_, _, err := b.records.CreateRecordGroups(b.ctx, "a", []billing.RecordGroup{g}, billing.Idempotency{})
		b.wantKind(err, meter.KindConflict)
		if !strings.Contains(err.Error(), "g1") || !strings.Contains(err.Error(), billing.GroupDeleted) {
			b.Error(err)
		}
	}
	for _, id := range []string{"", longest + "x", "a\nb"} {
		_, _, err := b.records.CreateRecordGroups(b.ctx, "a", []billing.RecordGroup{usageGroup(id)}, billing.Idempotency{})
		b.wantKind(err, meter.KindInvalid)
	}
}

func groupsConcurrent(b *bench) {
	b.organization("a")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, _, errs[i] = b.records.CreateRecordGroups(b.ctx, "a", []billing.RecordGroup{usageGroup("g1")}, billing.Idempotency{})
		})
	}
	wg.Wait()
	b.oneDid(errs, "stored")
}

func groupsAtomic(b *bench) {
	b.organization("a")
	var batch []billing.RecordGroup
	for i := range billing.MaxGroups {
		batch = append(batch, usageGroup(fmt.Sprintf("g%04d", i)))
	}
	made := b.groups("a", batch...)
	for i, g := range made {
		if g.ID != batch[i].ID || g.Serial != int32(i+1) {
			b.Fatalf("group %d is %s, serial %d", i, g.ID, g.Serial)
		}
	}
	second := []billing.RecordGroup{usageGroup("h1"), usageGroup("g0500"), usageGroup("h2")}
	_, _, err := b.records.CreateRecordGroups(b.ctx, "a", second, billing.Idempotency{})
	b.wantKind(err, meter.KindConflict)
	_, _, err = b.records.CreateRecordGroups(b.ctx, "a", []billing.RecordGroup{usageGroup("h1"), usageGroup("h1")}, billing.Idempotency{})
	b.wantKind(err, meter.KindConflict)
	_, err = b.records.RecordGroup(b.ctx, "a", "h1")
	b.wantKind(err, meter.KindNotFound)
	for _, bad := range [][]billing.RecordGroup{nil, append(batch, usageGroup("one more"))} {
		_, _, err = b.records.CreateRecordGroups(b.ctx, "a", bad, billing.Idempotency{})
		b.wantKind(err, meter.KindTooLarge)
	}
	if got := b.groups("a", usageGroup("h1"))[0].Serial; got != billing.MaxGroups+1 {
		b.Errorf("serial %d after a refused batch", got)
	}
}

func groupLists(b *bench) {
	b.organization("a")
	b.organization("b")
	edit := func(id string, change func(g *billing.RecordGroup)) billing.RecordGroup {
		g := usageGroup(id)
		change(&g)
		return g
	}
	b.groups("b", usageGroup("x"))
	b.groups("a", usageGroup("g1"), edit("g2", func(g *billing.RecordGroup) { g.Partner = catalog.PartnerGCP }))
	b.clock.Advance(24 * time.Hour)
	b.groups("a", edit("g3", func(g *billing.RecordGroup) { g.Buyer = "buyer-2" }),
		edit("g4", func(g *billing.RecordGroup) { g.Entitlement = "e2"; g.Status = billing.GroupInvalid }),
		edit("g5", func(g *billing.RecordGroup) { g.Source = "ORB"; g.Customer = "beta" }))
	with := func(change func(f *billing.RecordGroupFilter)) billing.RecordGroupFilter {
		f := every
		change(&f)
		return f
	}
	for _, c := range []struct {
		f    billing.RecordGroupFilter
		want string
	}{
		{every, "g5 g4 g3 g2 g1"},
		{with(func(f *billing.RecordGroupFilter) { f.Partner = catalog.PartnerGCP }), "g2"},
		{with(func(f *billing.RecordGroupFilter) { f.Buyer = "buyer-2" }), "g3"},
		{with(func(f *billing.RecordGroupFilter) { f.Entitlement = "e2" }), "g4"},
		{with(func(f *billing.RecordGroupFilter) { f.Status = billing.GroupInvalid }), "g4"},
		{with(func(f *billing.RecordGroupFilter) { f.Source = "ORB" }), "g5"},
		{with(func(f *billing.RecordGroupFilter) { f.Customer = "beta" }), "g5"},
		{with(func(f *billing.RecordGroupFilter) { f.Product = "waf" }), ""},
		{with(func(f *billing.RecordGroupFilter) { f.Entitlement, f.Status = "e2", billing.GroupCreated }), ""},
		{with(func(f *billing.RecordGroupFilter) { f.From = day("2026-03-02") }), "g5 g4 g3"},
		{with(func(f *billing.RecordGroupFilter) { f.To = b.clock.Now() }), "g2 g1"},
		{with(func(f *billing.RecordGroupFilter) {
			f.Match = func(g *billing.RecordGroup) bool { return g.ID != "g4" && g.ID != "g2" }
		}), "g5 g3 g1"},
	} {
		if got, more := b.listed("a", c.f, 0, 100); got != c.want || more {
			b.Errorf("%+v: %q, %v", c.f, got, more)
		}
		if n := len(strings.Fields(c.want)); n > 1 {
			var parts []string
			for offset := range n {
				got, more := b.listed("a", c.f, offset, 1)
				if more != (offset < n-1) {
					b.Errorf("%+v from %d: more is %v", c.f, offset, more)
				}
				parts = append(parts, got)
			}
			if got := strings.Join(parts, " "); got != c.want {
				b.Errorf("%+v in pages: %q", c.f, got)
			}
		}
	}
}

func groupMatchLimit(b *bench) {
	b.reopen(store.Limits{GroupsMatched: 3})
	b.organization("a")
	f := every
	f.Match = func(*billing.RecordGroup) bool { return true }
	b.groups("a", usageGroup("g1"), usageGroup("g2"), usageGroup("g3"))
	if got, more := b.listed("a", f, 0, 5); got != "g3 g2 g1" || more {
		b.Errorf("at the limit: %q, %v", got, more)
	}
	b.groups("a", usageGroup("g4"))
	_, err := b.records.RecordGroups(b.ctx, "a", f, 0, 5)
	b.wantKind(err, meter.KindTooLarge)
}

func groupsDeleted(b *bench) {
	b.organization("a")
	invalid := usageGroup("invalid")
	invalid.Status, invalid.Posted = billing.GroupInvalid, billing.NothingToPost
	others := []string{billing.GroupReportPending, billing.GroupReported, billing.GroupReportFailed}
	all := []billing.RecordGroup{usageGroup("created"), invalid}
	for _, status := range others {
		g := usageGroup(status)
		g.Status = status
		all = append(all, g)
	}
	b.groups("a", all...)
	before := len(b.audit("a"))
	b.clock.Advance(time.Hour)
	for id, posted := range map[string]billing.Posted{"created": billing.VoidToPost, "invalid": billing.NothingToPost} {
		for range 2 { // the second answers the same, and changes nothing
			g, err := b.records.DeleteRecordGroup(b.ctx, "a", id, actor)
			b.must(err)
			if g.ID != id || g.Status != billing.GroupDeleted || g.Posted != posted || g.Updated.Sub(g.Created) != time.Hour {
				b.Errorf("%+v", g)
			}
		}
	}
	if n := len(b.audit("a")) - before; n != 2 {
		b.Errorf("%d audit entries", n)
	}
	for _, id := range others {
		_, err := b.records.DeleteRecordGroup(b.ctx, "a", id, actor)
		b.wantKind(err, meter.KindInvalid)
		if !strings.Contains(err.Error(), id) {
			b.Error(err)
		}
	}
	_, err := b.records.DeleteRecordGroup(b.ctx, "a", "unknown", actor)
	b.wantKind(err, meter.KindNotFound)
	_, err = b.records.DeleteRecordGroup(b.ctx, "a", "created", "")
	b.wantKind(err, meter.KindInvalid)
}

func groupsRetried(b *bench) {
	b.organization("a")
	for _, status := range []string{billing.GroupCreated, billing.GroupInvalid, billing.GroupReportPending, billing.GroupReported, billing.GroupReportFailed, billing.GroupDeleted} {
		g := usageGroup(status)
		g.Status = status
		b.groups("a", g)
		got, err := b.records.RetryRecordGroup(b.ctx, "a", status, actor)
		if status != billing.GroupReportFailed {
			b.wantKind(err, meter.KindInvalid)
			continue
		}
		b.must(err)
		if got.Status != billing.GroupCreated || got.Report != "" || !got.Reported.IsZero() || got.Message != "" {
			b.Errorf("%+v", got)
		}
	}
	_, err := b.records.RetryRecordGroup(b.ctx, "a", "unknown", actor)
	b.wantKind(err, meter.KindNotFound)
}

func groupsPosted(b *bench) {
	b.organization("a")
	b.organization("b")
	invalid := usageGroup("g3")
	invalid.Status, invalid.Posted = billing.GroupInvalid, billing.NothingToPost
	b.groups("a", usageGroup("g1"), usageGroup("g2"), invalid)
	b.groups("b", usageGroup("g4"))
	unposted := func(want ...string) {
		b.Helper()
		for _, limit := range []int{1, 100} {
			var got []string
			for org, serial := "", int32(0); ; {
				groups, err := b.records.UnpostedGroups(b.ctx, org, serial, limit)
				b.must(err)
				for _, g := range groups {
					got = append(got, g.Organization+"/"+g.ID)
					org, serial = g.Organization, g.Serial
				}
				if len(groups) < limit {
					break
				}
			}
			if !slices.Equal(got, want) {
				b.Errorf("unposted %v, want %v", got, want)
			}
		}
	}
	unposted("a/g1", "a/g2", "b/g4")
	_, err := b.records.DeleteRecordGroup(b.ctx, "a", "g1", actor)
	b.must(err)
	b.must(b.records.MarkPosted(b.ctx, "a", 1, 3, billing.EventsToPost, billing.EventsPosted))
	unposted("a/g1", "b/g4")
	b.must(b.records.MarkPosted(b.ctx, "a", 1, 1, billing.VoidToPost, billing.NothingToPost))
	unposted("b/g4")
	g, err := b.records.RecordGroup(b.ctx, "a", "g2")
	b.must(err)
	if g.Posted != billing.EventsPosted {
		b.Errorf("%+v", g)
	}
	b.must(b.records.MarkPosted(b.ctx, "b", 1, 1, billing.EventsToPost, billing.EventsPosted))
	unposted()
	// A ledger that is older than the catalog is told again.
	b.must(b.records.RepostGroups(b.ctx, b.clock.Now().Add(time.Microsecond)))
	unposted()
	b.must(b.records.RepostGroups(b.ctx, b.clock.Now()))
	unposted("a/g1", "a/g2", "b/g4")
	if g, err = b.records.RecordGroup(b.ctx, "a", "g1"); err != nil || g.Posted != billing.VoidToPost {
		b.Errorf("%+v, %v", g, err)
	}
}

// groupPagesStay reads lists of a status page by page while groups leave it,
// and others are new.
func groupPagesStay(b *bench) {
	for name, change := range map[string]func(*billing.RecordGroupFilter){
		"all":         func(*billing.RecordGroupFilter) {},
		"entitlement": func(f *billing.RecordGroupFilter) { f.Entitlement = "ent" },
		"customer":    func(f *billing.RecordGroupFilter) { f.Customer = usageGroup("x").Customer },
		"match":       func(f *billing.RecordGroupFilter) { f.Match = func(*billing.RecordGroup) bool { return true } },
	} {
		b.organization(name)
		f := every
		f.Status = billing.GroupCreated
		change(&f)
		var groups []billing.RecordGroup
		for i := range 40 {
			g := usageGroup(fmt.Sprintf("g%02d", i))
			g.Entitlement = "ent"
			if i%7 == 3 {
				g.Status = billing.GroupInvalid
			}
			groups = append(groups, g)
		}
		b.groups(name, groups[:20]...) // all of one instant
		for _, g := range groups[20:] {
			b.clock.Advance(time.Second)
			b.groups(name, g)
		}
		seen := map[string]bool{}
		for offset, pages := 0, 0; ; pages++ {
			page, err := b.records.RecordGroups(b.ctx, name, f, offset, 5)
			b.must(err)
			for i, g := range page.Items {
				if g.Status != billing.GroupCreated {
					b.Errorf("%s: %s is %s", name, g.ID, g.Status)
				}
				seen[g.ID] = true
				if i%2 == 0 { // it leaves the list before the next page is read
					_, err := b.records.DeleteRecordGroup(b.ctx, name, g.ID, actor)
					b.must(err)
				}
			}
			b.clock.Advance(time.Second)
			g := usageGroup(fmt.Sprint("new", pages))
			g.Entitlement = "ent"
			b.groups(name, g)
			if !page.More {
				break
			}
			if page.Next <= offset || pages > 40 {
				b.Fatalf("%s: page %d at %d leads to %d", name, pages, offset, page.Next)
			}
			offset = page.Next
		}
		for _, g := range groups {
			if g.Status == billing.GroupCreated && !seen[g.ID] {
				b.Errorf("%s: %s was there all the time and is not listed", name, g.ID)
			}
		}
	}
}

// namedGroup is what a reporter that is bound to a customer, or "", calls name.
func namedGroup(bound, customer, entitlement, name string) billing.RecordGroup {
	g := usageGroup(billing.GroupID(bound, name))
	g.Name, g.Customer, g.Entitlement = name, customer, entitlement
	return g
}

func groupNames(b *bench) {
	b.organization("a")
	b.groups("a", namedGroup("one", "one", "e1", "g"), namedGroup("two", "two", "e2", "g"), namedGroup("", "three", "e3", "g"),
		namedGroup("one", "one", "e1", "h"), namedGroup("two", "two", "e2", "h"), namedGroup("", "one", "e1", "u"), namedGroup("two", "two", "e2", "only"))
	for _, taken := range []billing.RecordGroup{
		namedGroup("one", "one", "e1", "g"), namedGroup("one", "one", "e4", "g"), namedGroup("", "one", "e1", "g"), // by whom, and of what
		namedGroup("", "two", "e2", "h"), namedGroup("one", "one", "e1", "u"), namedGroup("", "four", "e4", "u"),
	} {
		_, _, err := b.records.CreateRecordGroups(b.ctx, "a", []billing.RecordGroup{namedGroup("", "five", "e5", "fresh"), taken}, billing.Idempotency{})
		b.wantKind(err, meter.KindConflict)
	}
	for range 2 {
		for _, c := range []struct{ bound, name, entitlement string }{
			{"one", "g", "e1"}, {"two", "g", "e2"}, {"", "g", "e3"}, {"one", "u", "e1"}, {"", "only", "e2"},
		} {
			g, err := b.records.NamedGroup(b.ctx, "a", c.bound, c.name)
			b.must(err)
			if g.Name != c.name || g.Entitlement != c.entitlement {
				b.Errorf("%+v: %+v", c, g)
			}
		}
		for _, c := range []struct {
			bound, name string
			kind        meter.Kind
		}{{"two", "u", meter.KindNotFound}, {"three", "h", meter.KindNotFound}, {"", "h", meter.KindConflict}, {"", "fresh", meter.KindNotFound},
			{"", billing.GroupID("one", "g"), meter.KindNotFound}, {"one", billing.GroupID("one", "g"), meter.KindNotFound}} {
			_, err := b.records.NamedGroup(b.ctx, "a", c.bound, c.name)
			b.wantKind(err, c.kind)
		}
		b.reopen(b.limit)
	}
	g, err := b.records.DeleteRecordGroup(b.ctx, "a", billing.GroupID("one", "g"), actor)
	b.must(err)
	if g.Name != "g" || g.Entitlement != "e1" || g.Status != billing.GroupDeleted {
		b.Errorf("%+v", g)
	}
	if e := b.audit("a"); e[len(e)-1].ID != "g" {
		b.Errorf("audited as %+v", e[len(e)-1])
	}
	b.must(b.store.Check(b.ctx))
}
