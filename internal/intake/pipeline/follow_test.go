package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"odometer/internal/intake"
	"odometer/internal/intake/intaketest"
)

// silent hears nothing.
type silent struct{}

func (silent) Note(string, string)          {}
func (silent) Reading(*intake.File)         {}
func (silent) Done(*FileTotals)             {}
func (silent) Problem(*FileTotals, Problem) {}
func (silent) Warning(*FileTotals, Problem) {}
func (silent) LeftOut(int)                  {}
func (silent) Update()                      {}

func TestFollowClosesQuietFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	store, err := intake.OpenStore("")
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	r := New(Config{Store: store, Batch: 10, Connections: 4, Observer: silent{}, Clock: func() time.Time { return time.Unix(1_760_000_000, 0) },
		Decoder: func(string, func(func([][]byte) bool) ([][]byte, error)) (intake.Decoder, intake.Policy, error) {
			return &intake.CombinedDecoder{AllowEmptySubject: true}, intake.Policy{Fork: true}, nil
		},
		Send: func(_ context.Context, events [][]byte) (Result, error) {
			counted += len(events)
			return Result{Accepted: len(events)}, nil
		}})
	name := followed{path: path}
	defer name.close()
	intaketest.Write(t, path, intaketest.AccessLines(0, 3))
	r.look(t.Context(), &name)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	intaketest.Write(t, path, intaketest.AccessLines(3, 5))
	for range followQuietRounds - 1 {
		r.look(t.Context(), &name)
	}
	if len(name.files) != 2 {
		t.Errorf("%d files open before the limit", len(name.files))
	}
	if r.look(t.Context(), &name); len(name.files) != 1 || counted != 5 {
		t.Errorf("%d files open at the limit, %d lines counted", len(name.files), counted)
	}
}
