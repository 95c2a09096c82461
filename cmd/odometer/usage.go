package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"odometer/client"
	"odometer/internal/csvtext"
	"odometer/internal/meter"
)

// usageCmd asks a running server for a meter's usage, or for customers' usage of products.
type usageCmd struct {
	ClientSettings `embed:""`
	Organization   string   `placeholder:"ID" help:"Act on this organization. The key needs the operator right."`
	Meter          string   `arg:"" optional:"" help:"Key of the meter. Leave it out, and give --customer or another flag marked Products, for usage by product, with late-arriving usage of closed months."`
	Customer       []string `sep:"none" placeholder:"ID" help:"Products: only this customer. Repeatable. Default: the customer that the key is bound to."`
	Product        string   `placeholder:"ID" help:"Products: only this one."`
	UsageType      string   `placeholder:"NAME" help:"Products: only usage types with this name."`
	Contract       string   `placeholder:"ID" help:"Products: only usage under this contract."`
	Service        string   `placeholder:"ID" help:"Products: only usage that names this service."`
	From           string   `placeholder:"TIME" help:"Start: RFC 3339, a date (its first instant in --tz), or a local time. Default: the first of this month."`
	To             string   `placeholder:"TIME" help:"End, not included. Default: now."`
	Window         string   `help:"One row for each 5m, 15m, hour, day, week, month or year. Default: one row for the whole range."`
	TZ             string   `name:"tz" default:"UTC" placeholder:"ZONE" help:"IANA time zone of windows and dates."`
	GroupBy        []string `placeholder:"ATTR" help:"One row for each combination of the values of these attributes."`
	Filter         []string `sep:"none" placeholder:"ATTR=VALUE" help:"Only events with this value of an attribute. Repeatable: several values of one attribute are alternatives."`
	AsOf           string   `placeholder:"TIME" help:"Usage as it was known at this time."`
	FillZero       bool     `help:"Also print windows without usage."`
	Sort           string   `enum:",-value" default:"" placeholder:"-value" help:"The rows of the largest values, those first: --sort=-value. 100 if no --limit says otherwise, and at most 1,000."`
	Limit          int      `help:"Maximum number of rows to print. 0 is all."`
	Format         string   `enum:"table,csv,json" default:"table" help:"table, csv or json (one object per row)."`
}

// Run prints the rows and, for a table, the total.
func (c *usageCmd) Run(ctx context.Context, env *Env) error {
	query, err := c.query(env.Clock())
	if err != nil {
		return err
	}
	if products, err := c.products(); err != nil || products {
		if err != nil {
			return err
		}
		return c.runProducts(ctx, env, query)
	}
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	out := c.writer(env.Stdout)
	for printed := 0; ; {
		page, err := api.Usage(ctx, c.Meter, query)
		if err != nil {
			return err
		}
		for _, row := range page.Rows {
			if c.Limit > 0 && printed == c.Limit {
				tellAbout(env, page)
				return out.end(page)
			}
			if err := out.row(row); err != nil {
				return err
			}
			printed++
		}
		if page.NextCursor == "" {
			tellAbout(env, page)
			return out.end(page)
		}
		query.Cursor = page.NextCursor
	}
}

func (c *usageCmd) query(now time.Time) (client.UsageQuery, error) {
	zone, err := meter.LoadZone(c.TZ)
	if err != nil {
		return client.UsageQuery{}, usageErrorf("--tz: %v", err)
	}
	if c.Window != "" {
		if _, err := meter.ParseWindow(c.Window); err != nil {
			return client.UsageQuery{}, usageErrorf("--window: %v", err)
		}
	}
	if c.Limit < 0 {
		return client.UsageQuery{}, usageErrorf("--limit %d: want 0 or more", c.Limit)
	}
	now = now.In(zone)
	q := client.UsageQuery{Window: c.Window, TimeZone: c.TZ, GroupBy: c.GroupBy, FillZero: c.FillZero, Sort: c.Sort,
		From: meter.LocalDate(now.Year(), now.Month(), 1, zone), To: now.Truncate(time.Second).Add(time.Second)}
	for _, t := range []struct {
		name, text string
		into       *time.Time
	}{{"from", c.From, &q.From}, {"to", c.To, &q.To}, {"as-of", c.AsOf, &q.AsOf}} {
		if t.text == "" {
			continue
		}
		var ok bool
		if *t.into, ok = meter.ParseTime(t.text, zone); !ok {
			return q, usageErrorf("--%s %q: want RFC 3339, like 2026-11-01T00:00:00Z, or a date", t.name, t.text)
		}
	}
	if c.Sort != "" {
		q.Limit = c.Limit // one answer
	}
	if !q.From.Before(q.To) {
		return q, usageErrorf("--from %s is not before --to %s", q.From.Format(time.RFC3339), q.To.Format(time.RFC3339))
	}
	for _, f := range c.Filter {
		name, value, ok := strings.Cut(f, "=")
		if !ok {
			return q, usageErrorf("--filter %q: want ATTRIBUTE=VALUE", f)
		}
		if q.Filters == nil {
			q.Filters = map[string][]string{}
		}
		q.Filters[name] = append(q.Filters[name], value)
	}
	return q, nil
}

// usageWriter writes rows in one of the formats.
type usageWriter interface {
	row(client.UsageRow) error
	end(*client.Usage) error
}

func (c *usageCmd) writer(w io.Writer) usageWriter {
	switch c.Format {
	case "csv":
		return &csvUsage{w: csv.NewWriter(w), groups: c.GroupBy}
	case "json":
		return &jsonUsage{json.NewEncoder(w)}
	}
	return newUsageTable(w, c.GroupBy)
}

// usageTable aligns columns; values end at the same column.
type usageTable struct {
	w      *table
	groups []string
}

func newUsageTable(w io.Writer, groups []string) *usageTable {
	t := &usageTable{w: newTable(w, true), groups: groups}
	fmt.Fprintf(t.w, "start\tend\t")
	for _, name := range groups {
		fmt.Fprintf(t.w, "%s\t", shown(name))
	}
	fmt.Fprintln(t.w, "value\t")
	return t
}

func (t *usageTable) row(r client.UsageRow) error {
	fmt.Fprintf(t.w, "%s\t%s\t", r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339))
	for _, name := range t.groups {
		fmt.Fprintf(t.w, "%s\t", shown(r.Group[name]))
	}
	mark := ""
	if r.Clipped {
		mark = " (part of the window)"
	}
	_, err := fmt.Fprintf(t.w, "%s\t%s\n", r.Value, mark)
	return err
}

func (t *usageTable) end(u *client.Usage) error {
	if u.Total != "" {
		fmt.Fprintf(t.w, "total\t\t%s%s\t\n", strings.Repeat("\t", len(t.groups)), u.Total)
	}
	return t.w.Flush()
}

type csvUsage struct {
	w       *csv.Writer
	groups  []string
	started bool
}

func (c *csvUsage) row(r client.UsageRow) error {
	if err := c.start(); err != nil {
		return err
	}
	record := []string{r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339)}
	for _, name := range c.groups {
		record = append(record, csvtext.Cell(r.Group[name]))
	}
	return c.w.Write(append(record, r.Value, strconv.FormatBool(r.Clipped)))
}

// start writes the header, also where no row follows.
func (c *csvUsage) start() error {
	if c.started {
		return nil
	}
	c.started = true
	header := append([]string{"start", "end"}, csvtext.Cells(c.groups)...)
	return c.w.Write(append(header, "value", "clipped"))
}

func (c *csvUsage) end(*client.Usage) error {
	if err := c.start(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

type jsonUsage struct{ e *json.Encoder }

func (j *jsonUsage) row(r client.UsageRow) error { return j.e.Encode(r) }
func (j *jsonUsage) end(*client.Usage) error     { return nil }
