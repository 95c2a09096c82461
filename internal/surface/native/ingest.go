package native

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"odometer/internal/httpserver"
	"odometer/internal/metering"
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
	return writeResult(x, r)
}

var answerBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

func writeResult(x *httpserver.Exchange, r metering.Result) error {
	buf := answerBuffers.Get().(*[]byte)
	*buf = appendResult((*buf)[:0], r)
	err := x.JSON(http.StatusOK, *buf)
	if cap(*buf) <= 64<<10 {
		answerBuffers.Put(buf)
	}
	return err
}

// appendResult appends the answer to an ingest request.
func appendResult(dst []byte, r metering.Result) []byte {
	dst = appendCount(dst, `{"accepted":`, r.Accepted)
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
		dst = appendString(dst, e.Reason)
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
	dst = append(dst, `,"sequence":`...)
	dst = strconv.AppendUint(dst, r.Sequence, 10)
	return append(dst, '}', '\n')
}

// appendWarnings says which accepted events a meter skipped, if any.
func appendWarnings(dst []byte, r metering.Result) []byte {
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
var modes = map[string]metering.Mode{
	"application/cloudevents+json":       metering.Single,
	"application/cloudevents-batch+json": metering.Batch,
	"application/x-ndjson":               metering.NDJSON,
	"application/json":                   metering.Auto,
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
