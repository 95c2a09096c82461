package metering

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
)

// TestRefusalsAreBounded: each address leaves an entry once an hour, so many
// do, and the others are a number in the next hour.
func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	var r refusals
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	entries := 0
	for i := range 10_000 {
		noted, before, _ := r.add(at.Add(time.Duration(i)*time.Millisecond), fmt.Sprintf("192.0.2.%d", i%200))
		if noted {
			entries++
		}
		if before != 0 {
			t.Fatal("an hour before the first")
		}
	}
	if entries != refusalsNoted || len(r.addresses) != refusalsNoted {
		t.Errorf("%d entries, %d addresses kept", entries, len(r.addresses))
	}
	noted, before, hour := r.add(at.Add(time.Hour), "192.0.2.1")
	if !noted || before != 10_000-refusalsNoted || !hour.Equal(at) {
		t.Errorf("noted %v, %d before, of %s", noted, before, hour)
	}
}

func TestAccessIsAudited(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.service(t, Limits{})
	ctx := context.Background()
	for range 3 {
		service.KeyRefused(ctx, "native", "203.0.113.9")
	}
	service.KeyRefused(ctx, "suger", "2001:db8::1")
	if err := service.BackupTaken(ctx, admin, "198.51.100.7"); err != nil {
		t.Fatal(err)
	}
	audit, err := s.catalog.AuditEntries(ctx, "default", catalog.Page{Limit: 3})
	if err != nil || len(audit.Items) != 3 {
		t.Fatalf("%v %+v", err, audit)
	}
	var got strings.Builder
	for _, e := range audit.Items {
		fmt.Fprintf(&got, "%s %s %s %s %s\n", e.Actor, e.Action, e.Noun, e.ID, e.After)
	}
	want := admin.Actor() + " create backup data {\"address\":\"198.51.100.7\"}\naddress:2001:db8::1 create refused key suger {\"address\":\"2001:db8::1\"}\naddress:203.0.113.9 create refused key native {\"address\":\"203.0.113.9\"}\n"
	if got.String() != want {
		t.Errorf("%s\nwant\n%s", got.String(), want)
	}
}
