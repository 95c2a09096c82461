package store

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"odometer/internal/meter"
)

// TestPostgresKinds: whatever a server that dies leaves behind is
// KindUnavailable, which is 503, not a failure of ours.
func TestPostgresKinds(t *testing.T) {
	t.Parallel()
	code := func(c string) error { return &pgconn.PgError{Code: c} }
	for _, c := range []struct {
		err  error
		want meter.Kind
	}{
		{io.ErrUnexpectedEOF, meter.KindUnavailable},
		{fmt.Errorf("failed to receive message: %w", io.EOF), meter.KindUnavailable},
		{fmt.Errorf("write failed: %w", &net.OpError{Op: "write", Err: syscall.EPIPE}), meter.KindUnavailable},
		{syscall.ECONNRESET, meter.KindUnavailable},
		{net.ErrClosed, meter.KindUnavailable},
		{driver.ErrBadConn, meter.KindUnavailable},
		{sql.ErrConnDone, meter.KindUnavailable},
		{code("57P01"), meter.KindUnavailable}, // the administrator stops the server
		{code("57P03"), meter.KindUnavailable}, // it starts
		{code("08006"), meter.KindUnavailable},
		{code("25006"), meter.KindUnavailable}, // it is a standby now
		{code("40001"), meter.KindUnavailable},
		{code("53300"), meter.KindUnavailable}, // too many connections
		{code("58030"), meter.KindUnavailable}, // it cannot read its disk
		{code("53100"), meter.KindStorageFull},
		{code("XX001"), meter.KindCorrupt},
		{code("22021"), meter.KindInvalid},
		{code("42601"), meter.KindInternal},
		{fmt.Errorf("something else"), meter.KindInternal},
	} {
		if got := postgresKind(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}
