package metering

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/store"
)

// refusalsNoted is how many refused keys leave an audit entry of their own in
// an hour: each address once, and the rest by its number, so that a flood
// cannot fill the disk.
const refusalsNoted = 20

// refusals counts requests that were refused for their key in an hour.
type refusals struct {
	mu        sync.Mutex
	hour      time.Time
	addresses map[string]struct{} // that were noted, refusalsNoted at most
	more      int64               // refused beside those
}

// add counts one; noted says that it leaves an entry, and before is what the
// hour before it had beside its entries.
func (r *refusals) add(at time.Time, address string) (noted bool, before int64, hour time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := at.Truncate(time.Hour); !now.Equal(r.hour) {
		before, hour = r.more, r.hour
		r.hour, r.addresses, r.more = now, map[string]struct{}{}, 0
	}
	if _, had := r.addresses[address]; had || len(r.addresses) >= refusalsNoted {
		r.more++
		return false, before, hour
	}
	r.addresses[address] = struct{}{}
	return true, before, hour
}

// KeyRefused notes a request whose key was refused: in the audit of the
// default organization with the client's address, once an hour for an address
// and for so many; what is beyond is noted by its number when the hour is over.
func (s *Service) KeyRefused(ctx context.Context, surface, address string) {
	noted, before, hour := s.refused.add(s.now().UTC(), address)
	ctx = context.WithoutCancel(ctx)
	if before > 0 {
		s.note(ctx, store.Access{Actor: "system:authentication", Noun: store.AccessRefused, ID: "all",
			Detail: map[string]any{"hour": hour, "further_refused": before}})
	}
	if noted {
		s.note(ctx, store.Access{Actor: "address:" + address, Noun: store.AccessRefused, ID: surface, Detail: map[string]any{"address": address}})
	}
}

func (s *Service) note(ctx context.Context, a store.Access) {
	if err := s.catalog.NoteAccess(ctx, catalog.DefaultOrganization, a); err != nil {
		s.logger.Error("an access has no audit entry", slog.String("actor", a.Actor), slog.String("noun", a.Noun), slog.Any("error", err))
	}
}

// BackupTaken notes who begins to take a backup, and from where. One that
// cannot be noted is not to be taken.
func (s *Service) BackupTaken(ctx context.Context, p access.Principal, address string) error {
	return s.catalog.NoteAccess(ctx, catalog.DefaultOrganization, store.Access{Actor: p.Actor(), Noun: store.AccessBackup, ID: "data",
		Detail: map[string]any{"address": address}})
}
