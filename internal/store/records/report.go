package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/store"
	"time"
)

// Reports lists the reports that the filter chooses, the newest first, from offset on.
func (s *Store) Reports(ctx context.Context, organization string, f billing.ReportFilter, offset, limit int) (billing.ReportPage, error) {
	query := stmt.ReportList
	switch { // the narrowest index
	case f.Entitlement != "":
		query = stmt.ReportListEntitlement
	case f.Buyer != "":
		query = stmt.ReportListBuyer
	case f.Partner != "":
		query = stmt.ReportListPartner
	}
	items, err := store.List(ctx, s.db.Reader(), scanReport, query, organization, store.Micros(f.From), store.Micros(f.To), f.Partner, f.Buyer, f.Entitlement, limit+1, offset)
	if err != nil {
		return billing.ReportPage{}, s.db.Fail(err, "cannot list reports")
	}
	page := billing.ReportPage{Items: items, More: len(items) > limit}
	page.Items = items[:min(len(items), limit)]
	return page, nil
}

// Report returns one report, or KindNotFound.
func (s *Store) Report(ctx context.Context, organization, id string) (billing.Report, error) {
	r, err := scanReport(s.db.Reader().QueryRowContext(ctx, stmt.ReportGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return billing.Report{}, meter.Errorf(meter.KindNotFound, "no report %q", meter.Clip(id))
	}
	if err != nil {
		return billing.Report{}, s.db.Fail(err, "cannot read the report")
	}
	return r, nil
}

// detailBatch is how many reports one statement looks up.
const detailBatch = 500

// ReportDetails returns reports with their portions and lines, in order.
func (s *Store) ReportDetails(ctx context.Context, organization string, reports []billing.Report) ([]billing.ReportDetail, error) {
	out := make([]billing.ReportDetail, len(reports))
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
		portions, err := store.List(ctx, s.db.Reader(), scanPortion, store.RepeatIn(stmt.PortionOfReports, 2, len(some)), args...)
		if err != nil {
			return nil, s.db.Fail(err, "cannot read reports")
		}
		for _, p := range portions {
			out[at[p.Report]].Portions = append(out[at[p.Report]].Portions, p)
		}
		lines, err := store.List(ctx, s.db.Reader(), scanReportLine, store.RepeatIn(stmt.LineOfReports, 2, len(some)), args...)
		if err != nil {
			return nil, s.db.Fail(err, "cannot read reports")
		}
		for _, l := range lines {
			out[at[l.report]].Lines = append(out[at[l.report]].Lines, l.Line)
		}
	}
	return out, nil
}

// ReportsOf returns the reports of an account for one hour, the newest first.
func (s *Store) ReportsOf(ctx context.Context, organization, account string, hour time.Time) ([]billing.Report, error) {
	all, err := store.List(ctx, s.db.Reader(), scanReport, stmt.ReportOfAccount, organization, account, store.Micros(hour))
	if err != nil {
		return nil, s.db.Fail(err, "cannot read reports")
	}
	return all, nil
}

// MeterReads returns what was read of the meters of an entitlement's
// dimensions, by dimension and period joined by a slash.
func (s *Store) MeterReads(ctx context.Context, organization, entitlement string) (map[string]billing.MeterRead, error) {
	all, err := store.List(ctx, s.db.Reader(), scanRead, stmt.ReadList, organization, entitlement)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read what was read of meters")
	}
	reads := map[string]billing.MeterRead{}
	for _, r := range all {
		reads[r.dimension+"/"+r.Period] = r.MeterRead
	}
	return reads, nil
}

// ReportPortions returns the portions of a report, by dimension.
func (s *Store) ReportPortions(ctx context.Context, organization, report string) ([]billing.Portion, error) {
	all, err := store.List(ctx, s.db.Reader(), scanPortion, stmt.PortionOfReport, organization, report)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read the report")
	}
	return all, nil
}

func scanReport(r store.Row) (billing.Report, error) {
	var x billing.Report
	var hour, created, updated sql.NullInt64
	var info string
	err := r.Scan(&x.ID, &x.Serial, &x.Entitlement, &x.Term, &x.Buyer, &x.Product, &x.Partner, &x.Account, &hour, &created, &updated, &x.Status, &x.Message, &info)
	x.Hour, x.Created, x.Updated, x.Info = store.FromMicros(hour), store.FromMicros(created), store.FromMicros(updated), json.RawMessage(info)
	return x, err
}

func scanPortion(r store.Row) (billing.Portion, error) {
	p, err := scanUnread(r)
	if err != nil {
		return p.Portion, err
	}
	return p.read()
}

// unread is a portion whose body is not decoded.
type unread struct {
	billing.Portion
	body string
}

func scanUnread(r store.Row) (unread, error) {
	var p unread
	var hour sql.NullInt64
	err := r.Scan(&p.Report, &p.Dimension, &p.Entitlement, &p.Term, &p.Account, &hour, &p.State, &p.body)
	p.Hour = store.FromMicros(hour)
	return p, err
}

func (p unread) read() (billing.Portion, error) {
	err := json.Unmarshal([]byte(p.body), &p.Portion)
	return p.Portion, err
}

// entitled is an amount of an entitlement.
type entitled struct {
	entitlement string
	amount      meter.Decimal
}

func scanEntitled(r store.Row) (entitled, error) {
	var e entitled
	var text string
	err := r.Scan(&e.entitlement, &text)
	if err == nil {
		e.amount, err = meter.ParseDecimal(text)
	}
	return e, err
}

// accountHour is an hour of which an account has a report.
type accountHour struct {
	account string
	hour    time.Time
}

func scanAccountHour(r store.Row) (accountHour, error) {
	var a accountHour
	var us sql.NullInt64
	err := r.Scan(&a.account, &us)
	a.hour = store.FromMicros(us)
	return a, err
}

type dimensionRead struct {
	billing.MeterRead
	entitlement, dimension string
}

func scanRead(r store.Row) (dimensionRead, error) {
	var d dimensionRead
	var through sql.NullInt64
	var text string
	err := r.Scan(&d.entitlement, &d.dimension, &d.Period, &through, &text)
	if err == nil {
		d.Through = store.FromMicros(through)
		d.Value, err = meter.ParseDecimal(text)
	}
	return d, err
}

func scanSeen(r store.Row) (billing.SeenKey, error) {
	var k billing.SeenKey
	err := r.Scan(&k.Dimension, &k.Item.Metric, &k.Item.Split, &k.Item.Day, &k.Item.Value)
	return k, err
}
