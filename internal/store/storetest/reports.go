package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

var reportCases = []testCase{
	{"a freeze claims groups, and what is claimed cannot be deleted", freezeClaims},
	{"a group deleted after it was looked at is not claimed: nothing is stored", freezeExcludesDelete},
	{"one line for each account, dimension and hour", freezeOneLine},
	{"a line has one holder, and an old fence decides nothing", linesAreFenced},
	{"what is settled moves balances and groups, to the last digit", settledMoves},
	{"what the marketplace holds less than was sent is carried", settledShifts},
	{"what the marketplace holds more than was sent is taken from what comes later", settledBeyond},
	{"what is refused moves nothing and can be retried", refusedMovesNothing},
	{"what was moved is free to be claimed again", movedIsFree},
	{"what is parked is resolved by hand, once", parkedIsResolved},
	{"what waits is listed until it is retried or settled by hand", stuckUntilSettled},
	{"reports are listed by everything and in pages", reportLists},
	{"reporters are paused and go on", reportersPause},
}

var reportHour = day("2026-03-01").Add(10 * time.Hour)

// frozen is a report of one group and dimension gb: of 2.75, 0.5 is credit,
// with 0.25 carried in 2 are sent and 0.5 carried out.
func frozen(id string, groups ...billing.RecordGroup) (billing.FrozenReport, billing.Line) {
	info, err := json.Marshal(billing.ReportInfo{CreditAmount: number("9")})
	if err != nil {
		panic(err)
	}
	p := billing.Portion{Report: id, Dimension: "gb", Entitlement: "e1", Term: "t1", Account: "acc", Hour: reportHour, State: billing.LineFrozen,
		Usage: number("2.75"), Credit: number("0.5"), CreditAmount: number("0.025"), Left: number("2.25"), Adjusted: number("2.25"),
		CarryIn: number("0.25"), Sent: number("2"), CarryOut: number("0.5")}
	return billing.FrozenReport{Groups: groups, Portions: []billing.Portion{p}, Report: billing.Report{ID: id, Entitlement: "e1", Term: "t1", Buyer: "buyer-1",
			Product: "cdn", Partner: catalog.PartnerAWS, Account: "acc", Hour: reportHour, Created: reportHour.Add(2 * time.Hour), Status: billing.ReportPending, Info: info}},
		billing.Line{Operation: "op-" + id, Partner: catalog.PartnerAWS, Account: "acc", Dimension: "gb", Hour: reportHour, Quantity: number("2"),
			Target: json.RawMessage(`{}`), Next: reportHour, Deadline: reportHour.Add(24 * time.Hour)}
}

var freezeAll = billing.FreezeQuery{Entitlements: []string{"e1"}, Accounts: []string{"acc"}, Before: day("2026-03-02"), HoursFrom: day("2026-02-01")}

// froze has a group of 2.75 GB frozen in report r1.
func (b *bench) froze() billing.RecordGroup {
	b.Helper()
	b.organization("a")
	g := usageGroup("g1")
	g.Records = map[string]meter.Decimal{"gb": number("2.75")}
	b.groups("a", g)
	b.must(b.records.Freeze(b.ctx, "a", freezeAll, func(s *billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
		if len(s.Groups["e1"]) != 1 || len(s.Hours["acc"]) != 0 {
			b.Fatalf("%+v", s)
		}
		r, l := frozen("r1", s.Groups["e1"]...)
		return []billing.FrozenReport{r}, []billing.Line{l}, nil
	}))
	return b.group("g1")
}

func (b *bench) group(id string) billing.RecordGroup {
	b.Helper()
	g, err := b.records.RecordGroup(b.ctx, "a", id)
	b.must(err)
	return g
}

func anyLine(*billing.Line) bool { return true }

// lease leases all lines that are due.
func (b *bench) lease(owner string) []billing.Line {
	b.Helper()
	now := b.clock.Now()
	lines, err := b.records.LeaseLines(b.ctx, owner, now, now.Add(time.Minute), 10, anyLine)
	b.must(err)
	return lines
}

func (b *bench) decide(d billing.Decision) int {
	b.Helper()
	n, err := b.records.DecideLines(b.ctx, []billing.Decision{d})
	b.must(err)
	return n
}

// account is the balance of e1's gb, which holds.
func (b *bench) account() billing.Balance {
	b.Helper()
	all, err := b.records.Balances(b.ctx, "a", "")
	b.must(err)
	one := all[billing.DimensionKey{Entitlement: "e1", Dimension: "gb"}]
	if !one.Holds() {
		b.Errorf("does not add up: %+v", one)
	}
	return one
}

func freezeClaims(b *bench) {
	g := b.froze()
	if g.Status != billing.GroupReportPending || g.Report != "r1" {
		b.Errorf("%+v", g)
	}
	_, err := b.records.DeleteRecordGroup(b.ctx, "a", "g1", actor)
	b.wantKind(err, meter.KindInvalid)
	if got := b.account(); got.Pending.String() != "2.75" || got.Mapped.String() != "2.75" {
		b.Errorf("%+v", got)
	}
	b.must(b.records.Freeze(b.ctx, "a", freezeAll, func(s *billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
		if len(s.Groups["e1"]) != 0 || len(s.Open["e1"]) != 1 || !s.Hours["acc"][reportHour] {
			b.Errorf("%+v", s)
		}
		return nil, nil, nil
	}))
	r, err := b.records.Report(b.ctx, "a", "r1")
	b.must(err)
	if r.Status != billing.ReportPending || r.Serial != 1 || !r.Hour.Equal(reportHour) {
		b.Errorf("%+v", r)
	}
	_, err = b.records.Report(b.ctx, "a", "r2")
	b.wantKind(err, meter.KindNotFound)
}

func freezeExcludesDelete(b *bench) {
	b.organization("a")
	g := b.groups("a", usageGroup("g1"))[0]
	_, err := b.records.DeleteRecordGroup(b.ctx, "a", "g1", actor)
	b.must(err)
	err = b.records.Freeze(b.ctx, "a", freezeAll, func(*billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
		r, l := frozen("r1", g)
		return []billing.FrozenReport{r}, []billing.Line{l}, nil
	})
	b.wantKind(err, meter.KindConflict)
	if got := b.lease("x"); len(got) != 0 {
		b.Errorf("%+v", got)
	}
}

func freezeOneLine(b *bench) {
	b.froze()
	err := b.records.Freeze(b.ctx, "a", freezeAll, func(*billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
		r, l := frozen("r2")
		return []billing.FrozenReport{r}, []billing.Line{l}, nil
	})
	if err == nil {
		b.Error("a second line of the same key was stored")
	}
}

func linesAreFenced(b *bench) {
	b.froze()
	first := b.lease("one")
	if len(first) != 1 || first[0].Fence != 1 || first[0].Maybe || first[0].Attempts != 1 {
		b.Fatalf("%+v", first)
	}
	if got := b.lease("two"); len(got) != 0 {
		b.Errorf("leased twice: %+v", got)
	}
	b.clock.Advance(time.Minute) // the lease ends: it may have been sent
	second := b.lease("two")
	if len(second) != 1 || second[0].Fence != 2 || !second[0].Maybe || second[0].Quantity.Cmp(first[0].Quantity) != 0 {
		b.Fatalf("%+v", second)
	}
	if n := b.decide(billing.Decision{Line: first[0], To: billing.LineRefused}); n != 0 {
		b.Error("an old fence decided")
	}
	if n := b.decide(billing.Decision{Line: second[0], To: billing.LineSettled, Accepted: number("2")}); n != 1 {
		b.Error("the holder did not decide")
	}
	if n := b.decide(billing.Decision{Line: second[0], To: billing.LineRefused}); n != 0 {
		b.Error("decided twice")
	}
}

func settledMoves(b *bench) {
	b.froze()
	d := billing.Decision{Line: b.lease("one")[0], To: billing.LineSettled, Accepted: number("2"), Request: json.RawMessage(`{"q":1}`), Response: json.RawMessage(`{"a":1}`)}
	b.clock.Advance(time.Second)
	b.decide(d)
	g := b.group("g1")
	if g.Status != billing.GroupReported || !g.Reported.Equal(b.clock.Now()) || !slices.Equal(g.Settled, []string{"gb"}) {
		b.Errorf("%+v", g)
	}
	got := b.account()
	if got.Settled.String() != "2" || got.Absorbed.String() != "0.5" || got.Carry.String() != "0.25" || got.Sent.String() != "2" {
		b.Errorf("%+v", got)
	}
	b.must(b.records.Freeze(b.ctx, "a", freezeAll, func(s *billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
		used := s.Balances["e1"][billing.BalanceKey{Kind: billing.BalanceCredit}]
		if used.String() != "0.025" || len(s.Open["e1"]) != 0 {
			b.Errorf("credit used %s, open %+v", used, s.Open)
		}
		return nil, nil, nil
	}))
	r, err := b.records.Report(b.ctx, "a", "r1")
	b.must(err)
	lines, err := b.records.LinesOfReport(b.ctx, "a", r)
	b.must(err)
	if r.Status != billing.ReportSuccess || len(lines) != 1 || string(lines[0].Response) != `{"a":1}` || lines[0].Accepted.String() != "2" {
		b.Errorf("%+v %+v", r, lines)
	}
}

func settledShifts(b *bench) {
	b.froze()
	b.decide(billing.Decision{Line: b.lease("one")[0], To: billing.LineSettled, Accepted: number("1.5")})
	if got := b.account(); got.Carry.String() != "0.75" || got.Sent.String() != "1.5" {
		b.Errorf("%+v", got)
	}
}

func settledBeyond(b *bench) {
	b.froze()
	b.decide(billing.Decision{Line: b.lease("one")[0], To: billing.LineSettled, Accepted: number("5")})
	if got := b.account(); got.Carry.String() != "-2.75" || got.Sent.String() != "5" {
		b.Errorf("%+v", got)
	}
}

func refusedMovesNothing(b *bench) {
	b.froze()
	b.decide(billing.Decision{Line: b.lease("one")[0], To: billing.LineRefused, Message: "CustomerNotSubscribed"})
	g := b.group("g1")
	if g.Status != billing.GroupReportFailed || g.Message != "CustomerNotSubscribed" || len(g.Settled) != 0 {
		b.Errorf("%+v", g)
	}
	if got := b.account(); got.Failed.String() != "2.75" || !got.Carry.IsZero() || !got.Absorbed.IsZero() {
		b.Errorf("%+v", got)
	}
	_, err := b.records.RetryRecordGroup(b.ctx, "a", "g1", actor)
	b.must(err)
	if got := b.account(); got.Pending.String() != "2.75" || !got.Failed.IsZero() {
		b.Errorf("%+v", got)
	}
}

func movedIsFree(b *bench) {
	b.froze()
	b.decide(billing.Decision{Line: b.lease("one")[0], To: billing.LineMoved, Message: "Expired"})
	if g := b.group("g1"); g.Status != billing.GroupReportPending || g.Report != "" {
		b.Errorf("%+v", g)
	}
	waiting, err := b.records.WaitingGroups(b.ctx, "a", day("2026-03-02"))
	b.must(err)
	if len(waiting) != 1 || waiting[0].Groups != 1 || !waiting[0].Oldest.Equal(day("2026-03-01")) {
		b.Errorf("%+v", waiting)
	}
	b.organization("z")
	b.must(b.records.SetReporter(b.ctx, "z", billing.ReporterState{Paused: true}, actor))
	for before, want := range map[string]int{"2026-03-02": 1, "2026-03-01": 0} {
		standings, err := b.records.ReporterStandings(b.ctx, day(before))
		b.must(err)
		of := map[string]billing.ReporterStanding{}
		for _, one := range standings {
			of[one.Organization] = one
		}
		if a := of["a"]; a.Paused || a.Groups != want || want > 0 && !a.Oldest.Equal(day("2026-03-01")) || want == 0 && !a.Oldest.IsZero() {
			b.Errorf("before %s: %+v", before, a)
		}
		if z := of["z"]; !z.Paused || z.Groups != 0 || !z.Oldest.IsZero() {
			b.Errorf("before %s: %+v", before, z)
		}
	}
	if got := b.account(); got.Pending.String() != "2.75" {
		b.Errorf("%+v", got)
	}
}

func parkedIsResolved(b *bench) {
	b.froze()
	b.decide(billing.Decision{Line: b.lease("one")[0], To: billing.LineParked, Message: "nobody can tell"})
	if g := b.group("g1"); g.Status != billing.GroupReportPending || g.Message != "nobody can tell" {
		b.Errorf("%+v", g)
	}
	if got := b.account(); got.Parked.String() != "2.75" || !got.Carry.IsZero() {
		b.Errorf("%+v", got)
	}
	counts, err := b.records.LineCounts(b.ctx)
	b.must(err)
	if len(counts) != 1 || counts[0].State != billing.LineParked || counts[0].Count != 1 || !counts[0].Oldest.Equal(reportHour) {
		b.Errorf("%+v", counts)
	}
	b.wantKind(b.records.ResolvePortion(b.ctx, "a", "r1", "gb", "frozen", actor), meter.KindInvalid)
	b.must(b.records.ResolvePortion(b.ctx, "a", "r1", "gb", billing.LineSettled, actor))
	if got := b.account(); got.Settled.String() != "2" || got.Carry.String() != "0.25" {
		b.Errorf("%+v", got)
	}
	b.wantKind(b.records.ResolvePortion(b.ctx, "a", "r1", "gb", billing.LineSettled, actor), meter.KindNotFound)
}

func stuckUntilSettled(b *bench) {
	stuck := func(want string) {
		b.Helper()
		lines, err := b.records.StuckLines(b.ctx, "a", 10)
		b.must(err)
		got := ""
		for _, l := range lines {
			got += l.State + " " + l.Usage.String() + " " + l.Message + "; "
		}
		counts, err := b.records.LineCounts(b.ctx)
		b.must(err)
		if got != want || len(counts) != len(lines) {
			b.Errorf("stuck: %q, want %q; %+v", got, want, counts)
		}
		b.account()
	}
	b.froze()
	stuck("frozen 2.75 ; ")
	b.decide(billing.Decision{Line: b.lease("one")[0], To: billing.LineRefused, Message: "InvalidDimension"})
	stuck("refused 2.75 InvalidDimension; ")
	_, err := b.records.RetryRecordGroup(b.ctx, "a", "g1", actor)
	b.must(err)
	stuck("")
	b.wantKind(b.records.ResolvePortion(b.ctx, "a", "r1", "gb", billing.LineElsewhere, actor), meter.KindNotFound)
	// A second report of it, of a later hour, is refused as it is frozen: it has no line.
	b.must(b.records.Freeze(b.ctx, "a", freezeAll, func(s *billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
		r, _ := frozen("r2", s.Groups["e1"]...)
		r.Hour, r.Portions[0].Hour, r.Portions[0].State, r.Portions[0].Reason = reportHour.Add(time.Hour), reportHour.Add(time.Hour), billing.LineRefused, "no metric"
		return []billing.FrozenReport{r}, nil, nil
	}))
	if g := b.group("g1"); g.Status != billing.GroupReportFailed || g.Message != "no metric" {
		b.Errorf("%+v", g)
	}
	stuck("refused 2.75 no metric; ")
	b.wantKind(b.records.ResolvePortion(b.ctx, "a", "r2", "gb", billing.LineRefused, actor), meter.KindNotFound)
	b.must(b.records.ResolvePortion(b.ctx, "a", "r2", "gb", billing.LineElsewhere, actor))
	stuck("")
	if got := b.account(); got.Settled.String() != "2.75" || !got.Sent.IsZero() || !got.Absorbed.IsZero() || !got.Carry.IsZero() {
		b.Errorf("%+v", got)
	}
	if g := b.group("g1"); g.Status != billing.GroupReported {
		b.Errorf("%+v", g)
	}
}

func reportLists(b *bench) {
	b.organization("a")
	for i := range 7 {
		r, _ := frozen(fmt.Sprint("r", i))
		r.Portions = nil
		r.Entitlement, r.Buyer, r.Partner = fmt.Sprint("e", i%2), fmt.Sprint("b", i%3), []string{catalog.PartnerAWS, catalog.PartnerGCP}[i/4]
		r.Created = day("2026-03-01").Add(time.Duration(i) * time.Hour)
		b.must(b.records.Freeze(b.ctx, "a", billing.FreezeQuery{}, func(*billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
			return []billing.FrozenReport{r}, nil, nil
		}))
	}
	all := billing.ReportFilter{From: day("2026-03-01"), To: day("2026-03-02")}
	for _, c := range []struct {
		change        func(*billing.ReportFilter)
		offset, limit int
		want          string
		more          bool
	}{
		{func(*billing.ReportFilter) {}, 0, 10, "r6 r5 r4 r3 r2 r1 r0", false},
		{func(*billing.ReportFilter) {}, 2, 3, "r4 r3 r2", true},
		{func(*billing.ReportFilter) {}, 4, 3, "r2 r1 r0", false},
		{func(f *billing.ReportFilter) { f.Entitlement = "e1" }, 0, 10, "r5 r3 r1", false},
		{func(f *billing.ReportFilter) { f.Buyer = "b0" }, 0, 10, "r6 r3 r0", false},
		{func(f *billing.ReportFilter) { f.Partner = catalog.PartnerGCP }, 0, 10, "r6 r5 r4", false},
		{func(f *billing.ReportFilter) { f.Partner, f.Entitlement, f.Buyer = catalog.PartnerAWS, "e1", "b0" }, 0, 10, "r3", false},
		{func(f *billing.ReportFilter) {
			f.From = day("2026-03-01").Add(time.Hour)
			f.To = f.From.Add(2 * time.Hour)
		}, 0, 10, "r2 r1", false},
	} {
		f := all
		c.change(&f)
		page, err := b.records.Reports(b.ctx, "a", f, c.offset, c.limit)
		b.must(err)
		got := ""
		for i, r := range page.Items {
			if i > 0 {
				got += " "
			}
			got += r.ID
		}
		if got != c.want || page.More != c.more {
			b.Errorf("%+v: %q, %v; want %q, %v", f, got, page.More, c.want, c.more)
		}
	}
}

func reportersPause(b *bench) {
	b.organization("a")
	b.organization("b")
	state, err := b.records.Reporter(b.ctx, "a")
	b.must(err)
	if state.Paused {
		b.Error("paused from the start")
	}
	b.must(b.records.PauseReporters(b.ctx, "restored"))
	for _, id := range []string{"a", "b"} {
		if state, err = b.records.Reporter(b.ctx, id); err != nil || !state.Paused || !state.Restored.Equal(b.clock.Now()) || state.Reason != "restored" {
			b.Errorf("%s: %+v, %v", id, state, err)
		}
	}
	state.Paused = false
	b.must(b.records.SetReporter(b.ctx, "a", state, actor))
	if state, err = b.records.Reporter(b.ctx, "a"); err != nil || state.Paused || state.Restored.IsZero() {
		b.Errorf("%+v, %v", state, err)
	}
}
