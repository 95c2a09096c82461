// Package postgrestest starts a private PostgreSQL for tests: a cluster of its
// own in a temporary folder, on a free port of the loopback interface, with
// fsync on, stopped when the test ends. It needs Debian's package postgresql,
// of which it uses the programs only.
package postgrestest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// Server is a running PostgreSQL.
type Server struct {
	port    string
	db      *sql.DB
	schemas atomic.Int64
}

// superuser is the database's own, whoever runs the server.
const superuser = "odometer"

// ports is how often Start tries when another program was faster to take a port.
const ports = 5

// Start starts a server for as long as the test runs. If the programs are
// missing it fails the test; ok is false if ODOMETER_ALLOW_MISSING names
// postgresql, a list with commas, and with -short.
func Start(t testing.TB) (s *Server, ok bool) {
	t.Helper()
	if testing.Short() {
		t.Log("not run with -short: it starts a server")
		return nil, false
	}
	bin, found := programs(t.Context())
	if !found {
		if slices.Contains(strings.Split(os.Getenv("ODOMETER_ALLOW_MISSING"), ","), "postgresql") {
			t.Log("not run: postgresql is missing, as ODOMETER_ALLOW_MISSING allows")
			return nil, false
		}
		t.Fatal("postgresql is missing: install it, or name it in ODOMETER_ALLOW_MISSING")
	}
	folder := ownFolder(t)
	data := filepath.Join(folder, "data")
	run(t, filepath.Join(bin, "initdb"), "--pgdata="+data, "--username="+superuser, "--auth=trust", "--encoding=UTF8", "--locale=C")
	s = &Server{}
	for try := range ports {
		s.port = freePort(t)
		options := "-c listen_addresses=127.0.0.1 -c port=" + s.port + " -c unix_socket_directories='' -c fsync=on -c max_connections=200"
		err := execute(t.Context(), filepath.Join(bin, "pg_ctl"), "start", "--wait", "--timeout=60", "--pgdata="+data, "--log="+filepath.Join(folder, "log"), "--options="+options)
		if err == nil {
			break
		}
		if try == ports-1 {
			log, _ := os.ReadFile(filepath.Join(folder, "log"))
			t.Fatalf("%v\n%s", err, log)
		}
	}
	t.Cleanup(func() {
		// The test's own context has ended.
		if err := execute(context.Background(), filepath.Join(bin, "pg_ctl"), "stop", "--wait", "--mode=immediate", "--pgdata="+data); err != nil {
			t.Error(err)
		}
	})
	s.connect(t)
	return s, true
}

func (s *Server) connect(t testing.TB) {
	db, err := sql.Open("pgx", s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	s.db = db
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// DSN is the server's address, with a schema as the current one if it is not "".
func (s *Server) DSN(schema string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Host: net.JoinHostPort("127.0.0.1", s.port), Path: "/postgres"}
	q := url.Values{"sslmode": {"disable"}}
	if schema != "" {
		q.Set("search_path", schema)
		q.Set("application_name", schema) // for Disconnect
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Fresh returns the address of an empty schema that no other caller has.
func (s *Server) Fresh(t testing.TB) string {
	t.Helper()
	schema := fmt.Sprintf("fresh%d", s.schemas.Add(1))
	if _, err := s.db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	return s.DSN(schema)
}

// Disconnect ends the connections of everyone who opened an address that Fresh returned.
func (s *Server) Disconnect(t testing.TB, dsn string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	const end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1"
	if _, err := s.db.ExecContext(t.Context(), end, u.Query().Get("application_name")); err != nil {
		t.Fatal(err)
	}
}

// programs finds the folder of initdb and pg_ctl, the newest if there are several.
func programs(ctx context.Context) (string, bool) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", false
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		found = append(found, strings.TrimSpace(string(out)))
	}
	for _, folder := range found {
		_, noInit := os.Stat(filepath.Join(folder, "initdb"))
		_, noControl := os.Stat(filepath.Join(folder, "pg_ctl"))
		if noInit == nil && noControl == nil {
			return folder, true
		}
	}
	return "", false
}

// version is the number in /usr/lib/postgresql/NUMBER/bin; 0 if it is none.
func version(bin string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return 0
	}
	return n
}

// ownFolder makes a folder that the server's user owns and reaches.
func ownFolder(t testing.TB) string {
	// Not t.TempDir, whose parents only root may enter.
	folder, err := os.MkdirTemp("", "odometer-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	if c, ok := credential(); ok {
		if err := os.Chown(folder, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// credential is who runs the programs: they refuse root, so then it is the
// plain user postgres that Debian's package makes.
func credential() (*syscall.Credential, bool) {
	if os.Geteuid() != 0 {
		return nil, false
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, false
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, wrong := strconv.ParseUint(u.Gid, 10, 32)
	if errors.Join(err, wrong) != nil {
		return nil, false
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, true
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if err := execute(t.Context(), name, args...); err != nil {
		t.Fatal(err)
	}
}

// execute runs a program to its end. Its output goes to a file, since a server
// that it starts would keep a pipe open.
func execute(ctx context.Context, name string, args ...string) error {
	out, err := os.CreateTemp("", "odometer-postgres-out-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if c, ok := credential(); ok {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c}
	}
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, bytes.TrimSpace(said))
	}
	return nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}
