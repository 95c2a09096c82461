package metering

import "odometer/internal/ledger"

// Stats is what the stores tell for metrics.
type Stats struct {
	ledger.Stats
	Backfills []Backfill // under way

	Unattributed []UnattributedCount // in the current month, as CountUnattributed last counted

	CatalogBytes               int64  // that are held of the catalog
	CatalogHits, CatalogMisses uint64 // entries of large catalogs that were asked for and held, or read

	DamagedRows int // of the catalog, that were met and not found whole since

	PeriodsClosed  uint64 // since the start
	PeriodFailures uint64 // months that automatic closing and jobs could not close, counted at each try
	CloseJobs      int64  // that close a month for all customers, under way
	CloseJobsLeft  int64  // customers that these have to do
}

// Backfill is the progress of one meter over the log before its definition.
type Backfill struct {
	Organization, Meter string
	Cursor, Target      uint64 // log sequences; done when equal
}

// UnattributedCount is how many customers and values of an attribute lead to
// nothing in the catalog.
type UnattributedCount struct {
	Organization, Reason string
	Count                int
}

// Stats returns the present figures. It is not for tenants: it names all of them.
func (s *Service) Stats() Stats {
	out := Stats{Stats: s.ledger.Stats(), DamagedRows: s.catalog.DamagedRows(), PeriodsClosed: s.periodsClosed.Load(), PeriodFailures: s.periodFailures.Load(),
		CloseJobs: s.jobs.running.Load(), CloseJobsLeft: s.jobs.left.Load()}
	held := s.catalog.NounCache()
	out.CatalogBytes, out.CatalogHits, out.CatalogMisses = held.Bytes, held.Hits, held.Misses
	if counted := s.unattributed.Load(); counted != nil {
		out.Unattributed = *counted
	}
	for _, o := range out.Organizations {
		if o.Backfilling == 0 {
			continue
		}
		for _, m := range s.ledger.Meters(o.Organization) {
			if !m.Backfill.Done {
				out.Backfills = append(out.Backfills, Backfill{Organization: o.Organization, Meter: m.Key,
					Cursor: m.Backfill.Cursor, Target: m.Backfill.Target})
			}
		}
	}
	return out
}
