package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/idset"
	"odometer/internal/meter"
)

// limitRejections returns the request's rejections for its answer and, once
// the organization's quota of kept ones is used up, takes them out of what is
// stored: they are then only counted.
func (l *Ledger) limitRejections(rows *block.Rows) []block.Rejection {
	if len(rows.Requests) == 0 {
		return nil
	}
	req := &rows.Requests[0]
	all := req.Rejections
	o := l.peekOrg(rows.Org)
	if len(all) > 0 && (l.limits.KeptRejections < 0 || o != nil && o.kept.Load()+uint64(len(all)) > uint64(max(l.limits.KeptRejections, 0))) {
		req.Rejections = nil
	}
	return all
}

// result turns the fold's answer into the caller's. Unless it is sealed it
// says what conflicting events conflict with.
func (l *Ledger) result(rows *block.Rows, rejections []block.Rejection, a answer, sealed bool) meter.Result {
	r := meter.Result{Sequence: a.seq, WarningsLeftOut: a.skips.more}
	if len(a.skips.list) > 0 {
		r.Warnings = warnings(rows, a.skips)
	}
	if len(rows.Requests) > 0 {
		r.Rejected = rows.Requests[0].Rejected()
	}
	var errs []meter.EventError
	for _, rej := range rejections {
		errs = append(errs, meter.EventError{Index: int(rej.Index), ID: rej.ID, Source: rej.Source, Verdict: meter.Rejected, Reason: rej.Reason})
	}
	conflicts := 0
	for i, v := range a.verdicts {
		switch {
		case v == meter.Conflict:
			first := a.first[conflicts]
			var e meter.EventError
			switch {
			case sealed:
				e = l.rowError(rows, i, meter.Conflict, sealedConflict)
			case a.atomic && first.Seq == a.seq:
				e = l.rowError(rows, i, meter.Conflict, "conflict: the request has this source and id twice with different content")
			default:
				e = l.conflictError(rows, i, first, conflicts < conflictsExplained)
			}
			conflicts++
			if a.atomic {
				e.Verdict = meter.Rejected
				r.Rejected++
			} else {
				r.Conflicts++
			}
			errs = append(errs, e)
		case a.atomic:
			r.Rejected++
			errs = append(errs, l.rowError(rows, i, meter.Rejected, "atomic: another event of the request was refused"))
		case v == meter.Duplicate:
			r.Duplicates++
		default:
			r.Accepted++
			if rows.Untimed(i) {
				r.TimeAssigned++
			}
		}
	}
	slices.SortStableFunc(errs, func(x, y meter.EventError) int { return x.Index - y.Index })
	if len(errs) > l.limits.ErrorsPerAnswer {
		r.Truncated = len(errs) - l.limits.ErrorsPerAnswer
		errs = errs[:l.limits.ErrorsPerAnswer]
	}
	r.Errors = errs
	return r
}

// conflictsExplained bounds the conflicts of one request whose first event is
// read back to say what differs.
const conflictsExplained = 20

// sealedConflict is all that a sealed answer says of a conflict, in every mode.
const sealedConflict = "conflict: this source and id were used before with other content"

func (l *Ledger) rowError(rows *block.Rows, i int, v meter.Verdict, reason string) meter.EventError {
	source, _ := rows.Sources.At(i)
	return meter.EventError{Index: int(rows.Index[i]), ID: string(rows.IDs.At(i)), Source: string(source), Verdict: v, Reason: reason}
}

func (l *Ledger) conflictError(rows *block.Rows, i int, first idset.Entry, explain bool) meter.EventError {
	e := l.rowError(rows, i, meter.Conflict, "conflict: this source and id were accepted with other content")
	e.First = meter.Place{Sequence: first.Seq, Ordinal: first.Ord}
	if explain {
		if h, err := l.header(first.Seq); err == nil {
			if old, err := l.cachedRows(&h); err == nil && int(first.Ord) < old.N {
				a, b := old.Event(int(first.Ord)), rows.Event(i)
				e.Difference = difference(&a, &b)
			}
		}
	}
	return e
}

// difference says what differs between the event counted and the one refused.
func difference(first, now *meter.Event) string {
	var parts []string
	add := func(what, a, b string) {
		if a != b && len(parts) < 5 {
			parts = append(parts, fmt.Sprintf("%s was %s, now %s", what, clip(a), clip(b)))
		}
	}
	add("type", first.Type, now.Type)
	add("subject", subjectText(first), subjectText(now))
	add("time", timeText(first), timeText(now))
	text := func(v meter.Value) string {
		b, err := v.MarshalJSON()
		if err != nil || v.Kind == meter.Absent {
			return "absent"
		}
		return string(bytes.TrimSpace(b))
	}
	seen := map[string]bool{}
	for _, e := range []*meter.Event{first, now} {
		for _, a := range e.Data {
			if !seen[a.Path] && !meter.IsExtension(a.Path) {
				seen[a.Path] = true
				add("data."+meter.PathName(a.Path), text(valueAt(first, a.Path)), text(valueAt(now, a.Path)))
			}
		}
	}
	return strings.Join(parts, "; ")
}

// timeText is the time as it was sent.
func timeText(e *meter.Event) string {
	if e.Untimed {
		return "absent"
	}
	return e.Time.Format(time.RFC3339Nano)
}

// subjectText tells no subject from an empty one.
func subjectText(e *meter.Event) string {
	switch {
	case !e.HasSubject:
		return "absent"
	case e.Subject == "":
		return "empty"
	default:
		return e.Subject
	}
}

func valueAt(e *meter.Event, path string) meter.Value {
	for _, a := range e.Data {
		if a.Path == path {
			return a.Value
		}
	}
	return meter.Value{}
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
