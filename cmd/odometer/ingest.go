package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"odometer/internal/intake"
	"odometer/internal/intake/pipeline"
	"odometer/internal/meter"
)

// ingestCmd sends usage from files to a running server. docs/ingest.md has its
// guarantees.
type ingestCmd struct {
	ClientSettings `embed:""`
	Organization   string `placeholder:"ID" help:"Send as this organization. The key needs the operator right."`

	Files []string `arg:"" name:"file" help:"Files to send, plain or compressed with gzip or zstd. - is standard input."`

	Format            string    `enum:"auto,ndjson,csv,combined" default:"auto" help:"Format of the lines: ndjson (CloudEvents), csv, or combined (access logs of nginx and Apache). auto looks at the name and the first lines."`
	Type              string    `placeholder:"TYPE" help:"Event type for formats without one. Default: http.access for combined."`
	Subject           string    `placeholder:"CUSTOMER" help:"Subject (the customer) for formats without one."`
	SubjectField      string    `placeholder:"FIELD" help:"combined: the field that names the subject: user, host, client, path, referer or user_agent."`
	AllowEmptySubject bool      `help:"Accept lines whose customer is empty. They count for no customer. Default: such lines are rejected."`
	KnownCustomers    bool      `help:"Reject lines whose customer is not in the catalog. Default: they are sent, and a warning counts them. The key must be allowed to read customers."`
	Source            string    `placeholder:"NAME" help:"Source for formats without one. Required for standard input. Default: made from the file's first line."`
	Map               columnMap `placeholder:"PART=COLUMN" help:"csv only: the column that holds id, source, type, subject, time or data.NAME. const:TEXT in place of a column is the same text for every event."`
	Delimiter         string    `placeholder:"CHARACTER" help:"csv: the character between fields. \\t is a tab. Default: a tab in a file named .tsv, else a comma."`
	TimeFormat        string    `enum:"text,unix,unix-ms" default:"text" help:"csv: the form of times: text (RFC 3339, or date and time), unix (seconds) or unix-ms."`
	Zone              string    `name:"tz" placeholder:"ZONE" help:"csv: IANA time zone for times that name none."`

	Final     bool   `help:"Send a last line that has no newline. Default: it waits for its newline."`
	FromStart bool   `help:"Send everything again from the start. The server answers duplicate for what it has."`
	Rewritten string `enum:"auto,count,refuse" default:"auto" help:"What to do with a file that begins like one counted before and then differs. count: send what differs, and all lines after it. refuse: send nothing. auto: count a log that differs within its first 64 lines; refuse one that differs later, and CSV without ids."`
	State     string `placeholder:"DIR" setting:"" help:"Directory that remembers how far each file was read. Default: odometer/ingest in XDG_STATE_HOME or ~/.local/state."`
	Follow    bool   `help:"Keep reading as the files grow and are rotated, until interrupted."`

	Batch       int    `default:"1000" help:"Maximum number of events in a request, up to 20000."`
	Connections int    `default:"4" help:"Maximum number of requests at a time, up to 64."`
	ShowErrors  int    `default:"100" placeholder:"N" help:"Maximum number of rejected lines and conflicts to print. All are counted."`
	Compress    string `enum:"auto,none,gzip,zstd" default:"auto" help:"Compression of requests. auto is none to a server on this machine, and zstd over a network."`
	JSON        bool   `name:"json" help:"Print the totals as JSON."`

	customers func(ctx context.Context, customer string) (bool, error) // nil: the server that ClientSettings name

	sender pipeline.SendFunc           // nil: the server that ClientSettings name
	wait   func(context.Context) error // between two looks at followed files; nil: followInterval
}

// Help says what the flags do not.
func (c *ingestCmd) Help() string {
	return "A line counts once, however often it is sent: twice, after a rename, copied and truncated, compressed, after an interruption. " +
		"If the format has no ids, a line's id is made from its place in the text of its file. Exit codes: 0 every line counts; 1 a file or the server failed; " +
		"3 lines were rejected or in conflict, or a file is held or refused; 130 interrupted (run the same command to go on). docs/ingest.md has the guarantees."
}

// Named limits of ingest.
const (
	maxIngestBatch       = 20000 // the server's default limit of events a request
	maxIngestConnections = 64    // requests at a time
)

// Run sends the files one after the other and prints the totals.
func (c *ingestCmd) Run(ctx context.Context, env *Env) error {
	if err := c.validate(); err != nil {
		return usageErrorf("%w", err)
	}
	r, progress, err := c.newRun(env)
	if err != nil {
		return err
	}
	if c.Follow {
		err = r.Follow(ctx)
	} else {
		progress.expect(c.Files)
		r.Once(ctx)
	}
	progress.clear()
	if warning := r.UnknownCustomers(); warning != "" {
		progress.Note("", warning)
	}
	return cmp.Or(err, printTotals(env.Stdout, &r.Totals, c.JSON), c.outcome(ctx, &r.Totals))
}

func (c *ingestCmd) validate() error {
	switch {
	case c.Batch < 1 || c.Batch > maxIngestBatch:
		return fmt.Errorf("--batch must be 1 to %d", maxIngestBatch)
	case c.Connections < 1 || c.Connections > maxIngestConnections:
		return fmt.Errorf("--connections must be 1 to %d", maxIngestConnections)
	case c.Delimiter != "" && c.Delimiter != `\t` && len(c.Delimiter) != 1 || c.Delimiter == `"`:
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
	return c.csv("").Validate()
}

// newRun makes one run of the command, and what shows how far it is.
func (c *ingestCmd) newRun(env *Env) (*pipeline.Run, *ingestProgress, error) {
	send := c.sender
	if send == nil {
		var err error
		if send, err = c.newClientSender(); err != nil {
			return nil, nil, err
		}
	}
	customers, err := c.customerLookup()
	if err != nil {
		return nil, nil, err
	}
	progress := newIngestProgress(env, c.ShowErrors)
	dir := c.stateDir(env)
	if dir == "" {
		progress.Note("", "neither --state, XDG_STATE_HOME nor HOME is set: how far files are read is not remembered")
	}
	store, err := intake.OpenStore(dir)
	if err != nil {
		progress.Note("", "how far files are read is not remembered: "+err.Error())
		if store, err = intake.OpenStore(""); err != nil {
			return nil, nil, err
		}
	}
	r := pipeline.New(pipeline.Config{Files: c.Files, Decoder: c.decoder, Source: c.Source, Final: c.Final, FromStart: c.FromStart, Batch: c.Batch,
		Connections: c.Connections, Send: send, Target: c.URL + " " + c.Organization + " " + c.Key, Customer: customers, KnownCustomers: c.KnownCustomers,
		Store: store, Stdin: env.Stdin, Clock: env.Clock, Wait: c.wait, Observer: progress})
	progress.totals = &r.Totals
	return r, progress, nil
}

func (c *ingestCmd) stateDir(env *Env) string {
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
func (c *ingestCmd) outcome(ctx context.Context, totals *pipeline.Totals) error {
	t := totals.Sum()
	switch {
	case ctx.Err() != nil && !c.Follow:
		return exitWith(exitInterrupted, errors.New("interrupted; the same command goes on from here"))
	case t.Failed > 0 && t.Failed == t.Misused && t.Failed == len(totals.Files) && t.Events() == 0:
		return usageErrorf("nothing was sent: the flags do not fit the files")
	case t.Failed > 0:
		return fmt.Errorf("%d of %d files could not be sent whole", t.Failed, len(totals.Files))
	case t.Rejected+t.Conflicts > 0:
		return exitWith(exitDisagrees, fmt.Errorf("%d rejected, %d in conflict", t.Rejected, t.Conflicts))
	case t.NotCounted > 0:
		return exitWith(exitDisagrees, fmt.Errorf("%d lines that were sent before do not count: they were rejected or in conflict (--from-start tries them again)", t.NotCounted))
	case t.Unclear > 0:
		return exitWith(exitDisagrees, fmt.Errorf("%d of %d files were not, or not all, counted: see above", t.Unclear, len(totals.Files)))
	}
	return nil
}
