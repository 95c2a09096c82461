// Package storetest is the meaning of the store and its rooms as tests. Every
// database that store.Open accepts has to pass all of it.
package storetest

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	"odometer/internal/store/records"
)

// Run runs the suite. Each call of fresh returns the DSN of another empty
// database, which is there until the test given to it has ended.
func Run(t *testing.T, fresh func(t *testing.T) string) {
	for _, c := range slices.Concat(organizationCases, keyCases, ringCases, meterCases, auditCases, historyCases, nounCases, periodCases, closeJobCases, edgeGridCases, recordGroupCases, meteringCases, reportCases, listingCases, moveCases) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newBench(t, fresh(t), 0))
		})
	}
	// What holds of keys holds wherever they are: read for each request, or held some of the time.
	for name, room := range map[string]int64{"no key is held": 1, "few keys are held": 2000} {
		for _, c := range slices.Concat(keyCases, ringCases, edgeGridCases) {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.run(newBench(t, fresh(t), room))
			})
		}
	}
}

// testCase is one statement about a catalog.
type testCase struct {
	name string
	run  func(b *bench)
}

// The actor of changes whose actor does not matter.
const actor = "key:test"

// by may revoke any key.
var by = keys.Revocation{Actor: actor, Operator: true, Force: true}

// bench is one open catalog under test, with its clock.
type bench struct {
	*testing.T
	ctx   context.Context
	dsn   string
	file  string // the secret key file
	clock *fixedtest.Clock
	limit store.Limits
	room  int64 // for keys; 0 = the default
	store *store.Store

	keys    *keys.Store
	records *records.Store

	disconnect func() // of RunShared
}

func newBench(t *testing.T, dsn string, room int64) *bench {
	b := &bench{T: t, room: room, ctx: t.Context(), dsn: dsn, file: filepath.Join(t.TempDir(), "secret.key"), clock: fixedtest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))}
	b.open()
	t.Cleanup(func() {
		// Whatever was done, each row is as it was stored.
		if err := b.store.CheckRows(context.Background(), func(problem error) { t.Error(problem) }); err != nil {
			t.Errorf("CheckRows: %v", err)
		}
		if err := b.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

func (b *bench) open() {
	b.Helper()
	s, err := store.Open(b.ctx, b.dsn, b.options())
	if err != nil {
		b.Fatalf("Open: %v", err)
	}
	b.store, b.records = s, records.New(s)
	if b.keys, err = keys.Open(b.ctx, s, b.file); err != nil {
		b.Fatalf("OpenKeys: %v", err)
	}
}

func (b *bench) options() store.Options {
	limits := b.limit
	limits.KeyBytes = b.room
	return store.Options{Clock: b.clock.Now, Limits: limits}
}

// reopen closes the catalog and opens it again, with the limits given.
func (b *bench) reopen(l store.Limits) {
	b.Helper()
	b.must(b.store.Close())
	b.limit = l
	b.open()
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// wantKind fails the test unless err is of the kind.
func (b *bench) wantKind(err error, want meter.Kind) {
	b.Helper()
	if err == nil || meter.KindOf(err) != want {
		b.Fatalf("error %v, want one of kind %s", err, want)
	}
}

func (b *bench) organization(id string) catalog.Organization {
	b.Helper()
	o, err := b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: id}, actor)
	b.must(err)
	return o
}

func (b *bench) key(n access.NewKey) (access.Key, string) {
	b.Helper()
	k, token, err := b.keys.CreateKey(b.ctx, n, actor)
	b.must(err)
	return k, token
}

// audit returns all audit entries of an organization, the oldest first.
func (b *bench) audit(organization string) []catalog.AuditEntry {
	b.Helper()
	entries := pages(b, func(p catalog.Page) ([]catalog.AuditEntry, string, error) {
		page, err := b.store.AuditEntries(b.ctx, organization, p)
		return page.Items, page.Next, err
	}, 0)
	slices.Reverse(entries)
	return entries
}

// pages reads a list to its end and checks that only its last page is short.
func pages[T any](b *bench, read func(catalog.Page) ([]T, string, error), limit int) []T {
	b.Helper()
	var all []T
	page := catalog.Page{Limit: limit}
	for {
		items, next, err := read(page)
		b.must(err)
		all = append(all, items...)
		if next == "" {
			return all
		}
		if limit > 0 && len(items) != limit {
			b.Fatalf("a page of %d that is not the last has %d items", limit, len(items))
		}
		page.Cursor = next
	}
}

// oneDid checks that of several that did the same at once one did it, and that
// the others were told of a conflict.
func (b *bench) oneDid(errs []error, what string) {
	b.Helper()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		b.wantKind(err, meter.KindConflict)
	}
	if made != 1 {
		b.Fatalf("%s %d times", what, made)
	}
}
