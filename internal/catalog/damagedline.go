package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"
	"time"

	"odometer/internal/catalog/checksum"
	"odometer/internal/meter"
)

// damagedLine is why a damaged line is parked.
const damagedLine = "the frozen line is not as it was stored: it was damaged, or changed by other means than odometer; it was not sent"

// parkDamaged parks the lines that are due and damaged, with their reason:
// nothing of them is sent, and a person sees them among what is stuck. What
// is stored of such a line is taken over as it is.
func (s *Store) parkDamaged(ctx context.Context, tx *sql.Tx, now time.Time) error {
	const table = "report_lines"
	covered := s.checksums.Covered(table)
	query := "-- unchecked: each is checked here\nSELECT " + strings.Join(covered, ", ") + ", " + checksum.Column + ", fence, next_us\nFROM " + table +
		"\nWHERE state = 'frozen' AND next_us <= $1 AND lease_us <= $1"
	all, err := list(ctx, tx, func(r row) ([]driver.Value, error) { return scanValues(r, len(covered)+3) }, query, micros(now))
	if err != nil {
		return err
	}
	for _, values := range all {
		err := s.checksums.Check(table, values[:len(covered)], values[len(covered)])
		if err == nil {
			continue
		}
		if meter.KindOf(err) != meter.KindCorrupt {
			return err
		}
		if err := s.sealRow(ctx, tx, table, values[:len(covered)]); err != nil {
			return err
		}
		text := func(column string) string { text, _ := values[slices.Index(covered, column)].(string); return text }
		micros := func(v driver.Value) time.Time { us, _ := v.(int64); return time.UnixMicro(us).UTC() }
		fence, _ := values[len(covered)+1].(int64)
		d := Decision{To: LineParked, Message: damagedLine, Line: Line{Organization: text("organization"), Operation: text("operation"), Account: text("account"), Dimension: text("dimension"),
			Hour: micros(values[slices.Index(covered, "hour_us")]), Deadline: micros(values[slices.Index(covered, "deadline_us")]), Next: micros(values[len(covered)+2]), Fence: fence}}
		if _, err := s.decideLine(ctx, tx, &d, LineFrozen); err != nil {
			return err
		}
	}
	return nil
}
