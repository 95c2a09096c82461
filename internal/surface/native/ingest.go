package native

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"odometer/internal/cloudevents"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
)

// ingest answers POST /api/v1/events.
func (a api) ingest(x *httpserver.Exchange, q query) error {
	atomic, err := q.flag("atomic")
	if err != nil {
		return err
	}
	timed, err := q.flag("require_time")
	if err != nil {
		return err
	}
	strict, err := q.flag("strict")
	if err != nil {
		return err
	}
	mode, binary, err := eventMode(x.Request)
	if err != nil {
		return err
	}
	body, err := x.Body()
	if err != nil {
		return err
	}
	if binary {
		if body, err = structured(x.Request.Header, body); err != nil {
			return err
		}
	}
	ingest := a.service.Ingest
	if timed {
		ingest = a.service.IngestTimed
	}
	r, err := ingest(x.Request.Context(), x.Principal, body, mode, atomic)
	if err != nil {
		return err
	}
	return writeResult(x, r, strict || x.Principal.Strict)
}

var answerBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// writeResult answers what became of a request's events. Senders of events
// look at the status alone, so that it tells them of every request of which
// nothing counts, and of every refusal where strict is set.
func writeResult(x *httpserver.Exchange, r meter.Result, strict bool) error {
	refused := r.Conflicts + r.Rejected
	if refused == 0 && prefersMinimal(x.Request.Header) {
		x.Header().Set("Preference-Applied", "return=minimal")
		x.Header().Set("Cache-Control", "no-store")
		x.WriteHeader(http.StatusNoContent)
		return nil
	}
	buf := answerBuffers.Get().(*[]byte)
	members := appendResult((*buf)[:0], r)
	*buf = members
	var err error
	if refused > 0 && (strict || r.Accepted+r.Duplicates == 0) {
		err = x.Problem(refusedProblem(r), members)
	} else {
		err = x.JSON(http.StatusOK, append(append([]byte{'{'}, members...), '}', '\n'))
	}
	if cap(*buf) <= 64<<10 {
		answerBuffers.Put(buf)
	}
	return err
}

// refusedProblem is a request that is answered as refused. It is a 400, which
// brokers of events put aside for a person to look at; 409 some repeat for ever.
func refusedProblem(r meter.Result) httpserver.Problem {
	refused := r.Conflicts + r.Rejected
	detail := fmt.Sprintf("%d of %d events were not counted", refused, refused+r.Accepted+r.Duplicates)
	if len(r.Errors) > 0 {
		e := &r.Errors[0]
		detail += fmt.Sprintf("; event %d: %s", e.Index, e.Text())
	}
	return httpserver.Problem{Kind: "refused", Title: "Events refused", Status: http.StatusBadRequest, Detail: detail}
}

// prefersMinimal tells whether the client asks for no body, RFC 7240.
func prefersMinimal(h http.Header) bool {
	for _, v := range h["Prefer"] {
		for preference := range strings.SplitSeq(v, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if strings.EqualFold(strings.TrimSpace(name), "return") {
				return strings.Trim(strings.TrimSpace(value), `"`) == "minimal" // the first one counts
			}
		}
	}
	return false
}

// appendResult appends the members of the answer to an ingest request.
func appendResult(dst []byte, r meter.Result) []byte {
	dst = appendCount(dst, `"accepted":`, r.Accepted)
	dst = appendCount(dst, `,"duplicates":`, r.Duplicates)
	dst = appendCount(dst, `,"conflicts":`, r.Conflicts)
	dst = appendCount(dst, `,"rejected":`, r.Rejected)
	dst = append(dst, `,"errors":[`...)
	for i := range r.Errors {
		e := &r.Errors[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCount(dst, `{"index":`, e.Index)
		dst = append(dst, `,"id":`...)
		dst = appendString(dst, e.ID)
		dst = append(dst, `,"reason":`...)
		dst = appendString(dst, e.Text())
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	if r.Truncated > 0 { // only where errors had to be left out
		dst = appendCount(dst, `,"errors_left_out":`, r.Truncated)
	}
	if r.TimeAssigned > 0 {
		dst = appendCount(dst, `,"time_assigned":`, r.TimeAssigned)
	}
	dst = appendWarnings(dst, r)
	return appendSequence(dst, r.Sequence)
}

// appendSequence appends a place in the log, if the caller is told any.
func appendSequence(dst []byte, sequence uint64) []byte {
	if sequence == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, `,"sequence":`...), sequence, 10)
}

// appendWarnings says which accepted events a meter skipped, if any.
func appendWarnings(dst []byte, r meter.Result) []byte {
	if len(r.Warnings) == 0 && r.WarningsLeftOut == 0 {
		return dst
	}
	dst = append(dst, `,"warnings":[`...)
	for i := range r.Warnings {
		w := &r.Warnings[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCount(dst, `{"index":`, w.Index)
		dst = append(dst, `,"id":`...)
		dst = appendString(dst, w.ID)
		if w.Meter != "" {
			dst = append(dst, `,"meter":`...)
			dst = appendString(dst, w.Meter)
		}
		dst = append(dst, `,"reason":`...)
		dst = appendString(dst, w.Reason)
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	if r.WarningsLeftOut > 0 {
		dst = appendCount(dst, `,"warnings_left_out":`, r.WarningsLeftOut)
	}
	return dst
}

// modes are the content types of events.
var modes = map[string]cloudevents.Mode{
	"application/cloudevents+json":       cloudevents.Single,
	"application/cloudevents-batch+json": cloudevents.Batch,
	"application/x-ndjson":               cloudevents.NDJSON,
	"application/json":                   cloudevents.Auto,
}

// contentType returns the media type of a request's body without parameters,
// "" if it names none. A charset other than UTF-8 is kept, so that it matches nothing.
func contentType(r *http.Request) string {
	v := r.Header["Content-Type"]
	if len(v) == 0 {
		return ""
	}
	if _, plain := modes[v[0]]; plain {
		return v[0]
	}
	t, params, err := mime.ParseMediaType(v[0])
	if err != nil {
		return v[0]
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return v[0]
	}
	return t
}
