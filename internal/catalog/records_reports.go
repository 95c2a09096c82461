package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"odometer/internal/meter"
	"time"
)

// Reports lists the reports that the filter chooses, the newest first, from offset on.
func (s *Records) Reports(ctx context.Context, organization string, f ReportFilter, offset, limit int) (ReportPage, error) {
	query := stmtRecords.ReportList
	switch { // the narrowest index
	case f.Entitlement != "":
		query = stmtRecords.ReportListEntitlement
	case f.Buyer != "":
		query = stmtRecords.ReportListBuyer
	case f.Partner != "":
		query = stmtRecords.ReportListPartner
	}
	items, err := List(ctx, s.db.Reader(), scanReport, query, organization, Micros(f.From), Micros(f.To), f.Partner, f.Buyer, f.Entitlement, limit+1, offset)
	if err != nil {
		return ReportPage{}, s.db.Fail(err, "cannot list reports")
	}
	page := ReportPage{Items: items, More: len(items) > limit}
	page.Items = items[:min(len(items), limit)]
	return page, nil
}

// Report returns one report, or KindNotFound.
func (s *Records) Report(ctx context.Context, organization, id string) (Report, error) {
	r, err := scanReport(s.db.Reader().QueryRowContext(ctx, stmtRecords.ReportGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Report{}, meter.Errorf(meter.KindNotFound, "no report %q", Clip(id))
	}
	if err != nil {
		return Report{}, s.db.Fail(err, "cannot read the report")
	}
	return r, nil
}

// detailBatch is how many reports one statement looks up.
const detailBatch = 500

// ReportDetails returns reports with their portions and lines, in order.
func (s *Records) ReportDetails(ctx context.Context, organization string, reports []Report) ([]ReportDetail, error) {
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
		portions, err := List(ctx, s.db.Reader(), scanPortion, RepeatIn(stmtRecords.PortionOfReports, 2, len(some)), args...)
		if err != nil {
			return nil, s.db.Fail(err, "cannot read reports")
		}
		for _, p := range portions {
			out[at[p.Report]].Portions = append(out[at[p.Report]].Portions, p)
		}
		lines, err := List(ctx, s.db.Reader(), scanReportLine, RepeatIn(stmtRecords.LineOfReports, 2, len(some)), args...)
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
func (s *Records) ReportsOf(ctx context.Context, organization, account string, hour time.Time) ([]Report, error) {
	all, err := List(ctx, s.db.Reader(), scanReport, stmtRecords.ReportOfAccount, organization, account, Micros(hour))
	if err != nil {
		return nil, s.db.Fail(err, "cannot read reports")
	}
	return all, nil
}

// MeterReads returns what was read of the meters of an entitlement's
// dimensions, by dimension and period joined by a slash.
func (s *Records) MeterReads(ctx context.Context, organization, entitlement string) (map[string]MeterRead, error) {
	all, err := List(ctx, s.db.Reader(), scanRead, stmtRecords.ReadList, organization, entitlement)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read what was read of meters")
	}
	reads := map[string]MeterRead{}
	for _, r := range all {
		reads[r.dimension+"/"+r.Period] = r.MeterRead
	}
	return reads, nil
}

// ReportPortions returns the portions of a report, by dimension.
func (s *Records) ReportPortions(ctx context.Context, organization, report string) ([]Portion, error) {
	all, err := List(ctx, s.db.Reader(), scanPortion, stmtRecords.PortionOfReport, organization, report)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read the report")
	}
	return all, nil
}

func scanReport(r Row) (Report, error) {
	var x Report
	var hour, created, updated sql.NullInt64
	var info string
	err := r.Scan(&x.ID, &x.Serial, &x.Entitlement, &x.Term, &x.Buyer, &x.Product, &x.Partner, &x.Account, &hour, &created, &updated, &x.Status, &x.Message, &info)
	x.Hour, x.Created, x.Updated, x.Info = FromMicros(hour), FromMicros(created), FromMicros(updated), json.RawMessage(info)
	return x, err
}

func scanPortion(r Row) (Portion, error) {
	var p Portion
	var hour sql.NullInt64
	var body string
	if err := r.Scan(&p.Report, &p.Dimension, &p.Entitlement, &p.Term, &p.Account, &hour, &p.State, &body); err != nil {
		return p, err
	}
	p.Hour = FromMicros(hour)
	return p, json.Unmarshal([]byte(body), &p)
}

func scanDecimal(r Row) (meter.Decimal, error) {
	var text string
	if err := r.Scan(&text); err != nil {
		return meter.Decimal{}, err
	}
	return meter.ParseDecimal(text)
}

func scanMicros(r Row) (time.Time, error) {
	var us sql.NullInt64
	err := r.Scan(&us)
	return FromMicros(us), err
}

type dimensionRead struct {
	MeterRead
	dimension string
}

func scanRead(r Row) (dimensionRead, error) {
	var d dimensionRead
	var through sql.NullInt64
	var text string
	err := r.Scan(&d.dimension, &d.Period, &through, &text)
	if err == nil {
		d.Through = FromMicros(through)
		d.Value, err = meter.ParseDecimal(text)
	}
	return d, err
}

func scanSeen(r Row) (SeenKey, error) {
	var k SeenKey
	err := r.Scan(&k.Dimension, &k.Item.Metric, &k.Item.Split, &k.Item.Day, &k.Item.Value)
	return k, err
}
