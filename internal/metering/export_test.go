package metering

import (
	"context"
	"sync"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// As many exports as may be are under way, one of an organization. Another waits
// as long as its request does, and says why it was not answered.
func TestExportsAtOnce(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.service(t, Limits{})
	of := func(organization string) access.Principal {
		p := admin
		p.Organization = organization
		return p
	}
	organizations := []string{"default"}
	for _, id := range []string{"second", "third"} {
		if _, err := s.catalog.CreateOrganization(t.Context(), catalog.NewOrganization{ID: id}, "test"); err != nil {
			t.Fatal(err)
		}
		organizations = append(organizations, id)
	}
	begun, release := make(chan string, exportsAtOnce), make(chan struct{})
	var running sync.WaitGroup
	for _, id := range organizations[:exportsAtOnce] {
		running.Go(func() {
			err := service.Export(t.Context(), of(id), func(walk catalog.Walk) error {
				begun <- id
				<-release
				return walk(func(*catalog.Document) error { return nil })
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range exportsAtOnce {
		<-begun
	}
	for _, id := range []string{organizations[exportsAtOnce], "default"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := exported(ctx, service, of(id)); meter.KindOf(err) != meter.KindUnavailable {
			t.Errorf("an export of %s beside as many as may be: %v", id, err)
		}
		cancel()
	}
	close(release)
	running.Wait()
	for _, id := range organizations {
		if _, err := exported(t.Context(), service, of(id)); err != nil {
			t.Errorf("an export of %s after them: %v", id, err)
		}
	}
}
