package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"odometer/internal/intake"
)

// fileTotals is what became of one file in this run.
type fileTotals struct {
	File       string `json:"file"`
	Known      int64  `json:"known_lines"` // acknowledged in earlier runs and not read again
	Accepted   int    `json:"accepted"`
	Duplicates int    `json:"duplicates"`
	Conflicts  int    `json:"conflicts"`
	Rejected   int    `json:"rejected"`
	Warnings   int    `json:"warnings,omitempty"` // accepted events that a meter skipped, one for each meter

	NotCounted int64  `json:"not_counted,omitempty"`  // of known_lines: rejected or in conflict in earlier runs
	Waiting    int64  `json:"waiting_line,omitempty"` // number of a last line without its newline
	Unclear    bool   `json:"unclear,omitempty"`      // not sent, or not all, for the reason in Note
	Note       string `json:"note,omitempty"`
	Error      string `json:"error,omitempty"`

	Problems []ingestProblem `json:"problems,omitempty"` // as many as --show-errors allows

	read            bool // Known is set
	wrongFlags      bool // the command line does not fit the file
	failed, unclear int  // in a sum
	misused         int  // of those that failed, in a sum: wrongFlags
}

func (t *fileTotals) add(b *ingestBatch) {
	t.Accepted += b.result.Accepted
	t.Duplicates += b.result.Duplicates
	t.Conflicts += b.result.Conflicts
	t.Rejected += b.result.Rejected + len(b.rejected)
}

func (t *fileTotals) events() int { return t.Accepted + t.Duplicates + t.Conflicts + t.Rejected }

// ingestTotals is the totals of a run, file by file.
type ingestTotals struct {
	files []*fileTotals
}

func (t *ingestTotals) start(path string) *fileTotals {
	for _, f := range t.files {
		if f.File == path && path != "-" {
			return f // named twice, or followed
		}
	}
	f := &fileTotals{File: path}
	t.files = append(t.files, f)
	return f
}

func (t *ingestTotals) sum() fileTotals {
	sum := fileTotals{File: "total"}
	for _, f := range t.files {
		sum.Known += f.Known
		sum.Accepted += f.Accepted
		sum.Duplicates += f.Duplicates
		sum.Conflicts += f.Conflicts
		sum.Rejected += f.Rejected
		sum.Warnings += f.Warnings

		sum.NotCounted += f.NotCounted
		if f.Error != "" {
			sum.failed++
			if f.wrongFlags {
				sum.misused++
			}
		}
		if f.Unclear {
			sum.unclear++
		}
	}
	return sum
}

// print writes the totals as a table, or in JSON.
func (t *ingestTotals) print(w io.Writer, asJSON bool) error {
	sum := t.sum()
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Files []*fileTotals `json:"files"`
			Total fileTotals    `json:"total"`
		}{t.files, sum})
	}
	table := newTable(w, true)
	fmt.Fprintln(table, "events\taccepted\tduplicate\tconflict\trejected\tknown lines\t  file")
	rows := t.files
	if len(rows) != 1 {
		rows = append(append([]*fileTotals(nil), rows...), &sum)
	}
	for _, f := range rows {
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%d\t  %s\n", f.events(), f.Accepted, f.Duplicates, f.Conflicts, f.Rejected, f.Known, shown(f.remark()))
	}
	return table.Flush()
}

// remark is the name and, in short, what is not in the numbers.
func (t *fileTotals) remark() string {
	switch {
	case t.Error != "":
		return t.File + " (failed)"
	case t.Unclear:
		return t.File + " (not clear)"
	case t.NotCounted > 0:
		return fmt.Sprintf("%s (%d known lines do not count)", t.File, t.NotCounted)
	case t.Waiting > 0:
		return fmt.Sprintf("%s (line %d waits for its newline)", t.File, t.Waiting)
	}
	return t.File
}

// ingestProgress writes to standard error: notes, problems, and how far the run is.
// On a terminal one line is redrawn, otherwise a line is written now and then.
type ingestProgress struct {
	env      *Env
	terminal bool
	totals   *ingestTotals
	start    time.Time
	last     time.Time
	drawn    bool
	unsaid   int   // warnings not printed
	total    int64 // bytes on disk of all files, 0 = unknown
	before   int64 // bytes of files that are done
	file     *intake.File
	problems int // still to be printed
	left     int // not printed
}

// How often progress is shown.
const (
	redrawInterval = 100 * time.Millisecond
	lineInterval   = 10 * time.Second
)

func newIngestProgress(env *Env, problems int) *ingestProgress {
	now := env.Clock()
	return &ingestProgress{env: env, terminal: env.IsTerminal != nil && env.IsTerminal(env.Stderr), start: now, last: now, problems: problems}
}

// expect adds up the sizes of the files to come.
func (p *ingestProgress) expect(paths []string) {
	for _, path := range paths {
		if stat, err := intake.StatPath(path); err == nil {
			p.total += stat.Size
		}
	}
}

// reading names the file that is being read.
func (p *ingestProgress) reading(f *intake.File) { p.file = f }

// done books the file as read.
func (p *ingestProgress) done(*fileTotals) {
	if p.file != nil {
		p.before += p.file.Stat.Size
		p.file = nil
	}
	if p.left > 0 {
		p.write(fmt.Sprintf("%d more lines were not counted; --show-errors prints more", p.left))
		p.left = 0
	}
	if p.unsaid > 0 {
		p.write(fmt.Sprintf("%d more warnings: lines were accepted, but meters skipped them; --show-errors prints more", p.unsaid))
		p.unsaid = 0
	}
}

// warning tells of an accepted line that a meter skipped.
func (p *ingestProgress) warning(out *fileTotals, w ingestProblem) {
	out.Warnings++
	if p.problems == 0 {
		p.unsaid++
		return
	}
	p.problems--
	p.write(fmt.Sprintf("%s:%d: %s", out.File, w.Line, w.Reason))
}

func (p *ingestProgress) note(file, text string) {
	if file != "" {
		text = file + ": " + text
	}
	p.write(text)
}

func (p *ingestProgress) problem(out *fileTotals, problem ingestProblem) {
	if p.problems == 0 {
		p.left++
		return
	}
	p.problems--
	out.Problems = append(out.Problems, problem)
	if problem.Line == 0 { // an event of an earlier run, sent to ask for it
		p.note(out.File, problem.Reason)
		return
	}
	p.write(fmt.Sprintf("%s:%d: %s", out.File, problem.Line, problem.Reason))
}

func (p *ingestProgress) write(text string) {
	p.clear()
	fmt.Fprintln(p.env.Stderr, text)
}

// clear takes the progress line off the terminal.
func (p *ingestProgress) clear() {
	if p.drawn {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
		p.drawn = false
	}
}

// update shows the progress if it is time to.
func (p *ingestProgress) update() {
	now := p.env.Clock()
	interval := lineInterval
	if p.terminal {
		interval = redrawInterval
	}
	if now.Sub(p.last) < interval {
		return
	}
	p.last = now
	if !p.terminal {
		fmt.Fprintln(p.env.Stderr, p.text(now))
		return
	}
	line := p.bar() + p.text(now)
	if width := terminalWidth(p.env.Stderr); len(line) >= width {
		line = line[:max(0, width-1)]
	}
	fmt.Fprint(p.env.Stderr, "\r\x1b[K"+line)
	p.drawn = true
}

func (p *ingestProgress) position() int64 {
	at := p.before
	if p.file != nil {
		at += min(p.file.BytesRead(), p.file.Stat.Size)
	}
	return at
}

// text is the progress in words.
func (p *ingestProgress) text(now time.Time) string {
	sum := p.totals.sum()
	text := ""
	if p.total > 0 {
		at := p.position()
		text = fmt.Sprintf("%3d%% of %s  ", at*100/max(p.total, at, 1), byteText(p.total))
	}
	rate := int64(0)
	if elapsed := now.Sub(p.start); elapsed > 0 {
		rate = int64(sum.events()) * int64(time.Second) / int64(elapsed)
	}
	return text + fmt.Sprintf("%d events/s  accepted %d  duplicate %d  conflict %d  rejected %d",
		rate, sum.Accepted, sum.Duplicates, sum.Conflicts, sum.Rejected)
}

const barWidth = 20

func (p *ingestProgress) bar() string {
	if p.total == 0 {
		return ""
	}
	at := p.position()
	n := int(at * barWidth / max(p.total, at))
	return "[" + strings.Repeat("=", n) + strings.Repeat(" ", barWidth-n) + "] "
}

// byteText is a size for people, in whole units of 1024.
func byteText(n int64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 10<<10 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		n >>= 10
	}
	return fmt.Sprintf("%d TiB", n)
}

func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}
