package store

import (
	"context"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// checkMoves refuses changes of whom an entitlement bills, also of one that is
// made again under its id, once usage was reported against it, a report was
// made of it or credit was given to it: that would silently be another's.
func checkMoves(ctx context.Context, q Queryer, organization string, have *catalog.State, changes []catalog.Change) error {
	moves, err := have.Moves(changes)
	if err != nil {
		return err
	}
	for _, m := range moves {
		var holds string
		if err := q.QueryRowContext(ctx, stmt.EntitlementUsed, organization, m.Entitlement).Scan(&holds); err != nil {
			return err
		}
		if holds != "" {
			return meter.Errorf(meter.KindConflict, "entitlement %s: its %s does not change from %q to %q, since it has %s that would be another's: end it and create another entitlement",
				meter.Clip(m.Entitlement), m.What, meter.Clip(m.From), meter.Clip(m.To), holds)
		}
	}
	return nil
}
