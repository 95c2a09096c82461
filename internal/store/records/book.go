package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// DecideLines books what became of lines, all in one transaction: the line and
// its exchange, the portions of its reports, the balances that a settled
// portion moves, the status of reports and groups. A decision whose fence is
// not the line's any more is left out: another holds the line, or has decided.
// It returns how many were booked.
func (s *Store) DecideLines(ctx context.Context, decisions []billing.Decision) (booked int, err error) {
	err = s.db.Write(ctx, "book what became of reports", func(tx *sql.Tx) error {
		booked, err = s.decideLines(ctx, tx, decisions, billing.LineFrozen)
		return err
	})
	return booked, err
}

// decideLines books decisions about lines in the state from, which may be of
// several organizations: nothing of one depends on another.
func (s *Store) decideLines(ctx context.Context, tx *sql.Tx, decisions []billing.Decision, from string) (booked int, err error) {
	of := map[string][]*billing.Decision{}
	var organizations []string
	for i := range decisions {
		d := &decisions[i]
		if of[d.Organization] == nil {
			organizations = append(organizations, d.Organization)
		}
		of[d.Organization] = append(of[d.Organization], d)
	}
	for _, organization := range organizations {
		n, err := s.decideLinesOf(ctx, tx, organization, of[organization], from)
		if err != nil {
			return 0, err
		}
		booked += n
	}
	return booked, nil
}

// decideLinesOf books the lines first, then their portions, then what follows
// for the reports of these. Lines have no portion in common.
func (s *Store) decideLinesOf(ctx context.Context, tx *sql.Tx, organization string, decisions []*billing.Decision, from string) (booked int, err error) {
	if len(decisions) > 1 {
		operations := make([]string, len(decisions))
		for i, d := range decisions {
			operations[i] = d.Operation
		}
		if err := foresee(ctx, tx, stmt.LineForeseen, organization, operations); err != nil {
			return 0, err
		}
	}
	var ended []*billing.Decision
	for _, d := range decisions {
		ok, err := decideLine(ctx, tx, d, from)
		if err != nil {
			return 0, err
		}
		if ok {
			booked++
		}
		if ok && d.To != from {
			ended = append(ended, d)
		}
	}
	portions, err := portionsOfLines(ctx, tx, organization, ended, from)
	if err != nil {
		return 0, err
	}
	var concluded []conclusion
	for _, d := range ended {
		shift := meter.Decimal{} // what the marketplace holds beyond what was sent
		if d.To == billing.LineSettled {
			shift = d.Accepted.Sub(d.Quantity)
		}
		mine := portions[keyOf(d.Account, d.Dimension, d.Hour)]
		for i := range mine {
			if mine[i].Sent.IsZero() { // parked beside the line: nothing of it was sent
				continue
			}
			shift = shifted(&mine[i], shift)
			if err := movePortion(ctx, tx, organization, &mine[i], d.To, d.Message); err != nil {
				return 0, err
			}
			concluded = append(concluded, conclusion{mine[i].Report, d.Message})
		}
	}
	return booked, s.concludeReports(ctx, tx, organization, concluded)
}

// foresee reads rows that will be changed one by one, so that none is read
// again for that. One that is damaged is left for its own change to tell.
func foresee(ctx context.Context, tx *sql.Tx, statement, organization string, ids []string) error {
	query, args := store.InList(statement, 2, []any{organization}, ids)
	_, err := store.List(ctx, tx, func(r store.Row) (id string, err error) { return id, r.Scan(&id) }, query, args...)
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// decideLine books one decision about a line in the state from. It is false if
// the line is another's meanwhile.
func decideLine(ctx context.Context, tx *sql.Tx, d *billing.Decision, from string) (bool, error) {
	if d.Next.IsZero() {
		d.Next = d.Line.Next
	}
	if d.Deadline.IsZero() {
		d.Deadline = d.Line.Deadline
	}
	accepted := ""
	if d.To == billing.LineSettled {
		accepted = d.Accepted.String()
	}
	done, err := tx.ExecContext(ctx, stmt.LineDecide, d.Organization, d.Operation, d.Fence, d.To, accepted, flag(d.Maybe), flag(d.Grace), store.Micros(d.Next), store.Micros(d.Deadline),
		d.Message, string(d.Request), string(d.Response), from)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return err == nil && n > 0, err
}

// lineKey names the line of an organization that a portion was sent with.
type lineKey struct {
	account, dimension string
	hour               int64
}

func keyOf(account, dimension string, hour time.Time) lineKey {
	return lineKey{account, dimension, hour.UnixMicro()}
}

// portionsOfLines returns the portions in the state from that lines were sent
// for, those of a line by report.
func portionsOfLines(ctx context.Context, tx *sql.Tx, organization string, lines []*billing.Decision, from string) (map[lineKey][]billing.Portion, error) {
	hours := map[int64][]string{} // accounts and dimensions
	for _, d := range lines {
		us := d.Hour.UnixMicro()
		hours[us] = append(hours[us], d.Account, d.Dimension)
	}
	out := map[lineKey][]billing.Portion{}
	for us, keys := range hours {
		query, args := store.InPairs(stmt.PortionOfLines, 4, []any{organization, us, from}, keys)
		portions, err := store.List(ctx, tx, scanPortion, query, args...)
		if err != nil {
			return nil, err
		}
		// The databases sort by whatever index comes first; so it is done here.
		slices.SortFunc(portions, func(a, b billing.Portion) int { return strings.Compare(a.Report, b.Report) })
		for _, p := range portions {
			k := keyOf(p.Account, p.Dimension, p.Hour)
			out[k] = append(out[k], p)
		}
	}
	return out, nil
}

// decidePortion books the new state of a portion, and of its report and groups
// if that was the last.
func (s *Store) decidePortion(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion, to, message string) error {
	if err := movePortion(ctx, tx, organization, p, to, message); err != nil {
		return err
	}
	return s.concludeReports(ctx, tx, organization, []conclusion{{p.Report, message}})
}

// movePortion books the new state of a portion alone.
func movePortion(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion, to, message string) error {
	p.State, p.Reason = to, message
	if to == billing.LineSettled {
		p.Reason = ""
	}
	if err := putPortion(ctx, tx, organization, p); err != nil {
		return err
	}
	switch to {
	case billing.LineSettled:
		if err := moveBalances(ctx, tx, organization, p.Entitlement, p.Each); err != nil {
			return err
		}
	case billing.LineMoved, billing.LineRefused: // what it counted is new again
		if _, err := tx.ExecContext(ctx, stmt.SeenForget, organization, p.Entitlement, p.Dimension, p.Report); err != nil {
			return err
		}
	}
	if to != billing.LineMoved {
		return nil
	}
	if err := moveBalances(ctx, tx, organization, p.Entitlement, func(move func(billing.BalanceKey, meter.Decimal)) { takings(p, true, move) }); err != nil {
		return err
	}
	for _, r := range p.Reads {
		if err := addRead(ctx, tx, organization, p, r, true); err != nil {
			return err
		}
	}
	return nil
}

// conclusion is a report of which a portion was decided, and with what words.
type conclusion struct{ report, message string }

// concludeReports brings reports and their groups to what their portions say.
// Of a report of which several portions were decided the last has its say.
func (s *Store) concludeReports(ctx context.Context, tx *sql.Tx, organization string, concluded []conclusion) error {
	if len(concluded) == 0 {
		return nil
	}
	words := map[string]string{}
	var reports []string
	for _, c := range concluded {
		if _, is := words[c.report]; !is {
			reports = append(reports, c.report)
		}
		words[c.report] = c.message
	}
	query, args := store.InList(stmt.PortionOfReports, 2, []any{organization}, reports)
	all, err := store.List(ctx, tx, scanUnread, query, args...)
	if err != nil {
		return err
	}
	portions := map[string][]unread{}
	for _, p := range all {
		portions[p.Report] = append(portions[p.Report], p)
	}
	if len(reports) > 1 {
		if err := foresee(ctx, tx, stmt.ReportForeseen, organization, reports); err != nil {
			return err
		}
	}
	for _, id := range reports {
		if err := s.concludeReport(ctx, tx, organization, id, portions[id], words[id]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) concludeReport(ctx context.Context, tx *sql.Tx, organization, report string, stored []unread, message string) error {
	portions := make([]billing.Portion, len(stored))
	for i := range stored {
		portions[i] = stored[i].Portion
	}
	status := statusOf(portions)
	if status == billing.ReportSuccess {
		message = ""
	}
	if _, err := tx.ExecContext(ctx, stmt.ReportDecide, organization, report, status, message, store.Micros(s.db.Now())); err != nil || status == billing.ReportPending {
		return err
	}
	for i := range stored {
		var err error
		if portions[i], err = stored[i].read(); err != nil {
			return err
		}
	}
	groups, err := store.List(ctx, tx, scanRecordGroup, stmt.GroupOfReport, organization, report)
	if err != nil {
		return err
	}
	concludeGroups(groups, portions, message, s.db.Now())
	for i := range groups {
		g := &groups[i]
		settled, err := json.Marshal(g.Settled)
		if err != nil {
			return err
		}
		claim := sql.NullString{String: g.Report, Valid: g.Report != ""}
		if _, err := tx.ExecContext(ctx, stmt.GroupDecide, organization, g.ID, g.Status, claim, store.Micros(s.db.Now()), store.Micros(g.Reported), string(settled), g.Message); err != nil {
			return err
		}
	}
	return nil
}
