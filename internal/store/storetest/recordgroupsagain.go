package storetest

import (
	"fmt"
	"strings"
	"time"

	"odometer/internal/billing"
	"odometer/internal/meter"
)

func groupsRepeated(b *bench) {
	b.organization("a")
	b.organization("b")
	once := billing.Idempotency{Scope: "batch", Key: "k1", Request: "r1"}
	create := func(organization string, once billing.Idempotency, names ...string) (string, bool, error) {
		var groups []billing.RecordGroup
		for _, id := range names {
			groups = append(groups, usageGroup(id))
		}
		made, repeated, err := b.records.CreateRecordGroups(b.ctx, organization, groups, once)
		return ids(made), repeated, err
	}
	for i, names := range [][]string{{"g1", "g2"}, {"h1", "h2"}} { // ids of the server's: others each time
		got, repeated, err := create("a", once, names...)
		b.must(err)
		if got != "g1 g2" || repeated != (i == 1) {
			b.Errorf("%q, %v", got, repeated)
		}
	}
	_, err := b.records.DeleteRecordGroup(b.ctx, "a", "g1", actor)
	b.must(err)
	made, _, err := b.records.CreateRecordGroups(b.ctx, "a", []billing.RecordGroup{usageGroup("i1"), usageGroup("i2")}, once)
	b.must(err)
	if made[0].Status != billing.GroupDeleted || made[1].Status != billing.GroupCreated {
		b.Errorf("%+v", made)
	}
	other := once
	other.Request = "r2"
	_, _, err = create("a", other, "h1")
	b.wantKind(err, meter.KindConflict)
	for _, fresh := range []billing.Idempotency{{Scope: "other", Key: "k1", Request: "r1"}, {Scope: "batch", Key: "k2", Request: "r1"}} {
		_, repeated, err := create("a", fresh, "id-"+fresh.Scope+fresh.Key)
		b.must(err)
		if repeated {
			b.Errorf("%+v was repeated", fresh)
		}
	}
	got, repeated, err := create("b", once, "g1")
	b.must(err)
	if got != "g1" || repeated {
		b.Errorf("another organization's: %q, %v", got, repeated)
	}
	long := strings.Repeat("k", billing.MaxIdempotencyKeyBytes)
	_, _, err = create("a", billing.Idempotency{Scope: "batch", Key: long, Request: "r"}, "j1")
	b.must(err)
	_, _, err = create("a", billing.Idempotency{Scope: "batch", Key: long + "k", Request: "r"}, "j2")
	b.wantKind(err, meter.KindInvalid)
}

func keysForgotten(b *bench) {
	b.organization("a")
	once := billing.Idempotency{Scope: "batch", Key: "k1", Request: "r1"}
	create := func(id string) bool {
		b.Helper()
		_, repeated, err := b.records.CreateRecordGroups(b.ctx, "a", []billing.RecordGroup{usageGroup(id)}, once)
		b.must(err)
		return repeated
	}
	create("g1")
	b.clock.Advance(billing.IdempotencyRetention - time.Microsecond)
	if !create("g2") {
		b.Error("forgotten too early")
	}
	b.clock.Advance(time.Microsecond)
	if create("g2") {
		b.Error("not forgotten")
	}
	if !create("g3") {
		b.Error("the new answer was not kept")
	}
}

func groupsRepeatedByCustomer(b *bench) {
	b.organization("a")
	create := func(customer, request string, of ...string) (string, bool, error) {
		var groups []billing.RecordGroup
		for i, name := range of {
			g := namedGroup(customer, customer, "e-"+customer, fmt.Sprint(name, i))
			if customer == "" {
				g.Customer, g.Entitlement = "one", "e-one"
			}
			groups = append(groups, g)
		}
		made, repeated, err := b.records.CreateRecordGroups(b.ctx, "a", groups, billing.Idempotency{Scope: "batch", Customer: customer, Key: "k", Request: request})
		names := make([]string, len(made))
		for i := range made {
			names[i] = made[i].Name
		}
		return strings.Join(names, " "), repeated, err
	}
	for _, c := range []struct {
		customer, request, name, want string
		repeated                      bool
	}{
		{"", "r", "a", "a0", false}, // as a bound key's was kept before
		{"one", "r", "b", "a0", true},
		{"two", "r", "c", "c0", false}, // not its customer's
		{"two", "r", "d", "c0", true},
		{"three", "other", "e", "e0", false}, // another request
		{"", "r", "f", "a0", true},
	} {
		got, repeated, err := create(c.customer, c.request, c.name)
		b.must(err)
		if got != c.want || repeated != c.repeated {
			b.Errorf("%+v: %q, %v", c, got, repeated)
		}
	}
	for _, customer := range []string{"", "two", "three"} {
		_, _, err := create(customer, "never", "x")
		b.wantKind(err, meter.KindConflict)
	}
}
