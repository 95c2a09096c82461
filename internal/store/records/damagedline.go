package records

import (
	"context"
	"database/sql"
	"time"

	"odometer/internal/billing"
	"odometer/internal/store"
)

// damagedLine is why a damaged line is parked.
const damagedLine = "the frozen line is not as it was stored: it was damaged, or changed by other means than odometer; it was not sent"

// parkDamaged parks the lines that are due and damaged, with their reason:
// nothing of them is sent, and a person sees them among what is stuck. What
// is stored of such a line is taken over as it is.
func (s *Store) parkDamaged(ctx context.Context, tx *sql.Tx, now time.Time) error {
	lines, err := s.db.TakeOver(ctx, tx, "report_lines", "state = 'frozen' AND next_us <= $1 AND lease_us <= $1", []string{"fence", "next_us"}, store.Micros(now))
	if err != nil {
		return err
	}
	for _, values := range lines {
		text := func(column string) string { text, _ := values[column].(string); return text }
		at := func(column string) time.Time { us, _ := values[column].(int64); return time.UnixMicro(us).UTC() }
		fence, _ := values["fence"].(int64)
		d := billing.Decision{To: billing.LineParked, Message: damagedLine, Line: billing.Line{Organization: text("organization"), Operation: text("operation"), Account: text("account"), Dimension: text("dimension"),
			Hour: at("hour_us"), Deadline: at("deadline_us"), Next: at("next_us"), Fence: fence}}
		if _, err := s.decideLines(ctx, tx, []billing.Decision{d}, billing.LineFrozen); err != nil {
			return err
		}
	}
	return nil
}
