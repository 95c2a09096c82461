package records

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// maxGroupsPerReport bounds the usage record groups of one entitlement that a
// freeze looks at, and so those of one report.
const maxGroupsPerReport = 100_000

// Freeze decides about unreported usage and stores what was decided, in one
// transaction: reports with their portions, the lines to be sent, the groups
// claimed, what was read of meters. A group that was deleted meanwhile cannot
// be claimed: nothing is stored then, and the error is KindConflict. Portions
// that are settled already move their balances.
func (s *Store) Freeze(ctx context.Context, organization string, q billing.FreezeQuery, decide func(*billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error)) error {
	return s.db.Write(ctx, "freeze reports", func(tx *sql.Tx) error {
		state, err := freezeState(ctx, tx, organization, q)
		if err != nil {
			return err
		}
		reports, lines, err := decide(state)
		if err != nil || len(reports) == 0 {
			return err
		}
		var serial int64
		if err := tx.QueryRowContext(ctx, stmt.ReportSerial, organization).Scan(&serial); err != nil {
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

func freezeState(ctx context.Context, tx *sql.Tx, organization string, q billing.FreezeQuery) (*billing.FreezeState, error) {
	f := &billing.FreezeState{Groups: map[string][]billing.RecordGroup{}, Until: map[string]time.Time{}, Open: map[string][]billing.Portion{}, Balances: map[string]map[billing.BalanceKey]meter.Decimal{},
		Credits: map[string]meter.Decimal{}, Hours: map[string]map[time.Time]bool{}, Reads: map[string]map[string]billing.MeterRead{}, Seen: map[string]map[billing.SeenKey]bool{}}
	for some := range slices.Chunk(q.Entitlements, stateBatch) {
		if err := loadState(ctx, tx, f, organization, some, q); err != nil {
			return nil, err
		}
	}
	for _, e := range q.Entitlements {
		if err := loadGroups(ctx, tx, f, organization, e, q); err != nil {
			return nil, err
		}
	}
	for _, account := range q.Accounts {
		f.Hours[account] = map[time.Time]bool{}
	}
	for some := range slices.Chunk(q.Accounts, stateBatch) {
		query, args := store.InList(stmt.ReportHours, 3, []any{organization, store.Micros(q.HoursFrom)}, some)
		hours, err := store.List(ctx, tx, scanAccountHour, query, args...)
		if err != nil {
			return nil, err
		}
		for _, h := range hours {
			f.Hours[h.account][h.hour] = true
		}
	}
	return f, nil
}

// stateBatch is how many entitlements one statement asks for.
const stateBatch = 64

// loadState reads what is known of entitlements besides their groups.
func loadState(ctx context.Context, tx *sql.Tx, f *billing.FreezeState, organization string, entitlements []string, q billing.FreezeQuery) error {
	for _, e := range entitlements {
		f.Open[e] = []billing.Portion{}
		f.Balances[e] = map[billing.BalanceKey]meter.Decimal{}
		f.Reads[e] = map[string]billing.MeterRead{}
	}
	query, args := store.InList(stmt.PortionOpen, 2, []any{organization}, entitlements)
	open, err := store.List(ctx, tx, scanPortion, query, args...)
	if err != nil {
		return err
	}
	for _, p := range open {
		f.Open[p.Entitlement] = append(f.Open[p.Entitlement], p)
	}
	query, args = store.InList(stmt.BalanceList, 2, []any{organization}, entitlements)
	balances, err := store.List(ctx, tx, scanBalance, query, args...)
	if err != nil {
		return err
	}
	for _, b := range balances {
		f.Balances[b.entitlement][b.key] = b.amount
	}
	query, args = store.InList(stmt.CreditAmounts, 3, []any{organization, store.Micros(q.Before)}, entitlements)
	credits, err := store.List(ctx, tx, scanEntitled, query, args...)
	if err != nil {
		return err
	}
	for _, c := range credits {
		f.Credits[c.entitlement] = f.Credits[c.entitlement].Add(c.amount)
	}
	query, args = store.InList(stmt.ReadList, 2, []any{organization}, entitlements)
	reads, err := store.List(ctx, tx, scanRead, query, args...)
	if err != nil {
		return err
	}
	for _, r := range reads {
		f.Reads[r.entitlement][r.dimension+"/"+r.Period] = r.MeterRead
	}
	return nil
}

// loadGroups reads what no report has claimed of one entitlement.
func loadGroups(ctx context.Context, tx *sql.Tx, f *billing.FreezeState, organization, entitlement string, q billing.FreezeQuery) error {
	most := cmp.Or(q.MaxGroups, maxGroupsPerReport)
	groups, err := store.List(ctx, tx, scanRecordGroup, stmt.GroupUnclaimed, organization, entitlement, store.Micros(q.Before), most+1)
	if err != nil {
		return err
	}
	if len(groups) > most {
		f.Until[entitlement] = wholeHours(&groups, most)
	}
	f.Groups[entitlement] = groups
	return loadSeen(ctx, tx, f, organization, entitlement, groups)
}

// wholeHours cuts groups, which are more than most, after an hour, and returns
// its end. If one hour alone has more, the first of it are taken: for what is
// left the hour is then closed.
func wholeHours(groups *[]billing.RecordGroup, most int) (until time.Time) {
	until = (*groups)[most].Usage.UTC().Truncate(time.Hour)
	n := slices.IndexFunc(*groups, func(g billing.RecordGroup) bool { return !g.Usage.Before(until) })
	if n == 0 {
		n, until = most, until.Add(time.Hour)
	}
	*groups = (*groups)[:n]
	return until
}

// loadSeen reads what UNIQUE_COUNT has counted since the earliest day of the groups.
func loadSeen(ctx context.Context, tx *sql.Tx, f *billing.FreezeState, organization, entitlement string, groups []billing.RecordGroup) error {
	f.Seen[entitlement] = map[billing.SeenKey]bool{}
	for _, g := range groups { // by time of usage
		if len(g.Billable) == 0 {
			continue
		}
		seen, err := store.List(ctx, tx, scanSeen, stmt.SeenList, organization, entitlement, g.Usage.UTC().Format(time.DateOnly))
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

func (s *Store) insertReport(ctx context.Context, tx *sql.Tx, organization string, r *billing.FrozenReport) error {
	_, err := tx.ExecContext(ctx, stmt.ReportCreate, organization, r.ID, r.Serial, r.Entitlement, r.Term, r.Buyer, r.Product, r.Partner, r.Account,
		store.Micros(r.Hour), store.Micros(r.Created), store.Micros(r.Created), r.Status, r.Message, string(r.Info))
	if err != nil {
		return err
	}
	for i := range r.Groups {
		for _, p := range dimensions(&r.Groups[i], r.Portions) {
			at := slices.IndexFunc(r.Portions, func(q billing.Portion) bool { return q.Dimension == p.Dimension })
			r.Portions[at].Groups++
		}
	}
	for i := range r.Portions {
		p := &r.Portions[i]
		body, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, stmt.PortionCreate, organization, r.ID, p.Dimension, r.Entitlement, r.Term, r.Account, store.Micros(r.Hour), p.State, string(body)); err != nil {
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
		done, err := tx.ExecContext(ctx, stmt.GroupClaim, organization, g.ID, r.ID, g.Status, store.Micros(r.Created), store.Micros(g.Reported), string(settled), g.Message)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, meter.Errorf(meter.KindConflict, "usage record group %q can no longer be claimed", meter.Clip(g.ID)))
		}
	}
	return nil
}

// bookPortion notes what a fresh portion has read and, unless it is refused,
// seen, and moves its balances if it is settled already.
func (s *Store) bookPortion(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion) error {
	for _, r := range p.Reads {
		if err := addRead(ctx, tx, organization, p, r, false); err != nil {
			return err
		}
	}
	if err := moveBalances(ctx, tx, organization, p.Entitlement, func(move func(billing.BalanceKey, meter.Decimal)) { takings(p, false, move) }); err != nil {
		return err
	}
	if p.State == billing.LineRefused { // what it counted stays new
		return nil
	}
	if err := insertSeen(ctx, tx, organization, p.Entitlement, p.Dimension, p.Report, p.Seen); err != nil {
		return err
	}
	if p.State == billing.LineSettled {
		return moveBalances(ctx, tx, organization, p.Entitlement, p.Each)
	}
	return nil
}

func insertSeen(ctx context.Context, tx *sql.Tx, organization, entitlement, dimension, report string, items []billing.SeenItem) error {
	for _, i := range items {
		if _, err := tx.ExecContext(ctx, stmt.SeenCreate, organization, entitlement, dimension, i.Metric, i.Split, i.Day, i.Value, report); err != nil {
			return err
		}
	}
	return nil
}

// addRead adds to what was read of a meter, or takes it back so that it is read again.
func addRead(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion, r billing.MeterRead, back bool) error {
	var through sql.NullInt64
	var text string
	value := meter.Decimal{}
	err := tx.QueryRowContext(ctx, stmt.ReadGet, organization, p.Entitlement, p.Dimension, r.Period).Scan(&through, &text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	default:
		if value, err = meter.ParseDecimal(text); err != nil {
			return err
		}
	}
	until := store.FromMicros(through)
	if back {
		value = value.Sub(r.Value)
	} else if value = value.Add(r.Value); r.Through.After(until) {
		until = r.Through
	}
	_, err = tx.ExecContext(ctx, stmt.ReadPut, organization, p.Entitlement, p.Dimension, r.Period, store.Micros(until), value.String())
	return err
}
