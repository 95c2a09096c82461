package pipeline

// FileTotals is what became of one file in this run.
type FileTotals struct {
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

	Problems []Problem `json:"problems,omitempty"` // as many as the observer keeps

	read       bool // Known is set
	wrongFlags bool // the settings do not fit the file
}

func (t *FileTotals) add(b *batch) {
	t.Accepted += b.result.Accepted
	t.Duplicates += b.result.Duplicates
	t.Conflicts += b.result.Conflicts
	t.Rejected += b.result.Rejected + len(b.rejected)
}

// Events is how many were sent.
func (t *FileTotals) Events() int { return t.Accepted + t.Duplicates + t.Conflicts + t.Rejected }

// Totals is the totals of a run, file by file.
type Totals struct {
	Files []*FileTotals
}

// Sum is what all files together have.
type Sum struct {
	FileTotals
	Failed  int // files that could not be sent whole
	Misused int // of them, those that the settings do not fit
	Unclear int // files that were not, or not all, counted
}

func (t *Totals) start(path string) *FileTotals {
	for _, f := range t.Files {
		if f.File == path && path != "-" {
			return f // named twice, or followed
		}
	}
	f := &FileTotals{File: path}
	t.Files = append(t.Files, f)
	return f
}

// Sum adds the files up.
func (t *Totals) Sum() Sum {
	sum := Sum{FileTotals: FileTotals{File: "total"}}
	for _, f := range t.Files {
		sum.Known += f.Known
		sum.Accepted += f.Accepted
		sum.Duplicates += f.Duplicates
		sum.Conflicts += f.Conflicts
		sum.Rejected += f.Rejected
		sum.Warnings += f.Warnings

		sum.NotCounted += f.NotCounted
		if f.Error != "" {
			sum.Failed++
			if f.wrongFlags {
				sum.Misused++
			}
		}
		if f.Unclear {
			sum.Unclear++
		}
	}
	return sum
}
