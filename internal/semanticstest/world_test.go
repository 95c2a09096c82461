package semanticstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the scripts, whatever the machine has

	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/ledger"
	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// world is what a script talks to: one ledger and a clock that it sets.
type world struct {
	t            *testing.T
	dir          string
	clock        *fixedtest.Clock
	org          string
	limits       ledger.Limits
	events       cloudevents.Limits
	ledger       *ledger.Ledger
	server       *server               // once a command needs more than the ledger
	keys         map[string]credential // by the name that the script gave
	series       map[string][]sample   // likewise
	cursor       string                // of the last page
	eventsCursor string                // of the same page from the events
	out          strings.Builder
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), org: "default", keys: map[string]credential{}, series: map[string][]sample{}, clock: fixedtest.NewClock(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))}
	t.Cleanup(w.close)
	return w
}

func (w *world) printf(format string, args ...any) { fmt.Fprintf(&w.out, format, args...) }

// say prints an error as its kind and message; others fail the test.
func (w *world) say(err error) {
	var e *meter.Error
	if !errors.As(err, &e) {
		w.t.Errorf("%v", err)
		return
	}
	w.printf("error %s: %s\n", e.Kind, e.Message)
}

// open opens the ledger with the first command that needs it.
func (w *world) open() *ledger.Ledger {
	if w.ledger == nil {
		l, err := ledger.Open(context.Background(), ledger.Options{Dir: w.dir, Clock: w.clock.Now, Limits: w.limits,
			Fatal: func(m string) { w.t.Errorf("fatal: %s", m) }})
		if err != nil {
			w.t.Fatal(err)
		}
		w.ledger = l
	}
	return w.ledger
}

func (w *world) close() {
	if w.server != nil {
		w.server.close()
		w.server = nil
	}
	if w.ledger != nil {
		if err := w.ledger.Close(); err != nil {
			w.t.Errorf("close: %v", err)
		}
		w.ledger = nil
	}
}

func (w *world) reopen() {
	w.close()
	w.open()
}

func (w *world) verify() {
	r, err := verify.Run(context.Background(), w.open(), verify.Options{})
	if err != nil || len(r.Problems) > 0 {
		w.t.Errorf("verify: %v, %v", err, r.Problems)
	}
}

// commands are the verbs of scripts and the name=value arguments each takes.
var commands = map[string]struct {
	takes []string
	do    func(w *world, a arguments, p part) error
}{
	"clock":              {nil, (*world).setClock},
	"limits":             {[]string{"kept_rejections", "errors_per_answer", "events_per_request", "warnings_per_answer"}, (*world).setLimits},
	"organization":       {nil, (*world).setOrganization},
	"customer_attribute": {nil, (*world).setCustomerAttribute},
	"assign_time":        {nil, (*world).setTimeAssigned},
	"meter":              {nil, (*world).createMeter},
	"update":             {[]string{"name", "description", "unit", "status"}, (*world).updateMeter},
	"delete":             {nil, (*world).deleteMeter},
	"meters":             {nil, (*world).listMeters},
	"backfilled":         {nil, (*world).awaitBackfill},
	"events":             {[]string{"source", "type"}, (*world).sendEvents},
	"body":               {nil, (*world).sendBody},
	"each":               {nil, (*world).sendEach},
	"counts":             {nil, (*world).counts},
	"usage":              {[]string{"from", "to", "window", "tz", "group_by", "filter", "customer", "as_of", "fill", "limit", "cursor"}, (*world).usage},
	"list":               {[]string{"verdict", "type", "customer"}, (*world).list},
	"lookup":             {nil, (*world).lookup},
	"void":               {[]string{"actor", "reason"}, (*world).void},
	"absorb":             {[]string{"order"}, (*world).absorb},
	"list_price":         {[]string{"unit", "list"}, (*world).listPrice},
	"carry":              {nil, (*world).carry},
	"aggregate":          {nil, (*world).aggregate},
	"map":                {nil, (*world).mapRecords},
	"catalog":            {[]string{"effective"}, (*world).applyCatalog},
	"key":                {[]string{"customer", "default_aid", "accounts"}, (*world).createKey},
	"series":             {[]string{"n", "from", "step", "unit", "multiply", "member", "type", "subject"}, (*world).sendSeries},
	"naive":              {[]string{"from", "to"}, (*world).naive},
	"fastly":             {[]string{"as"}, (*world).ask},
	"akamai":             {[]string{"as"}, (*world).ask},
	"thousandeyes":       {[]string{"as"}, (*world).ask},
	"suger":              {nil, (*world).report},
	"close":              {nil, (*world).closeMonth},
	"cycle":              {[]string{"as", "aid"}, (*world).cycles},
	"native":             {[]string{"as"}, (*world).ask},
	"truth":              {[]string{"from", "to"}, (*world).truth},
	"restart":            {nil, func(w *world, _ arguments, _ part) error { w.reopen(); return nil }},
}

func (w *world) do(p part) error {
	verb, a := parseArguments(p.command)
	c, ok := commands[verb]
	if !ok {
		w.t.Fatalf("line %d: no command %q", p.line, verb)
	}
	if err := a.only(c.takes...); err != nil {
		w.t.Fatalf("line %d: %v", p.line, err)
	}
	return c.do(w, a, p)
}

func (w *world) time(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

// sendEvents writes one event per input line: ID TIME SUBJECT DATA, where
// TIME and SUBJECT - are none and DATA may be left out. With the word told, what
// the answer says beside the verdicts is printed too.
func (w *world) sendEvents(a arguments, p part) error {
	var parts []string
	for _, line := range p.input {
		fields := strings.SplitN(expand(line), " ", 4)
		if len(fields) < 3 {
			w.t.Fatalf("line %d: %q: want ID TIME SUBJECT DATA", p.line, line)
		}
		e := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":%q`, fields[0], a.or("source", "edge"), a.or("type", "request"))
		if fields[1] != "-" {
			e += `,"time":` + strconv.Quote(fields[1])
		}
		if fields[2] != "-" {
			e += `,"subject":` + strconv.Quote(strings.Trim(fields[2], `"`))
		}
		if len(fields) == 4 {
			e += `,"data":` + fields[3]
		}
		parts = append(parts, e+"}")
	}
	return w.ingest("["+strings.Join(parts, ",\n")+"]", cloudevents.Batch, a)
}

// sendBody sends the input as it stands.
func (w *world) sendBody(a arguments, p part) error {
	modes := map[string]cloudevents.Mode{"single": cloudevents.Single, "batch": cloudevents.Batch, "ndjson": cloudevents.NDJSON, "auto": cloudevents.Auto}
	mode, ok := modes[a.words[0]]
	if !ok {
		w.t.Fatalf("line %d: no mode %q", p.line, a.words[0])
	}
	return w.ingest(expand(strings.Join(p.input, "\n")), mode, a)
}

// sendEach sends a batch per input line: a sound event whose members the line,
// an object without its braces, replaces; NAME:- leaves a member out.
func (w *world) sendEach(a arguments, p part) error {
	for i, line := range p.input {
		event := changed(line, fmt.Sprintf("%s%d", a.words[0], i+1))
		r, err := w.decode("["+expand(event)+"]", cloudevents.Batch, false)
		switch {
		case err != nil:
			w.say(err)
		case r.Accepted == 1:
			w.printf("accepted\n")
		case r.Duplicates == 1:
			w.printf("duplicate\n")
		default:
			w.printf("%s: %s\n", r.Errors[0].Verdict, r.Errors[0].Text())
		}
	}
	return nil
}

func changed(line, id string) string {
	members := []string{`"specversion":"1.0"`, `"id":"` + id + `"`, `"source":"edge"`, `"type":"request"`, `"time":"2026-11-20T10:00:00Z"`}
	if strings.HasPrefix(line, "!") { // the whole event
		return line[1:]
	}
	name, _, _ := strings.Cut(line, ":")
	for i, m := range members {
		if strings.HasPrefix(m, name+":") {
			members = append(members[:i], members[i+1:]...)
			break
		}
	}
	if !strings.HasSuffix(line, ":-") {
		members = append(members, line)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (w *world) decode(body string, mode cloudevents.Mode, atomic bool) (meter.Result, error) {
	l := w.open()
	b := l.Builder(w.org)
	b.SetAtomic(atomic)
	limits := w.events
	limits.RequireTime = !l.TimeAssigned(w.org)
	if err := cloudevents.Decode([]byte(body), mode, w.clock.Now(), limits, b); err != nil {
		l.Discard(b)
		return meter.Result{}, err
	}
	return l.Append(context.Background(), b)
}

func (w *world) ingest(body string, mode cloudevents.Mode, a arguments) error {
	r, err := w.decode(body, mode, a.has("atomic"))
	if err != nil {
		return err
	}
	w.printf("accepted %d, duplicates %d, conflicts %d, rejected %d, sequence %d\n", r.Accepted, r.Duplicates, r.Conflicts, r.Rejected, r.Sequence)
	for _, e := range r.Errors {
		w.printf("  %d %q %s\n", e.Index, e.ID, e.Text())
	}
	if r.Truncated > 0 {
		w.printf("  %d errors left out\n", r.Truncated)
	}
	if !a.has("told") {
		return nil
	}
	if r.TimeAssigned > 0 {
		w.printf("  time assigned to %d\n", r.TimeAssigned)
	}
	for _, x := range r.Warnings {
		w.printf("  warning: %d %q not by %s: %s\n", x.Index, x.ID, x.Meter, x.Reason)
	}
	if r.WarningsLeftOut > 0 {
		w.printf("  %d warnings left out\n", r.WarningsLeftOut)
	}
	return nil
}

// counts prints the verdicts of all time.
func (w *world) counts(arguments, part) error {
	for _, o := range w.open().Stats().Organizations {
		if o.Organization == w.org {
			w.printf("accepted %d + duplicates %d + conflicts %d + rejected %d = sent %d; rejections kept %d, voided %d\n", o.Accepted, o.Duplicates,
				o.Conflicts, o.Rejected, o.Accepted+o.Duplicates+o.Conflicts+o.Rejected, o.KeptRejections, o.Voided)
		}
	}
	return nil
}

// question reads the arguments of usage.
func (w *world) question(a arguments) (meter.UsageQuery, error) {
	q := meter.UsageQuery{Organization: w.org, Meter: a.words[0], From: w.time(a.or("from", "2026-11-01T00:00:00Z")),
		To: w.time(a.or("to", "2026-12-01T00:00:00Z")), Window: meter.Window(a.get("window")), FillZero: a.get("fill") == "zero"}
	loc, err := time.LoadLocation(a.or("tz", "UTC"))
	if err != nil {
		return q, err
	}
	q.Location = loc
	if g := a.get("group_by"); g != "" {
		q.GroupBy = strings.Split(g, ",")
	}
	for _, f := range a.values["filter"] {
		name, value, _ := strings.Cut(f, ":")
		q.Filters = appendFilter(q.Filters, name, value)
	}
	if c, ok := a.values["customer"]; ok {
		q.Customer = &c[0]
	}
	if at := a.get("as_of"); at != "" {
		q.AsOf = w.time(at)
	}
	if n := a.get("limit"); n != "" {
		if q.Limit, err = strconv.Atoi(n); err != nil {
			return q, err
		}
	}
	switch c := a.get("cursor"); c {
	case "":
	case "next":
		q.Cursor = w.cursor
	default:
		q.Cursor = c
	}
	return q, nil
}

func appendFilter(filters []meter.AttrFilter, name, value string) []meter.AttrFilter {
	for i := range filters {
		if filters[i].Attribute == name {
			filters[i].Values = append(filters[i].Values, value)
			return filters
		}
	}
	return append(filters, meter.AttrFilter{Attribute: name, Values: []string{value}})
}

func (w *world) usage(a arguments, _ part) error {
	q, err := w.question(a)
	if err != nil {
		return err
	}
	u, err := w.open().Usage(context.Background(), q)
	if err != nil {
		return err
	}
	w.alsoFromEvents(q, u)
	for _, r := range u.Rows {
		var group strings.Builder
		for i, g := range r.Group {
			fmt.Fprintf(&group, " %s=%s", q.GroupBy[i], shown(g))
		}
		clipped := ""
		if r.Clipped {
			clipped = " clipped"
		}
		w.printf("%s to %s%s: %s%s\n", r.Start.In(q.Location).Format(time.RFC3339Nano), r.End.In(q.Location).Format(time.RFC3339Nano), group.String(), r.Value, clipped)
	}
	total := "no total"
	if u.HasTotal {
		total = "total " + u.Total.String()
	}
	w.printf("%s, from %s\n", total, u.Source)
	if w.cursor = u.NextCursor; w.cursor != "" {
		w.printf("more\n")
	}
	return nil
}

// alsoFromEvents asks cells' answers again of the events, which as_of does.
func (w *world) alsoFromEvents(q meter.UsageQuery, u *meter.Usage) {
	if u.Source != "cells" {
		return
	}
	q.AsOf = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	if q.Cursor != "" {
		q.Cursor = w.eventsCursor // a cursor belongs to its question
	}
	e, err := w.ledger.Usage(context.Background(), q)
	if err != nil {
		w.t.Errorf("the same from events: %v", err)
		return
	}
	same := e.HasTotal == u.HasTotal && e.Total.Cmp(u.Total) == 0 && len(e.Rows) == len(u.Rows) && (e.NextCursor == "") == (u.NextCursor == "")
	w.eventsCursor = e.NextCursor
	for i := 0; same && i < len(e.Rows); i++ {
		x, y := e.Rows[i], u.Rows[i]
		same = x.Start.Equal(y.Start) && x.End.Equal(y.End) && x.Clipped == y.Clipped && x.Value.Cmp(y.Value) == 0 && reflect.DeepEqual(x.Group, y.Group)
	}
	if e.Source != "events" || !same {
		w.t.Errorf("%s differs:\ncells  %+v total %s\nevents %+v total %s", q.Meter, u.Rows, u.Total, e.Rows, e.Total)
	}
}

// shown quotes a text that would not stand out.
func shown(s string) string {
	if s == "" || strings.ContainsAny(s, " =\"") {
		return strconv.Quote(s)
	}
	return s
}

func (w *world) list(a arguments, _ part) error {
	q := meter.EventsQuery{Organization: w.org, Type: a.get("type")}
	if v := a.get("verdict"); v != "" {
		verdict, err := meter.ParseVerdict(v)
		if err != nil {
			return err
		}
		q.Verdict = &verdict
	}
	if c, ok := a.values["customer"]; ok {
		q.Customer = &c[0]
	}
	page, err := w.open().Events(context.Background(), q)
	for i := range page.Events {
		w.record(&page.Events[i], "")
	}
	return err
}

func (w *world) record(r *meter.EventRecord, indent string) {
	w.printf("%s%s %s %s customer %q, sequence %d, event %d, %s", indent, r.Verdict, shown(r.Source), shown(r.ID), r.Customer, r.Sequence, r.Ordinal, r.Data)
	if r.Reason != "" {
		w.printf(": %s", r.Reason)
	}
	w.printf("\n")
	if v := r.Voided; v != nil {
		w.printf("%s  voided by %s at %s, sequence %d: %s\n", indent, v.Actor, v.At.UTC().Format(time.RFC3339), v.Sequence, v.Reason)
	}
}

func (w *world) lookup(a arguments, _ part) error {
	r, err := w.open().Lookup(context.Background(), w.org, a.words[0], a.words[1])
	if err != nil {
		return err
	}
	w.record(&r.Event, "")
	for _, c := range r.Counted {
		group, err := json.Marshal(c.Group)
		if err != nil {
			return err
		}
		w.printf("  counted by %s: %s in the slot of %s, group %s\n", c.Meter, c.Value, c.Slot.Format(time.RFC3339), group)
	}
	for _, s := range r.Skipped {
		w.printf("  not by %s: %s\n", s.Meter, s.Reason)
	}
	for i := range r.Conflicts {
		w.record(&r.Conflicts[i], "  ")
	}
	return nil
}

// void takes SOURCE ID of each input line back.
func (w *world) void(a arguments, p part) error {
	var ids []meter.Identity
	for _, line := range p.input {
		source, id, _ := strings.Cut(line, " ")
		ids = append(ids, meter.Identity{Source: source, ID: id})
	}
	r, err := w.open().Void(context.Background(), w.org, ids, a.or("actor", "script"), a.get("reason"))
	if err != nil {
		return err
	}
	w.printf("voided %d, duplicates %d, rejected %d, sequence %d\n", r.Voided, r.Duplicates, len(r.Rejected), r.Sequence)
	for _, e := range r.Rejected {
		w.printf("  %d %q %s\n", e.Index, e.ID, e.Reason)
	}
	return nil
}

// truth defines a COUNT meter per input line, OP or OP VALUE on attribute x,
// and marks the values of attribute case of the events it counts.
func (w *world) truth(a arguments, p part) error {
	for i, line := range p.input {
		op, value, ok := strings.Cut(line, " ")
		filter := `{"attribute":"x","op":"` + op + `"}`
		if ok {
			filter = `{"attribute":"x","op":"` + op + `","value":` + value + `}`
		}
		m, err := meter.DecodeMeter([]byte(fmt.Sprintf(`{"key":"truth-%d-%d","event_type":"request","aggregation":"COUNT","group_by":["case"],"filters":[[%s]]}`,
			p.line, i, filter)))
		if err != nil {
			return err
		}
		if _, err := w.open().CreateMeter(context.Background(), w.org, m, "script"); err != nil {
			return err
		}
		if err := w.awaitBackfill(a, p); err != nil {
			return err
		}
		q := meter.UsageQuery{Organization: w.org, Meter: m.Key, GroupBy: []string{"case"}, From: w.time("2026-11-01T00:00:00Z"), To: w.time("2026-12-01T00:00:00Z")}
		u, err := w.ledger.Usage(context.Background(), q)
		if err != nil {
			return err
		}
		w.alsoFromEvents(q, u)
		var cases []string
		for _, r := range u.Rows {
			cases = append(cases, r.Group[0])
		}
		w.printf("%-18s %s\n", line, strings.Join(cases, " "))
	}
	return nil
}
