package records

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/ledger"
	"odometer/internal/meter"
)

// Organizations is where organizations are listed.
type Organizations interface {
	Organizations(ctx context.Context, page catalog.Page) (catalog.OrganizationPage, error)
}

// VerifiedStore is what is compared with the ledger.
type VerifiedStore interface {
	RecordGroup(ctx context.Context, organization, id string) (billing.RecordGroup, error)
	// GroupsAfter lists groups in the order in which they were accepted, after a serial number.
	GroupsAfter(ctx context.Context, organization string, serial int32, limit int) ([]billing.RecordGroup, error)
	BillableMetrics(ctx context.Context, organization string) ([]billing.BillableMetric, error)
	CheckBalances(ctx context.Context, organization string, problem func(string)) error
}

// VerifyReported compares what was reported against entitlements with the
// ledger, both ways, and the balances of reports with their portions: each
// group that was posted has its events, with its quantities, and a deleted one
// their voids; each event of this kind has its group. It calls problem with
// each difference.
func VerifyReported(ctx context.Context, events *ledger.Ledger, organizations Organizations, records VerifiedStore, problem func(string)) error {
	for page := (catalog.Page{}); ; {
		all, err := organizations.Organizations(ctx, page)
		if err != nil {
			return err
		}
		for _, o := range all.Items {
			v := &groupVerifier{ledger: events, records: records, organization: o.ID,
				problem: func(format string, args ...any) {
					problem("organization " + o.ID + ": " + fmt.Sprintf(format, args...))
				}}
			if err := v.run(ctx); err != nil {
				return err
			}
		}
		if page.Cursor = all.Next; page.Cursor == "" {
			return nil
		}
	}
}

type groupVerifier struct {
	ledger       *ledger.Ledger
	records      VerifiedStore
	organization string
	problem      func(format string, args ...any)
	found        []uint16 // by serial: events of the group that the ledger has as they should be
	last         string   // the group looked up last, since its events follow each other
	group        billing.RecordGroup
	expected     []groupEvent
}

// groupEvent is what is compared of an event.
type groupEvent struct {
	ID, Source, Type, Subject string
	Time                      time.Time
	Data                      json.RawMessage
}

func (v *groupVerifier) run(ctx context.Context) error {
	if err := v.ledgerSide(ctx); err != nil {
		return err
	}
	if err := v.catalogSide(ctx); err != nil {
		return err
	}
	return v.records.CheckBalances(ctx, v.organization, func(text string) { v.problem("%s", text) })
}

// ledgerSide looks for the group of each event.
func (v *groupVerifier) ledgerSide(ctx context.Context) error {
	metrics, err := v.records.BillableMetrics(ctx, v.organization)
	if meter.KindOf(err) == meter.KindCorrupt {
		return nil // which was told already
	}
	if err != nil {
		return err
	}
	accepted := meter.Accepted
	q := meter.EventsQuery{Organization: v.organization, Verdict: &accepted, Limit: ledger.DefaultLimits().EventsPage}
	if len(metrics) == 0 {
		q.Type = recordEventType
	}
	for {
		page, err := v.ledger.Events(ctx, q)
		switch meter.KindOf(err) {
		case meter.KindCorrupt, meter.KindUnavailable: // told by what verifies the ledger
			v.problem("usage record groups were not compared: %v", err)
			return nil
		}
		if err != nil {
			return err
		}
		for i := range page.Events {
			if e := &page.Events[i]; strings.HasPrefix(e.Source, eventSource) {
				if err := v.event(ctx, e); err != nil {
					return err
				}
			}
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			return nil
		}
	}
}

func (v *groupVerifier) event(ctx context.Context, e *meter.EventRecord) error {
	at := strings.LastIndexByte(e.ID, '/')
	index, err := strconv.Atoi(e.ID[at+1:])
	if at < 0 || err != nil {
		v.problem("event %q of %s is that of no usage record group", e.ID, e.Source)
		return nil
	}
	if ok, err := v.look(ctx, e.ID[:at]); err != nil || !ok {
		return err
	}
	g := &v.group
	switch {
	case g.ID == "":
		v.problem("event %q of %s is in the ledger, its usage record group is not in the catalog", e.ID, e.Source)
	case g.Status == billing.GroupInvalid:
		v.problem("usage record group %q is %s, and yet its event %q is in the ledger", g.ID, g.Status, e.ID)
	case index >= len(v.expected) || !v.expected[index].is(e):
		v.problem("event %q in the ledger is not what usage record group %q says", e.ID, g.ID)
	case g.Posted == billing.NothingToPost && e.Voided == nil:
		v.problem("usage record group %q is deleted, and yet its event %q counts", g.ID, e.ID)
	case g.Status != billing.GroupDeleted && e.Voided != nil && e.Voided.Actor == voidActor:
		v.problem("usage record group %q is %s, and yet its event %q was voided", g.ID, g.Status, e.ID)
	default:
		for int(g.Serial) >= len(v.found) {
			v.found = append(v.found, make([]uint16, len(v.found)+1024)...)
		}
		v.found[g.Serial]++
	}
	return nil
}

// look makes a group the one that is compared; false = it is damaged, which was told already.
func (v *groupVerifier) look(ctx context.Context, id string) (bool, error) {
	if id == v.last {
		return true, nil
	}
	g, err := v.records.RecordGroup(ctx, v.organization, id)
	switch {
	case meter.KindOf(err) == meter.KindNotFound:
		g = billing.RecordGroup{}
	case meter.KindOf(err) == meter.KindCorrupt:
		return false, nil
	case err != nil:
		return false, err
	}
	v.last, v.group = id, g
	v.expected, err = expectedEvents(g)
	return true, err
}

// expectedEvents are the events that a group has in the ledger.
func expectedEvents(g billing.RecordGroup) ([]groupEvent, error) {
	g.Posted = billing.EventsToPost // as when they were posted
	body, _ := eventsOf([]billing.RecordGroup{g})
	var all []groupEvent
	err := json.Unmarshal(body, &all)
	return all, err
}

// is compares with a stored event: numbers by value, other than that as text.
func (g *groupEvent) is(e *meter.EventRecord) bool {
	subject := ""
	if e.Subject != nil {
		subject = *e.Subject
	}
	return g.Source == e.Source && g.Type == e.Type && g.Subject == subject && g.Time.Equal(e.Time) && sameData(g.Data, e.Data)
}

func sameData(a, b json.RawMessage) bool {
	x, errX := dataOf(a)
	y, errY := dataOf(b)
	return errX == nil && errY == nil && equalData(x, y)
}

func dataOf(text json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

func equalData(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		n, ok := b.(json.Number)
		x, errX := meter.ParseDecimal(a.String())
		y, errY := meter.ParseDecimal(string(n))
		return ok && (a == n || errX == nil && errY == nil && x.Cmp(y) == 0)
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(m) != len(a) {
			return false
		}
		for key, v := range a {
			other, ok := m[key]
			if !ok || !equalData(v, other) {
				return false
			}
		}
		return true
	case []any:
		l, ok := b.([]any)
		if !ok || len(l) != len(a) {
			return false
		}
		for i := range a {
			if !equalData(a[i], l[i]) {
				return false
			}
		}
		return true
	}
	return a == b
}

// catalogSide looks for the events of each group.
func (v *groupVerifier) catalogSide(ctx context.Context) error {
	for serial := int32(0); ; {
		groups, err := v.records.GroupsAfter(ctx, v.organization, serial, postingPage)
		if err != nil {
			return err
		}
		for i := range groups {
			g := &groups[i]
			serial = g.Serial
			posted := g.Posted == billing.EventsPosted || g.Posted == billing.NothingToPost && g.Status == billing.GroupDeleted
			if !posted || g.Status == billing.GroupInvalid {
				continue
			}
			want, err := expectedEvents(*g)
			if err != nil {
				return err
			}
			have := 0
			if int(serial) < len(v.found) {
				have = int(v.found[serial])
			}
			if have < len(want) && !(g.Status == billing.GroupDeleted && have == 0) {
				v.problem("usage record group %q is in the catalog, %d of its %d events are in the ledger", g.ID, have, len(want))
			}
		}
		if len(groups) < postingPage {
			return nil
		}
	}
}
