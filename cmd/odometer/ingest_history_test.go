package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"odometer/internal/intake/intaketest"
)

// TestIngestHistories plays random lives of a log folder: lines are written,
// files are rotated in each way, runs are killed, states are lost, the server
// refuses requests. In the end each line is counted once.
func TestIngestHistories(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for round := range rounds {
		seed := rand.Uint64()
		if !playIngestHistory(t, rand.New(rand.NewPCG(seed, 0)), round%2 == 1) {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

// ingestHistory has logs that start with different lines, or, if alike is set,
// with one to three lines that are always the same; then the state is never lost.
type ingestHistory struct {
	*ingestion
	t       *testing.T
	rnd     *rand.Rand
	alike   bool
	dir     string
	log     string // the current log
	next    int    // number of the next line
	written int    // lines
	files   int    // rotated files so far
	partial string // what the line at the end of the log still needs
}

func playIngestHistory(t *testing.T, rnd *rand.Rand, alike bool) bool {
	h := &ingestHistory{ingestion: newIngestion(t), t: t, rnd: rnd, alike: alike, dir: t.TempDir(), next: 10}
	h.log = filepath.Join(h.dir, "access.log")
	h.begin()
	h.grow()
	for range 40 {
		switch rnd.IntN(8) {
		case 0, 1, 2:
			h.grow()
		case 3:
			h.rotate()
		case 4:
			h.compress()
		case 5:
			if rnd.IntN(4) == 0 && !alike {
				h.cmd.State = t.TempDir()
			}
		default:
			h.ingest(rnd.IntN(3) == 0)
		}
	}
	h.grow()
	appendLog(t, h.log, h.partial)
	h.partial = ""
	h.server.before = nil
	total, code := h.run(t, t.Context(), h.all()...)
	again, _ := h.run(t, t.Context(), h.all()...)
	ok := code == exitOK && len(h.server.content) == h.written && total.Conflicts+total.Rejected == 0 && again.Events() == 0
	if !ok {
		t.Errorf("code %d, %d written, %d counted, last run %+v, then %+v\n%s", code, h.written, len(h.server.content), total, again, h.stderr.String())
	}
	return ok
}

// grow writes lines, perhaps the last one in part.
func (h *ingestHistory) grow() {
	text := h.partial
	n := 1 + h.rnd.IntN(40)
	if h.rnd.IntN(10) == 0 {
		n += 200
	}
	text += intaketest.AccessLines(h.next, h.next+n)
	h.next += n
	h.written += n
	h.partial = ""
	if h.rnd.IntN(3) == 0 {
		cut := len(text) - 1 - h.rnd.IntN(30)
		text, h.partial = text[:cut], text[cut:]
	}
	appendLog(h.t, h.log, text)
}

// begin writes the lines that logs have in common, and may have them seen alone.
func (h *ingestHistory) begin() {
	if !h.alike {
		return
	}
	n := 1 + h.rnd.IntN(3)
	appendLog(h.t, h.log, intaketest.AccessLines(0, n))
	h.written += n
	if h.rnd.IntN(2) == 0 {
		h.ingest(h.rnd.IntN(4) == 0)
	}
}

// rotate renames the log, or copies and truncates it.
func (h *ingestHistory) rotate() {
	appendLog(h.t, h.log, h.partial)
	h.partial = ""
	h.files++
	to := fmt.Sprintf("%s.%d", h.log, h.files)
	var err error
	if h.rnd.IntN(2) == 0 {
		err = os.Rename(h.log, to)
	} else {
		var text []byte
		text, err = os.ReadFile(h.log)
		err = errors.Join(err, os.WriteFile(to, text, 0o600), os.Truncate(h.log, 0))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.begin()
	h.grow()
}

func (h *ingestHistory) compress() {
	for _, path := range h.all() {
		if path != h.log && !strings.HasSuffix(path, ".gz") && h.rnd.IntN(2) == 0 {
			gzipLog(h.t, path, path+".gz")
		}
	}
}

func (h *ingestHistory) all() []string {
	files, err := filepath.Glob(h.log + "*")
	if err != nil {
		h.t.Fatal(err)
	}
	h.rnd.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	return files
}

// ingest runs the command over some of the files; with trouble it is
// interrupted, or requests fail before or after they were counted.
func (h *ingestHistory) ingest(trouble bool) {
	files := h.all()
	files = files[:1+h.rnd.IntN(len(files))]
	h.cmd.Batch, h.cmd.Connections = 1+h.rnd.IntN(30), 1+h.rnd.IntN(4)
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	at, kind := 1+h.rnd.IntN(6), h.rnd.IntN(2)
	calls := h.server.calls
	h.server.before = func(call int) error {
		switch {
		case !trouble || call != calls+at:
			return nil
		case kind == 0:
			cancel()
			return nil
		}
		return errors.New("connection refused")
	}
	h.run(h.t, ctx, files...)
}
