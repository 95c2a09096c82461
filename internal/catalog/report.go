package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"odometer/internal/meter"
)

// The states of a report.
const (
	ReportPending = "PENDING" // a marketplace's answer is open
	ReportSuccess = "SUCCESS" // accepted, or nothing had to be sent
	ReportFailed  = "FAILED"  // a dimension was refused
	ReportParked  = "PARKED"  // a dimension waits for a person
	ReportMoved   = "MOVED"   // not accepted in its hour: its usage goes to a later one
)

// The states of a line and of a report's portion.
const (
	LineFrozen  = "frozen"  // to be sent, or sent and not known to be accepted
	LineSettled = "settled" // accepted
	LineRefused = "refused" // not accepted, and no other hour helps
	LineParked  = "parked"  // may have been accepted; nobody can tell any more
	LineMoved   = "moved"   // not accepted in its hour; its usage is free again
)

// Report is what was frozen of one entitlement for one hour.
type Report struct {
	ID          string
	Serial      int64 // 1, 2, 3, ... within the organization; given when it is stored
	Entitlement string
	Term        string
	Buyer       string
	Product     string
	Partner     string
	Account     string    // who is billed, as the marketplace knows it
	Hour        time.Time // its start
	Created     time.Time
	Updated     time.Time
	Status      string
	Message     string
	Info        json.RawMessage // a ReportInfo
}

// ReportInfo is what a report was made of, as it was then.
type ReportInfo struct {
	Groups       []string        `json:"groups,omitempty"`
	Billable     json.RawMessage `json:"billable,omitempty"` // aggregated records of billable metrics
	CommitAmount meter.Decimal   `json:"commit_amount"`
	UsedCommit   meter.Decimal   `json:"used_commit"` // before this report
	CreditAmount meter.Decimal   `json:"credit_amount"`
	UsedCredit   meter.Decimal   `json:"used_credit"` // before this report
	Sequence     uint64          `json:"sequence,omitempty"`
	Late         bool            `json:"late,omitempty"` // holds usage of an hour that was closed
}

// Portion is one dimension of a report: where its usage went.
//
//	Usage = Credit + Commit + Included + Left
//	Adjusted + CarryIn = Sent + CarryOut + Elsewhere, Adjusted being Left at the list price
type Portion struct {
	Report, Dimension, Entitlement, Term, Account string    `json:"-"`
	Hour                                          time.Time `json:"-"`
	State                                         string    `json:"-"`

	Usage        meter.Decimal `json:"usage"`
	Metered      meter.Decimal `json:"metered"`  // of Usage, read from a meter
	Billable     meter.Decimal `json:"billable"` // of Usage, of billable metrics
	Late         bool          `json:"late,omitempty"`
	Credit       meter.Decimal `json:"credit"`
	Commit       meter.Decimal `json:"commit"`
	Included     meter.Decimal `json:"included"`
	CreditAmount meter.Decimal `json:"credit_amount"`
	CommitSpent  meter.Decimal `json:"commit_spent"`
	Period       string        `json:"period,omitempty"` // of the included quantity
	Left         meter.Decimal `json:"left"`
	Adjusted     meter.Decimal `json:"adjusted"`
	CarryIn      meter.Decimal `json:"carry_in"`

	// Carried is what of CarryIn was carried by other terms.
	Carried map[string]meter.Decimal `json:"carried,omitempty"`
	// Taken is usage that was taken out of what was carried, by term, because
	// no other usage came to take it along: all of it is of Usage.
	Taken map[string]meter.Decimal `json:"taken,omitempty"`

	Sent      meter.Decimal `json:"sent"`
	CarryOut  meter.Decimal `json:"carry_out"`
	UnitPrice meter.Decimal `json:"unit_price"`
	ListPrice meter.Decimal `json:"list_price"`
	Metrics   []string      `json:"metrics,omitempty"` // billable metrics in it
	Whole     []string      `json:"whole,omitempty"`   // of those: whose figure is not the sum of its groups' figures, such as MAX
	Reads     []MeterRead   `json:"reads,omitempty"`
	Seen      []SeenItem    `json:"seen,omitempty"`

	Reason    string        `json:"reason,omitempty"` // why it is refused, parked or moved
	Groups    int           `json:"groups,omitempty"` // usage record groups in it
	Freed     int           `json:"freed,omitempty"`  // of a refused portion: groups that were retried since
	Retried   meter.Decimal `json:"retried"`          // and their usage
	Elsewhere meter.Decimal `json:"elsewhere"`        // settled by a person, not through the marketplace
}

// MeterRead is usage that was read of a dimension's meter.
type MeterRead struct {
	Period  string        `json:"period"`  // month
	Through time.Time     `json:"through"` // read up to here
	Value   meter.Decimal `json:"value"`   // in a portion: what was new; in a state: of the whole period so far
}

// SeenItem is one value that UNIQUE_COUNT has counted.
type SeenItem struct {
	Metric string `json:"metric"`
	Split  string `json:"split"`
	Day    string `json:"day"`
	Value  string `json:"value"`
}

// The kinds of balance.
const (
	BalanceCarry    = "carry"    // by term and dimension
	BalanceCredit   = "credit"   // used, of the entitlement
	BalanceCommit   = "commit"   // used, by term
	BalanceIncluded = "included" // used, by term, dimension and period
)

// BalanceKey names a balance of an entitlement.
type BalanceKey struct{ Kind, Term, Dimension, Period string }

// Each calls move with every balance that a settled portion moves, and by how much.
func (p *Portion) Each(move func(k BalanceKey, by meter.Decimal)) {
	carry := p.CarryOut.Sub(p.CarryIn)
	for term, amount := range p.Carried {
		carry = carry.Add(amount)
		move(BalanceKey{BalanceCarry, term, p.Dimension, ""}, amount.Neg())
	}
	for k, by := range map[BalanceKey]meter.Decimal{
		{BalanceCarry, p.Term, p.Dimension, ""}:          carry,
		{BalanceCredit, "", "", ""}:                      p.CreditAmount,
		{BalanceCommit, p.Term, "", ""}:                  p.CommitSpent,
		{BalanceIncluded, p.Term, p.Dimension, p.Period}: p.Included,
	} {
		if !by.IsZero() {
			move(k, by)
		}
	}
}

// TakenAmount is the sum of Taken.
func (p *Portion) TakenAmount() meter.Decimal {
	total := meter.Decimal{}
	for _, amount := range p.Taken {
		total = total.Add(amount)
	}
	return total
}

// takings calls move with what the portion takes out of what is carried as
// soon as it is frozen; sign -1 takes, 1 gives back.
func (p *Portion) takings(back bool, move func(k BalanceKey, by meter.Decimal)) {
	for term, amount := range p.Taken {
		if !back {
			amount = amount.Neg()
		}
		move(BalanceKey{BalanceCarry, term, p.Dimension, ""}, amount)
	}
}

// MaxGroupsPerReport bounds the usage record groups of one entitlement that a
// freeze looks at, and so those of one report.
const MaxGroupsPerReport = 100_000

// FreezeQuery says what a freeze looks at.
type FreezeQuery struct {
	Entitlements []string
	Accounts     []string
	Before       time.Time // usage before this instant
	HoursFrom    time.Time // hours that have reports are told from here on
	MaxGroups    int       // of one entitlement, the rest is for another freeze; 0 = MaxGroupsPerReport
}

// FreezeState is what a freeze has to decide about. Balances and reads are as
// settled; what is open is to be counted on top.
type FreezeState struct {
	Groups   map[string][]RecordGroup // by entitlement, by time of usage: claimed by nothing
	Until    map[string]time.Time     // by entitlement with more groups than MaxGroups: the hours before it are told
	Open     map[string][]Portion     // by entitlement: frozen or parked
	Balances map[string]map[BalanceKey]meter.Decimal
	Credits  map[string]meter.Decimal        // given so far
	Hours    map[string]map[time.Time]bool   // by account: hours that have a report
	Reads    map[string]map[string]MeterRead // by entitlement, and dimension and period joined by a slash
	Seen     map[string]map[SeenKey]bool     // by entitlement
}

// SeenKey is an item for the dimension it is billed as.
type SeenKey struct {
	Dimension string
	Item      SeenItem
}

// FrozenReport is a report to be stored, with all that it holds.
type FrozenReport struct {
	Report
	Portions []Portion
	Groups   []RecordGroup // claimed; their status follows from the portions
	Unbilled []SeenItem    // of metrics that no dimension bills
}

// Freeze decides about unreported usage and stores what was decided, in one
// transaction: reports with their portions, the lines to be sent, the groups
// claimed, what was read of meters. A group that was deleted meanwhile cannot
// be claimed: nothing is stored then, and the error is KindConflict. Portions
// that are settled already move their balances.
func (s *Store) Freeze(ctx context.Context, organization string, q FreezeQuery, decide func(*FreezeState) ([]FrozenReport, []Line, error)) error {
	return s.write(ctx, "freeze reports", func(tx *sql.Tx) error {
		state, err := freezeState(ctx, tx, organization, q)
		if err != nil {
			return err
		}
		reports, lines, err := decide(state)
		if err != nil || len(reports) == 0 {
			return err
		}
		var serial int64
		if err := tx.QueryRowContext(ctx, stmtRecords.ReportSerial, organization).Scan(&serial); err != nil {
			return err
		}
		for i := range reports {
			serial++
			reports[i].Serial = serial
			if err := s.insertReport(ctx, tx, organization, &reports[i]); err != nil {
				return err
			}
		}
		for i := range lines {
			lines[i].Organization = organization
			if err := insertLine(ctx, tx, &lines[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func freezeState(ctx context.Context, tx *sql.Tx, organization string, q FreezeQuery) (*FreezeState, error) {
	f := &FreezeState{Groups: map[string][]RecordGroup{}, Until: map[string]time.Time{}, Open: map[string][]Portion{}, Balances: map[string]map[BalanceKey]meter.Decimal{},
		Credits: map[string]meter.Decimal{}, Hours: map[string]map[time.Time]bool{}, Reads: map[string]map[string]MeterRead{}, Seen: map[string]map[SeenKey]bool{}}
	for _, e := range q.Entitlements {
		if err := f.load(ctx, tx, organization, e, q); err != nil {
			return nil, err
		}
	}
	for _, account := range q.Accounts {
		hours, err := list(ctx, tx, scanMicros, stmtRecords.ReportHours, organization, account, micros(q.HoursFrom))
		if err != nil {
			return nil, err
		}
		f.Hours[account] = map[time.Time]bool{}
		for _, h := range hours {
			f.Hours[account][h] = true
		}
	}
	return f, nil
}

// load reads what is known of one entitlement.
func (f *FreezeState) load(ctx context.Context, tx *sql.Tx, organization, entitlement string, q FreezeQuery) error {
	most := cmp.Or(q.MaxGroups, MaxGroupsPerReport)
	groups, err := list(ctx, tx, scanRecordGroup, stmtRecords.GroupUnclaimed, organization, entitlement, micros(q.Before), most+1)
	if err != nil {
		return err
	}
	if len(groups) > most {
		f.Until[entitlement] = wholeHours(&groups, most)
	}
	f.Groups[entitlement] = groups
	if f.Open[entitlement], err = list(ctx, tx, scanPortion, stmtRecords.PortionOpen, organization, entitlement); err != nil {
		return err
	}
	balances, err := list(ctx, tx, scanBalance, stmtRecords.BalanceList, organization, entitlement)
	if err != nil {
		return err
	}
	f.Balances[entitlement] = map[BalanceKey]meter.Decimal{}
	for _, b := range balances {
		f.Balances[entitlement][b.key] = b.amount
	}
	amounts, err := list(ctx, tx, scanDecimal, stmtRecords.CreditAmounts, organization, entitlement, micros(q.Before))
	if err != nil {
		return err
	}
	for _, a := range amounts {
		f.Credits[entitlement] = f.Credits[entitlement].Add(a)
	}
	reads, err := list(ctx, tx, scanRead, stmtRecords.ReadList, organization, entitlement)
	if err != nil {
		return err
	}
	f.Reads[entitlement] = map[string]MeterRead{}
	for _, r := range reads {
		f.Reads[entitlement][r.dimension+"/"+r.Period] = r.MeterRead
	}
	return f.loadSeen(ctx, tx, organization, entitlement, groups)
}

// wholeHours cuts groups, which are more than most, after an hour, and returns
// its end. If one hour alone has more, the first of it are taken: for what is
// left the hour is then closed.
func wholeHours(groups *[]RecordGroup, most int) (until time.Time) {
	until = (*groups)[most].Usage.UTC().Truncate(time.Hour)
	n := slices.IndexFunc(*groups, func(g RecordGroup) bool { return !g.Usage.Before(until) })
	if n == 0 {
		n, until = most, until.Add(time.Hour)
	}
	*groups = (*groups)[:n]
	return until
}

// loadSeen reads what UNIQUE_COUNT has counted since the earliest day of the groups.
func (f *FreezeState) loadSeen(ctx context.Context, tx *sql.Tx, organization, entitlement string, groups []RecordGroup) error {
	f.Seen[entitlement] = map[SeenKey]bool{}
	for _, g := range groups { // by time of usage
		if len(g.Billable) == 0 {
			continue
		}
		seen, err := list(ctx, tx, scanSeen, stmtRecords.SeenList, organization, entitlement, g.Usage.UTC().Format(time.DateOnly))
		if err != nil {
			return err
		}
		for _, k := range seen {
			f.Seen[entitlement][k] = true
		}
		return nil
	}
	return nil
}

func (s *Store) insertReport(ctx context.Context, tx *sql.Tx, organization string, r *FrozenReport) error {
	_, err := tx.ExecContext(ctx, stmtRecords.ReportCreate, organization, r.ID, r.Serial, r.Entitlement, r.Term, r.Buyer, r.Product, r.Partner, r.Account,
		micros(r.Hour), micros(r.Created), micros(r.Created), r.Status, r.Message, string(r.Info))
	if err != nil {
		return err
	}
	for i := range r.Groups {
		for _, p := range r.Groups[i].dimensions(r.Portions) {
			at := slices.IndexFunc(r.Portions, func(q Portion) bool { return q.Dimension == p.Dimension })
			r.Portions[at].Groups++
		}
	}
	for i := range r.Portions {
		p := &r.Portions[i]
		body, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, stmtRecords.PortionCreate, organization, r.ID, p.Dimension, r.Entitlement, r.Term, r.Account, micros(r.Hour), p.State, string(body)); err != nil {
			return err
		}
		if err := s.bookPortion(ctx, tx, organization, p); err != nil {
			return err
		}
	}
	if err := insertSeen(ctx, tx, organization, r.Entitlement, "", r.ID, r.Unbilled); err != nil {
		return err
	}
	concludeGroups(r.Groups, r.Portions, "", r.Created)
	for _, g := range r.Groups {
		settled, err := json.Marshal(g.Settled)
		if err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, stmtRecords.GroupClaim, organization, g.ID, r.ID, g.Status, micros(r.Created), micros(g.Reported), string(settled), g.Message)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, meter.Errorf(meter.KindConflict, "usage record group %q can no longer be claimed", clip(g.ID)))
		}
	}
	return nil
}

// bookPortion notes what a fresh portion has read and, unless it is refused,
// seen, and moves its balances if it is settled already.
func (s *Store) bookPortion(ctx context.Context, tx *sql.Tx, organization string, p *Portion) error {
	for _, r := range p.Reads {
		if err := addRead(ctx, tx, organization, p, r, false); err != nil {
			return err
		}
	}
	if err := moveBalances(ctx, tx, organization, p.Entitlement, func(move func(BalanceKey, meter.Decimal)) { p.takings(false, move) }); err != nil {
		return err
	}
	if p.State == LineRefused { // what it counted stays new
		return nil
	}
	if err := insertSeen(ctx, tx, organization, p.Entitlement, p.Dimension, p.Report, p.Seen); err != nil {
		return err
	}
	if p.State == LineSettled {
		return moveBalances(ctx, tx, organization, p.Entitlement, p.Each)
	}
	return nil
}

func insertSeen(ctx context.Context, tx *sql.Tx, organization, entitlement, dimension, report string, items []SeenItem) error {
	for _, i := range items {
		if _, err := tx.ExecContext(ctx, stmtRecords.SeenCreate, organization, entitlement, dimension, i.Metric, i.Split, i.Day, i.Value, report); err != nil {
			return err
		}
	}
	return nil
}

// addRead adds to what was read of a meter, or takes it back so that it is read again.
func addRead(ctx context.Context, tx *sql.Tx, organization string, p *Portion, r MeterRead, back bool) error {
	var through sql.NullInt64
	var text string
	value := meter.Decimal{}
	err := tx.QueryRowContext(ctx, stmtRecords.ReadGet, organization, p.Entitlement, p.Dimension, r.Period).Scan(&through, &text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	default:
		if value, err = meter.ParseDecimal(text); err != nil {
			return err
		}
	}
	until := fromMicros(through)
	if back {
		value = value.Sub(r.Value)
	} else if value = value.Add(r.Value); r.Through.After(until) {
		until = r.Through
	}
	_, err = tx.ExecContext(ctx, stmtRecords.ReadPut, organization, p.Entitlement, p.Dimension, r.Period, micros(until), value.String())
	return err
}

// moveBalances moves balances of an entitlement, such as those that a settled
// portion carries and has used up.
func moveBalances(ctx context.Context, tx *sql.Tx, organization, entitlement string, each func(move func(BalanceKey, meter.Decimal))) error {
	var failed error
	each(func(k BalanceKey, by meter.Decimal) {
		if failed != nil {
			return
		}
		amount := meter.Decimal{}
		var text string
		err := tx.QueryRowContext(ctx, stmtRecords.BalanceGet, organization, entitlement, k.Kind, k.Term, k.Dimension, k.Period).Scan(&text)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			failed = err
			return
		default:
			if amount, failed = meter.ParseDecimal(text); failed != nil {
				return
			}
		}
		_, failed = tx.ExecContext(ctx, stmtRecords.BalancePut, organization, entitlement, k.Kind, k.Term, k.Dimension, k.Period, amount.Add(by).String())
	})
	return failed
}

// ReportFilter chooses reports; a text that is "" does not.
type ReportFilter struct {
	From, To    time.Time // creation, half-open
	Partner     string
	Buyer       string
	Entitlement string
}

// ReportPage is a part of a list of reports, the newest first.
type ReportPage struct {
	Items []Report
	More  bool // whether there are reports after these
}

// Reports lists the reports that the filter chooses, the newest first, from offset on.
func (s *Store) Reports(ctx context.Context, organization string, f ReportFilter, offset, limit int) (ReportPage, error) {
	query := stmtRecords.ReportList
	switch { // the narrowest index
	case f.Entitlement != "":
		query = stmtRecords.ReportListEntitlement
	case f.Buyer != "":
		query = stmtRecords.ReportListBuyer
	case f.Partner != "":
		query = stmtRecords.ReportListPartner
	}
	items, err := list(ctx, s.reader, scanReport, query, organization, micros(f.From), micros(f.To), f.Partner, f.Buyer, f.Entitlement, limit+1, offset)
	if err != nil {
		return ReportPage{}, s.fail(err, "cannot list reports")
	}
	page := ReportPage{Items: items, More: len(items) > limit}
	page.Items = items[:min(len(items), limit)]
	return page, nil
}

// Report returns one report, or KindNotFound.
func (s *Store) Report(ctx context.Context, organization, id string) (Report, error) {
	r, err := scanReport(s.reader.QueryRowContext(ctx, stmtRecords.ReportGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Report{}, meter.Errorf(meter.KindNotFound, "no report %q", clip(id))
	}
	if err != nil {
		return Report{}, s.fail(err, "cannot read the report")
	}
	return r, nil
}

// ReportDetail is a report with all that it holds.
type ReportDetail struct {
	Report
	Portions []Portion // by dimension
	Lines    []Line    // that bill them, by dimension; shared by the reports of one account and hour
}

// detailBatch is how many reports one statement looks up.
const detailBatch = 500

// ReportDetails returns reports with their portions and lines, in order.
func (s *Store) ReportDetails(ctx context.Context, organization string, reports []Report) ([]ReportDetail, error) {
	out := make([]ReportDetail, len(reports))
	at := map[string]int{}
	for i, r := range reports {
		out[i].Report = r
		at[r.ID] = i
	}
	for first := 0; first < len(reports); first += detailBatch {
		some := reports[first:min(first+detailBatch, len(reports))]
		args := []any{organization}
		for _, r := range some {
			args = append(args, r.ID)
		}
		portions, err := list(ctx, s.reader, scanPortion, repeatIn(stmtRecords.PortionOfReports, 2, len(some)), args...)
		if err != nil {
			return nil, s.fail(err, "cannot read reports")
		}
		for _, p := range portions {
			out[at[p.Report]].Portions = append(out[at[p.Report]].Portions, p)
		}
		lines, err := list(ctx, s.reader, scanReportLine, repeatIn(stmtRecords.LineOfReports, 2, len(some)), args...)
		if err != nil {
			return nil, s.fail(err, "cannot read reports")
		}
		for _, l := range lines {
			out[at[l.report]].Lines = append(out[at[l.report]].Lines, l.Line)
		}
	}
	return out, nil
}

// ReportsOf returns the reports of an account for one hour, the newest first.
func (s *Store) ReportsOf(ctx context.Context, organization, account string, hour time.Time) ([]Report, error) {
	all, err := list(ctx, s.reader, scanReport, stmtRecords.ReportOfAccount, organization, account, micros(hour))
	if err != nil {
		return nil, s.fail(err, "cannot read reports")
	}
	return all, nil
}

// MeterReads returns what was read of the meters of an entitlement's
// dimensions, by dimension and period joined by a slash.
func (s *Store) MeterReads(ctx context.Context, organization, entitlement string) (map[string]MeterRead, error) {
	all, err := list(ctx, s.reader, scanRead, stmtRecords.ReadList, organization, entitlement)
	if err != nil {
		return nil, s.fail(err, "cannot read what was read of meters")
	}
	reads := map[string]MeterRead{}
	for _, r := range all {
		reads[r.dimension+"/"+r.Period] = r.MeterRead
	}
	return reads, nil
}

// ReportPortions returns the portions of a report, by dimension.
func (s *Store) ReportPortions(ctx context.Context, organization, report string) ([]Portion, error) {
	all, err := list(ctx, s.reader, scanPortion, stmtRecords.PortionOfReport, organization, report)
	if err != nil {
		return nil, s.fail(err, "cannot read the report")
	}
	return all, nil
}

func scanReport(r row) (Report, error) {
	var x Report
	var hour, created, updated sql.NullInt64
	var info string
	err := r.Scan(&x.ID, &x.Serial, &x.Entitlement, &x.Term, &x.Buyer, &x.Product, &x.Partner, &x.Account, &hour, &created, &updated, &x.Status, &x.Message, &info)
	x.Hour, x.Created, x.Updated, x.Info = fromMicros(hour), fromMicros(created), fromMicros(updated), json.RawMessage(info)
	return x, err
}

func scanPortion(r row) (Portion, error) {
	var p Portion
	var hour sql.NullInt64
	var body string
	if err := r.Scan(&p.Report, &p.Dimension, &p.Entitlement, &p.Term, &p.Account, &hour, &p.State, &body); err != nil {
		return p, err
	}
	p.Hour = fromMicros(hour)
	return p, json.Unmarshal([]byte(body), &p)
}

type balance struct {
	key    BalanceKey
	amount meter.Decimal
}

func scanBalance(r row) (balance, error) {
	var b balance
	var text string
	err := r.Scan(&b.key.Kind, &b.key.Term, &b.key.Dimension, &b.key.Period, &text)
	if err == nil {
		b.amount, err = meter.ParseDecimal(text)
	}
	return b, err
}

func scanDecimal(r row) (meter.Decimal, error) {
	var text string
	if err := r.Scan(&text); err != nil {
		return meter.Decimal{}, err
	}
	return meter.ParseDecimal(text)
}

func scanMicros(r row) (time.Time, error) {
	var us sql.NullInt64
	err := r.Scan(&us)
	return fromMicros(us), err
}

type dimensionRead struct {
	MeterRead
	dimension string
}

func scanRead(r row) (dimensionRead, error) {
	var d dimensionRead
	var through sql.NullInt64
	var text string
	err := r.Scan(&d.dimension, &d.Period, &through, &text)
	if err == nil {
		d.Through = fromMicros(through)
		d.Value, err = meter.ParseDecimal(text)
	}
	return d, err
}

func scanSeen(r row) (SeenKey, error) {
	var k SeenKey
	err := r.Scan(&k.Dimension, &k.Item.Metric, &k.Item.Split, &k.Item.Day, &k.Item.Value)
	return k, err
}
