package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"odometer/internal/intake"
	"odometer/internal/meter"
)

// IngestCmd sends usage from files to a running server. docs/ingest.md has its
// guarantees.
type IngestCmd struct {
	ClientSettings `embed:""`
	Organization   string `placeholder:"ID" help:"Send as this organization; the key needs the operator right."`

	Files []string `arg:"" name:"file" help:"Files to send, plain or compressed with gzip or zstd; - is standard input."`

	Format            string            `enum:"auto,ndjson,csv,combined" default:"auto" help:"How the lines are read: ndjson (CloudEvents), csv, or combined (access logs of nginx and Apache); auto looks at the name and the first lines."`
	Type              string            `placeholder:"TYPE" help:"Event type of formats that have none (http.access for combined)."`
	Subject           string            `placeholder:"CUSTOMER" help:"Subject of events of formats that have none: the customer."`
	SubjectField      string            `placeholder:"FIELD" help:"combined: the field that is the subject: user, host, client, path, referer or user_agent."`
	AllowEmptySubject bool              `help:"Take lines whose customer is empty, which count for no customer; by default they are rejected."`
	KnownCustomers    bool              `help:"Reject lines whose customer the catalogue does not have; by default they are sent, and counted in a warning. The key must be allowed to read customers."`
	Source            string            `placeholder:"NAME" help:"Source of events of formats that have none; needed for standard input. By default it is made from the file's first line."`
	Map               map[string]string `mapsep:"," placeholder:"PART=COLUMN" help:"csv, the only format with columns: the column of id, source, type, subject, time or data.NAME; const:TEXT is the same text for every event."`
	Delimiter         string            `default:"," help:"csv: what separates fields; \\t is a tab."`
	TimeFormat        string            `enum:"text,unix,unix-ms" default:"text" help:"csv: how times are written: text (RFC 3339 or date and time), unix (seconds) or unix-ms."`
	Zone              string            `name:"tz" placeholder:"ZONE" help:"csv: IANA zone of times that name none."`

	Final     bool   `help:"Take a last line that has no newline; by default it waits until it has one."`
	FromStart bool   `help:"Send everything again from the start; the server answers duplicate for what it has."`
	Rewritten string `enum:"auto,count,refuse" default:"auto" help:"What to do with a file that begins as one counted before and then differs: count it as another, or refuse it; auto counts logs and refuses tables."`
	State     string `placeholder:"DIR" setting:"" help:"Folder that remembers how far each file was read. Default: odometer/ingest in XDG_STATE_HOME or ~/.local/state."`
	Follow    bool   `help:"Go on reading as the files grow and are rotated, until interrupted."`

	Batch       int    `default:"1000" help:"Most events of one request, up to 20000."`
	Connections int    `default:"4" help:"Most requests at a time, up to 64."`
	ShowErrors  int    `default:"100" placeholder:"N" help:"Most rejected lines and conflicts to print; all are counted."`
	Compress    string `enum:"auto,none,gzip,zstd" default:"auto" help:"Compression of requests; auto is none on this machine and zstd over a network."`
	JSON        bool   `name:"json" help:"Print the totals in JSON."`

	customers func(ctx context.Context, customer string) (bool, error) // nil: the server that ClientSettings name

	sender sendFunc                    // nil: the server that ClientSettings name
	wait   func(context.Context) error // between two looks at followed files; nil: followInterval
}

// Help says what the flags do not.
func (c *IngestCmd) Help() string {
	return "A line counts once, however often it is sent: twice, after a rename, copied and truncated, compressed, after an interruption. " +
		"Lines of formats without ids are named by their place in the text of their file. Exit codes: 0 every line counts, 1 a file or the server failed, " +
		"3 lines were rejected or in conflict or a file is held or refused, 130 interrupted (the same command goes on). docs/ingest.md has the guarantees."
}

// Named limits of ingest.
const (
	maxIngestBatch       = 20000   // the server's default limit of events a request
	maxIngestConnections = 64      // requests at a time
	maxBatchBytes        = 4 << 20 // a batch is sent when it has this much
	maxProbeBytes        = 16 << 10
)

// sendFunc sends events, each one CloudEvent in JSON, and returns the server's
// verdicts. Transient failures are retried inside it.
type sendFunc func(ctx context.Context, events [][]byte) (sendResult, error)

// sendResult is the server's answer to one request.
type sendResult struct {
	Accepted, Duplicates, Conflicts, Rejected int
	Problems                                  []sendProblem
	Warnings                                  []sendProblem // accepted, but a meter skipped them
	WarningsLeftOut                           int           // further ones
}

// sendProblem is one event that was rejected or in conflict.
type sendProblem struct {
	Index  int // in the request
	Reason string
}

// Run sends the files one after the other and prints the totals.
func (c *IngestCmd) Run(ctx context.Context, env *Env) error {
	if err := c.validate(); err != nil {
		return usageErrorf("%w", err)
	}
	r, err := c.newRun(env)
	if err != nil {
		return err
	}
	if c.Follow {
		err = r.follow(ctx)
	} else {
		r.progress.expect(c.Files)
		for _, path := range c.Files {
			if ctx.Err() != nil {
				break
			}
			r.path(ctx, path)
		}
	}
	r.progress.clear()
	if warning := r.customers.warning(); warning != "" {
		r.progress.note("", warning)
	}
	return cmp.Or(err, r.totals.print(env.Stdout, c.JSON), r.outcome(ctx))
}

func (c *IngestCmd) validate() error {
	switch {
	case c.Batch < 1 || c.Batch > maxIngestBatch:
		return fmt.Errorf("--batch must be 1 to %d", maxIngestBatch)
	case c.Connections < 1 || c.Connections > maxIngestConnections:
		return fmt.Errorf("--connections must be 1 to %d", maxIngestConnections)
	case c.Delimiter != `\t` && len(c.Delimiter) != 1 || c.Delimiter == `"`:
		return errors.New("--delimiter must be one ASCII character, not a quote")
	case c.Source == "" && slices.Contains(c.Files, "-") && c.Format == string(intake.Combined):
		return errors.New("standard input has no identity of its own: name it with --source")
	case c.Follow && slices.Contains(c.Files, "-"):
		return errors.New("--follow takes files; standard input is followed anyway, until it ends")
	case c.Follow && c.Final:
		return errors.New("--follow waits for newlines, --final does not: give one of them")
	}
	if c.Zone != "" {
		if _, err := meter.LoadZone(c.Zone); err != nil {
			return fmt.Errorf("--tz: %w", err)
		}
	}
	if err := c.combined().Validate(); err != nil {
		return err
	}
	return c.csv().Validate()
}

func (c *IngestCmd) combined() *intake.CombinedDecoder {
	return &intake.CombinedDecoder{Type: c.Type, Subject: c.Subject, SubjectField: c.SubjectField, AllowEmptySubject: c.AllowEmptySubject}
}

// csv returns a new decoder: it keeps the header of one file.
func (c *IngestCmd) csv() *intake.CSVDecoder {
	d := &intake.CSVDecoder{Map: c.Map, Type: c.Type, Subject: c.Subject, Source: c.Source, Time: intake.TimeFormat(c.TimeFormat), AllowEmptySubject: c.AllowEmptySubject}
	if c.Delimiter == `\t` {
		d.Comma = '\t'
	} else if c.Delimiter != "" {
		d.Comma = c.Delimiter[0]
	}
	if c.Zone != "" {
		d.Zone, _ = meter.LoadZone(c.Zone) // validate has tried it
	}
	return d
}

// decoder returns the decoder of one file, and its policy for text that was
// rewritten. lines returns the file's first ones, as many as it takes until
// enough says that they tell the format.
func (c *IngestCmd) decoder(name string, lines func(enough func([][]byte) bool) ([][]byte, error)) (intake.Decoder, intake.Policy, error) {
	format := intake.Format(c.Format)
	if format == "auto" {
		first, err := lines(func(lines [][]byte) bool {
			_, err := intake.Detect(name, lines)
			return err == nil
		})
		if err != nil {
			return nil, intake.Policy{}, err
		}
		if format, err = intake.Detect(name, first); err != nil {
			return nil, intake.Policy{}, err
		}
	}
	if err := c.fits(name, format); err != nil {
		return nil, intake.Policy{}, err
	}
	policy := intake.Policy{Fork: c.Rewritten == "count", Edit: c.Rewritten == "count"}
	switch format {
	case intake.NDJSON:
		return intake.NDJSONDecoder{}, policy, nil
	case intake.CSV:
		return c.csv(), policy, nil
	}
	policy.Fork = policy.Fork || c.Rewritten == "auto"
	return c.combined(), policy, nil
}

// useless are the flags that a format has no use for, and why.
var useless = map[intake.Format]struct {
	flags []string
	why   string
}{
	intake.NDJSON:   {[]string{"--map", "--tz", "--subject-field", "--type", "--subject", "--source"}, "its lines are CloudEvents, sent as they are"},
	intake.CSV:      {[]string{"--subject-field"}, "name the column with --map subject=COLUMN"},
	intake.Combined: {[]string{"--map", "--tz"}, "an access log has fixed fields"},
}

// fits refuses a flag that a file's format has no use for, unless another file
// of the run may have: whoever gives it expects that it does something.
func (c *IngestCmd) fits(file string, format intake.Format) error {
	given := map[string]bool{"--map": len(c.Map) > 0, "--tz": c.Zone != "", "--subject-field": c.SubjectField != "",
		"--type": c.Type != "", "--subject": c.Subject != "", "--source": c.Source != ""}
	for _, flag := range useless[format].flags {
		forOthers := slices.ContainsFunc(c.Files, func(other string) bool {
			if other == file || c.Format != "auto" {
				return false
			}
			byName, err := intake.Detect(other, nil)
			return err != nil || !slices.Contains(useless[byName].flags, flag)
		})
		if given[flag] && !forOthers {
			return usageErrorf("%s does nothing for %s: %s", flag, format, useless[format].why)
		}
	}
	return nil
}

// newRun makes what one run of the command keeps.
func (c *IngestCmd) newRun(env *Env) (*ingestRun, error) {
	send := c.sender
	if send == nil {
		var err error
		if send, err = c.newClientSender(); err != nil {
			return nil, err
		}
	}
	r := &ingestRun{cmd: c, env: env, send: send, target: c.URL + " " + c.Organization + " " + c.Key, progress: newIngestProgress(env, c.ShowErrors), probed: map[*intake.Stream]bool{}}
	r.progress.totals = &r.totals
	var err error
	if r.customers, err = c.newCustomerCheck(); err != nil {
		return nil, err
	}
	dir := c.stateDir(env)
	if dir == "" {
		r.progress.note("", "neither --state, XDG_STATE_HOME nor HOME is set: how far files are read is not remembered")
	}
	if r.store, err = intake.OpenStore(dir); err != nil {
		r.progress.note("", "how far files are read is not remembered: "+err.Error())
		r.store, err = intake.OpenStore("")
	}
	return r, err
}

func (c *IngestCmd) stateDir(env *Env) string {
	if c.State != "" {
		return c.State
	}
	if dir := env.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "odometer", "ingest")
	}
	if home := env.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "odometer", "ingest")
	}
	return ""
}

// outcome turns the totals into the command's error.
func (r *ingestRun) outcome(ctx context.Context) error {
	t := r.totals.sum()
	switch {
	case ctx.Err() != nil && !r.cmd.Follow:
		return exitWith(exitInterrupted, errors.New("interrupted; the same command goes on from here"))
	case t.failed > 0 && t.failed == t.misused && t.failed == len(r.totals.files) && t.events() == 0:
		return usageErrorf("nothing was sent: the flags do not fit the files")
	case t.failed > 0:
		return fmt.Errorf("%d of %d files could not be sent whole", t.failed, len(r.totals.files))
	case t.Rejected+t.Conflicts > 0:
		return exitWith(exitDisagrees, fmt.Errorf("%d rejected, %d in conflict", t.Rejected, t.Conflicts))
	case t.NotCounted > 0:
		return exitWith(exitDisagrees, fmt.Errorf("%d lines that were sent before do not count: they were rejected or in conflict (--from-start tries them again)", t.NotCounted))
	case t.unclear > 0:
		return exitWith(exitDisagrees, fmt.Errorf("%d of %d files were not, or not all, counted: see above", t.unclear, len(r.totals.files)))
	}
	return nil
}

// interruptible makes a blocking read give up when ctx ends, for standard input.
// The read itself goes on until the process ends.
func interruptible(ctx context.Context, from io.Reader) io.Reader {
	return &interruptibleReader{ctx: ctx, from: from, answers: make(chan readAnswer, 1)}
}

type interruptibleReader struct {
	ctx     context.Context
	from    io.Reader
	answers chan readAnswer
	buf     []byte // owned by the reading goroutine between two answers
	rest    []byte
	err     error
}

type readAnswer struct {
	n   int
	err error
}

func (r *interruptibleReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		if r.buf == nil {
			r.buf = make([]byte, 64<<10)
		}
		go func() {
			n, err := r.from.Read(r.buf)
			r.answers <- readAnswer{n, err}
		}()
		select {
		case a := <-r.answers:
			r.rest, r.err = r.buf[:a.n], a.err
		case <-r.ctx.Done():
			r.err = r.ctx.Err()
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}
