package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"odometer/client"
	"odometer/internal/csvtext"
)

// products says whether the question is one of products: no meter is named.
func (c *usageCmd) products() (bool, error) {
	asked := len(c.Customer) > 0 || c.Product != "" || c.UsageType != "" || c.Contract != "" || c.Service != ""
	if c.Meter == "" && !asked {
		return false, usageErrorf("expected \"<meter>\", or --customer, --product, --usage-type, --contract or --service for usage of products")
	}
	if c.Meter != "" {
		if asked {
			return false, usageErrorf("--customer, --product, --usage-type, --contract and --service ask for products: leave the meter out, or use --filter")
		}
		return false, nil
	}
	if len(c.Filter) > 0 || c.FillZero || c.Limit > 0 || c.Sort != "" {
		return false, usageErrorf("--filter, --fill-zero, --sort and --limit are of a meter: name one")
	}
	return true, nil
}

// runProducts prints product usage.
func (c *usageCmd) runProducts(ctx context.Context, env *Env, q client.UsageQuery) error {
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	rows, err := api.ProductUsage(ctx, client.ProductQuery{Customers: c.Customer, Product: c.Product, UsageType: c.UsageType, Contract: c.Contract,
		Service: c.Service, From: q.From, To: q.To, Window: q.Window, TimeZone: q.TimeZone, GroupBy: q.GroupBy, AsOf: q.AsOf})
	if err != nil {
		return err
	}
	switch c.Format {
	case "json":
		e := json.NewEncoder(env.Stdout)
		for _, r := range rows {
			if err := e.Encode(r); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		w := csv.NewWriter(env.Stdout)
		head := append([]string{"customer", "product", "usage_type", "unit", "billable", "start", "end"}, csvtext.Cells(c.GroupBy)...)
		if err := w.Write(append(head, "value", "clipped", "month", "late", "closed")); err != nil {
			return err
		}
		for _, r := range rows {
			record := []string{csvtext.Cell(r.Customer), csvtext.Cell(r.Product), csvtext.Cell(r.UsageType), csvtext.Cell(r.Unit), strconv.FormatBool(r.Billable), r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339)}
			for _, name := range c.GroupBy {
				record = append(record, csvtext.Cell(r.Group[name]))
			}
			if err := w.Write(append(record, r.Value, strconv.FormatBool(r.Clipped), r.Month, strconv.FormatBool(r.Late), strconv.FormatBool(r.Closed))); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	w := newTable(env.Stdout, false)
	fmt.Fprint(w, "customer\tproduct\tusage type\tstart\tend\t")
	for _, name := range c.GroupBy {
		fmt.Fprintf(w, "%s\t", shown(name))
	}
	fmt.Fprintln(w, "value\tunit\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t", shown(r.Customer), shown(r.Product), shown(r.UsageType), r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339))
		for _, name := range c.GroupBy {
			fmt.Fprintf(w, "%s\t", shown(r.Group[name]))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Value, shown(r.Unit), strings.Join(marksOf(r), ", "))
	}
	return w.Flush()
}

// marksOf says what is special about a row.
func marksOf(r client.ProductUsageRow) (marks []string) {
	if r.Late {
		marks = append(marks, "late usage of "+r.Month)
	}
	if r.Closed {
		marks = append(marks, "closed")
	}
	if r.Clipped {
		marks = append(marks, "part of the window")
	}
	return marks
}

// tellAbout says on the error stream which months of a meter's usage are
// closed, what it skipped, and what may be wrong with the question.
func tellAbout(env *Env, u *client.Usage) {
	if u.Skipped != nil {
		fmt.Fprintf(env.Stderr, "the meter has skipped %d events: %s\n", u.Skipped.Events, shown(u.Skipped.Reason))
	}
	for _, hint := range u.Hints {
		fmt.Fprintln(env.Stderr, "hint:", shown(hint))
	}
	for _, m := range u.ClosedMonths {
		names := shown(strings.Join(m.Customers, ", "))
		if m.More {
			names += " and others"
		}
		fmt.Fprintf(env.Stderr, "%s is closed for %s; meter usage stays by event time\n", m.Month, names)
	}
}
