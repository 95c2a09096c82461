// Package pipeline sends what files have that is new: it reads them by package
// intake, sends their events in batches, several at a time, and remembers how
// far each file was acknowledged. It knows no server: what sends is given to it.
package pipeline

import (
	"context"
	"io"
	"time"

	"odometer/internal/intake"
)

// Named limits of this package.
const (
	// MaxBatchBytes is how much text makes a batch that is sent.
	MaxBatchBytes = 4 << 20
	// MaxProbeBytes is the longest event that is remembered to ask a server for.
	MaxProbeBytes = 16 << 10
)

// SettingsError is an error of Config.Decoder that says that the settings do not
// fit a file, and not that the file is wrong.
type SettingsError string

// Error is the text.
func (e SettingsError) Error() string { return string(e) }

// SendFunc sends events, each one CloudEvent in JSON, and returns the server's
// verdicts. Transient failures are retried inside it.
type SendFunc func(ctx context.Context, events [][]byte) (Result, error)

// Result is the server's answer to one request.
type Result struct {
	Accepted, Duplicates, Conflicts, Rejected int
	Problems                                  []EventProblem
	Warnings                                  []EventProblem // accepted, but a meter skipped them
	WarningsLeftOut                           int            // further ones
}

// EventProblem is one event that was rejected or in conflict.
type EventProblem struct {
	Index  int // in the request
	Reason string
}

// Observer hears what becomes of the files while they are sent.
type Observer interface {
	Note(file, text string) // file is "" where it is about the whole run
	Reading(f *intake.File)
	Done(out *FileTotals) // with a file, for now
	Problem(out *FileTotals, p Problem)
	Warning(out *FileTotals, p Problem) // an accepted line that a meter skipped
	LeftOut(warnings int)               // further ones, that the server did not name
	Update()                            // something was sent
}

// Config is what one run reads, how, and to whom it sends.
type Config struct {
	Files []string
	// Decoder returns the decoder of one file, and the policy for text that was
	// rewritten. lines returns the file's first ones, as many as it takes until
	// enough says that they tell the format.
	Decoder func(name string, lines func(enough func([][]byte) bool) ([][]byte, error)) (intake.Decoder, intake.Policy, error)

	Source      string // of events of formats that have none; "" is made from the file's first line
	Final       bool   // take a last line that has no newline
	FromStart   bool   // send everything again
	Batch       int    // most events of one request
	Connections int    // most requests at a time

	Send           SendFunc
	Target         string                                                       // the server and whom it is asked as, in the state's keys
	Customer       func(ctx context.Context, id string) (known bool, err error) // nil: no customer is looked up
	KnownCustomers bool                                                         // do not send lines of others
	Store          *intake.Store                                                // remembers how far files were read

	Stdin    io.Reader
	Clock    func() time.Time
	Wait     func(context.Context) error // between two looks at followed files; nil: FollowInterval
	Observer Observer
}

// Run is one run over the files of its Config. Not safe for concurrent use.
type Run struct {
	Config
	Totals Totals

	warned    bool // that lines name no customer
	customers *customerCheck
	probed    map[*intake.Stream]bool // streams that the server was asked about in this run
}

// New returns a run that has read nothing yet.
func New(c Config) *Run {
	return &Run{Config: c, probed: map[*intake.Stream]bool{},
		customers: &customerCheck{look: c.Customer, off: c.Customer == nil, must: c.KnownCustomers, known: map[string]bool{}, lines: map[string]int{}}}
}

// Once sends the files one after the other. What became of each is in Totals.
func (r *Run) Once(ctx context.Context) {
	for _, path := range r.Files {
		if ctx.Err() != nil {
			break
		}
		r.path(ctx, path)
	}
}

// UnknownCustomers tells of lines that were sent for customers that the catalog
// does not have, "" if there were none.
func (r *Run) UnknownCustomers() string { return r.customers.warning() }
