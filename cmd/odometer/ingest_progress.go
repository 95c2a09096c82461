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
	"odometer/internal/intake/pipeline"
)

// printTotals writes the totals as a table, or in JSON.
func printTotals(w io.Writer, t *pipeline.Totals, asJSON bool) error {
	sum := t.Sum()
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Files []*pipeline.FileTotals `json:"files"`
			Total pipeline.FileTotals    `json:"total"`
		}{t.Files, sum.FileTotals})
	}
	table := newTable(w, true)
	fmt.Fprintln(table, "events\taccepted\tduplicate\tconflict\trejected\tknown lines\t  file")
	rows := t.Files
	if len(rows) != 1 {
		rows = append(append([]*pipeline.FileTotals(nil), rows...), &sum.FileTotals)
	}
	for _, f := range rows {
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%d\t  %s\n", f.Events(), f.Accepted, f.Duplicates, f.Conflicts, f.Rejected, f.Known, shown(remark(f)))
	}
	return table.Flush()
}

// remark is the name and, in short, what is not in the numbers.
func remark(t *pipeline.FileTotals) string {
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

// ingestProgress is a pipeline.Observer that writes to standard error: notes, problems, and how far the run is.
// On a terminal one line is redrawn, otherwise a line is written now and then.
type ingestProgress struct {
	env      *Env
	terminal bool
	totals   *pipeline.Totals
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

// Reading names the file that is being read.
func (p *ingestProgress) Reading(f *intake.File) { p.file = f }

// Done books the file as read.
func (p *ingestProgress) Done(*pipeline.FileTotals) {
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

// Warning tells of an accepted line that a meter skipped.
func (p *ingestProgress) Warning(out *pipeline.FileTotals, w pipeline.Problem) {
	out.Warnings++
	if p.problems == 0 {
		p.unsaid++
		return
	}
	p.problems--
	p.write(fmt.Sprintf("%s:%d: %s", out.File, w.Line, w.Reason))
}

// Note prints what a person should know of a file, or of the whole run.
func (p *ingestProgress) Note(file, text string) {
	if file != "" {
		text = file + ": " + text
	}
	p.write(text)
}

// Problem prints a line that does not count.
func (p *ingestProgress) Problem(out *pipeline.FileTotals, problem pipeline.Problem) {
	if p.problems == 0 {
		p.left++
		return
	}
	p.problems--
	out.Problems = append(out.Problems, problem)
	if problem.Line == 0 { // an event of an earlier run, sent to ask for it
		p.Note(out.File, problem.Reason)
		return
	}
	p.write(fmt.Sprintf("%s:%d: %s", out.File, problem.Line, problem.Reason))
}

// LeftOut counts warnings that the server did not name.
func (p *ingestProgress) LeftOut(warnings int) {
	p.unsaid += warnings
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

// Update shows the progress if it is time to.
func (p *ingestProgress) Update() {
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
	sum := p.totals.Sum()
	text := ""
	if p.total > 0 {
		at := p.position()
		text = fmt.Sprintf("%3d%% of %s  ", at*100/max(p.total, at, 1), byteText(p.total))
	}
	rate := int64(0)
	if elapsed := now.Sub(p.start); elapsed > 0 {
		rate = int64(sum.Events()) * int64(time.Second) / int64(elapsed)
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
