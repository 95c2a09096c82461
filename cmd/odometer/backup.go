package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

// backupCmd takes a consistent copy of a data directory, from the running
// server or from a directory at rest.
type backupCmd struct {
	ClientSettings  `embed:""`
	CatalogSettings `embed:""`

	Data string `placeholder:"DIR" help:"Back up this data directory instead of asking a server. No server may be using it."`
	To   string `arg:"" help:"Where the backup goes: a new directory, a new file ending in .tar, or - for a tar stream on standard output."`
}

// Help says what a backup is.
func (c *backupCmd) Help() string {
	return "A backup holds everything acknowledged before it began, as of one position in the log. Ingest goes on meanwhile. " +
		"Through a server it needs an admin key with the operator right. `odometer restore` makes a data directory of it."
}

// Run writes the backup and prints what it holds.
func (c *backupCmd) Run(ctx context.Context, env *Env) error {
	stream, err := c.open(ctx, env)
	if err != nil {
		return err
	}
	defer stream.Close()
	var m backupManifest
	switch {
	case c.To == "-":
		m, err = checkBackup(io.TeeReader(stream, env.Stdout))
	case strings.HasSuffix(c.To, ".tar"):
		if m, err = writeNewFile(c.To, stream); err == nil {
			fmt.Fprintln(env.Stdout, c.To)
		}
	default:
		if m, err = unpackBackup(stream, c.To); err == nil {
			fmt.Fprintf(env.Stdout, "%s: %d files as of sequence %d\n", c.To, len(m.Files), m.Sequence)
		}
	}
	m.warn(env)
	return err
}

// warn prints what the backup lacks.
func (m backupManifest) warn(env *Env) {
	for _, what := range m.LeftOut {
		fmt.Fprintln(env.Stderr, "not in the backup: "+what)
	}
}

// open returns the backup as a tar stream.
func (c *backupCmd) open(ctx context.Context, env *Env) (io.ReadCloser, error) {
	if c.Data == "" {
		return c.request(ctx)
	}
	if c.To != "-" && isWithin(c.To, c.Data) { // it would be part of the directory, and lost with it
		return nil, usageErrorf("%s is inside the data directory %s: name a place outside of it", c.To, c.Data)
	}
	data, err := openAtRest(ctx, env, c.Data, c.CatalogSettings)
	if err != nil {
		return nil, err
	}
	return streamFrom(func(w io.Writer) error {
		return errors.Join(sendBackup(ctx, env.Clock(), data.stores, c.Data, w), data.close())
	}), nil
}

// isWithin says whether a path, which need not exist, is a directory or leads
// into it, symbolic links followed.
func isWithin(path, dir string) bool {
	root, err := os.Stat(dir)
	if err != nil {
		return false // whoever opens the directory says why
	}
	at, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for {
		if target, err := filepath.EvalSymlinks(at); err == nil {
			at = target // all above it is real too
		}
		if info, err := os.Stat(at); err == nil && os.SameFile(info, root) {
			return true
		}
		above := filepath.Dir(at)
		if above == at {
			return false
		}
		at = above
	}
}

// producedStream is what a goroutine writes; Close waits for it to end.
type producedStream struct {
	*io.PipeReader
	done chan struct{}
}

func streamFrom(produce func(io.Writer) error) *producedStream {
	reader, writer := io.Pipe()
	s := &producedStream{reader, make(chan struct{})}
	go func() {
		defer close(s.done)
		writer.CloseWithError(produce(writer))
	}()
	return s
}

// Close makes further writes fail and waits until the writer has let go of everything.
func (s *producedStream) Close() error {
	err := s.PipeReader.Close()
	<-s.done
	return err
}

func (c *backupCmd) request(ctx context.Context) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.URL, "/")+backupPath, nil)
	if err != nil {
		return nil, usageErrorf("url %q: %v", c.URL, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.Key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s for a backup: %w", c.URL, err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return nil, fmt.Errorf("the server at %s answered %s: %s", c.URL, response.Status, strings.TrimSpace(string(text)))
	}
	return response.Body, nil
}

// writeNewFile copies a stream into a file that must not exist, and removes it if that fails.
func writeNewFile(path string, from io.Reader) (backupManifest, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return backupManifest{}, fmt.Errorf("write the backup: %w", err)
	}
	m, err := checkBackup(io.TeeReader(from, file))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return m, errors.Join(fmt.Errorf("write the backup: %w", err), os.Remove(path))
	}
	return m, nil
}

const backupPath = "/api/v1/backup"

// backupSurface serves a backup of the whole data directory to operators.
func (s *Server) backupSurface(service *metering.Service) *httpserver.Surface {
	return &httpserver.Surface{
		Name:         "backup",
		Authenticate: func(x *httpserver.Exchange) (access.Principal, error) { return x.BearerAuth(service) },
		Routes:       []httpserver.Route{{Method: http.MethodPost, Path: backupPath, Handle: s.serveBackup}},
	}
}

func (s *Server) serveBackup(x *httpserver.Exchange) error {
	if !x.Principal.Operator {
		return meter.Errorf(meter.KindForbidden, "only a key with the operator right may take a backup")
	}
	if err := s.service.BackupTaken(x.Request.Context(), x.Principal, x.Address()); err != nil {
		return err
	}
	x.Header().Set("Content-Type", "application/x-tar")
	// A backup may take longer than any other answer; a client that stops reading is still given up.
	body := &patientWriter{w: x, control: http.NewResponseController(x), patience: backupPatience}
	return sendBackup(x.Request.Context(), x.Start(), s.stores, s.settings.Data, body)
}

const backupPatience = time.Minute

// patientWriter gives each write its own deadline.
type patientWriter struct {
	w        io.Writer
	control  *http.ResponseController
	patience time.Duration
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// sendBackup makes a backup in a folder beside the stores, whose files it
// links where it can, and writes it as a tar stream.
func sendBackup(ctx context.Context, now time.Time, from *stores, data string, w io.Writer) error {
	dir, err := os.MkdirTemp(data, backupPrefix)
	if err != nil {
		return fmt.Errorf("make a folder for the backup: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	info, err := from.backup(ctx, data, dir)
	if err != nil {
		return err
	}
	leftOut, err := from.leftOut(data)
	if err != nil {
		return err
	}
	return packBackup(ctx, w, dir, backupManifest{Version: buildVersion(), Created: now.UTC(), Sequence: info.Sequence, LeftOut: leftOut})
}

// leftOut names what a backup of the data directory lacks, and what to do about it.
func (s *stores) leftOut(data string) ([]string, error) {
	var lacks []string
	elsewhere, err := inPostgres(data)
	if err != nil {
		return nil, err
	}
	if elsewhere {
		lacks = append(lacks, "the catalog, which is in PostgreSQL: back it up with pg_dump after this, restore it there, "+
			"and run `odometer rebind` on the restored data directory")
	}
	if _, err := os.Stat(s.secretKeyPath); err == nil {
		lacks = append(lacks, "the secret key file "+s.secretKeyPath+": keep a copy in another place; without it EdgeGrid keys do not work after restoring")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return lacks, nil
}

// backup copies the ledger first: an organization without events does no
// harm, events without an organization would.
func (s *stores) backup(ctx context.Context, data, dir string) (ledger.BackupInfo, error) {
	info, err := s.ledger.Backup(ctx, filepath.Join(dir, ledgerFolder))
	if err != nil {
		return info, fmt.Errorf("back up the ledger: %w", err)
	}
	elsewhere, err := inPostgres(data)
	if err != nil {
		return info, err
	}
	if elsewhere { // a file without an id: what is made of the backup is another ledger
		return info, writeSynced(filepath.Join(dir, catalogIDFile), strings.NewReader(""))
	}
	if err := s.catalog.Backup(ctx, filepath.Join(dir, catalogFile)); err != nil {
		return info, fmt.Errorf("back up the catalog: %w", err)
	}
	return info, nil
}

// removeLeftovers deletes the folders of backups that a crash interrupted.
func removeLeftovers(data string) error {
	folders, err := filepath.Glob(filepath.Join(data, backupPrefix+"*"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("remove what an interrupted backup left: %w", err)
		}
	}
	return nil
}
