package native

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/csvtext"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

// usage answers GET /api/v1/meters/{key}/usage.
func (a api) usage(x *httpserver.Exchange, q query) error {
	uq, err := usageQuery(x.Param("key"), q)
	if err != nil {
		return err
	}
	u, err := a.service.Usage(x.Request.Context(), x.Principal, uq)
	if err != nil {
		return err
	}
	notes, err := a.notesOf(x, uq, u)
	if err != nil {
		return err
	}
	if wantsCSV(x.Request.Header) {
		return writeUsageCSV(x, uq, u, notes)
	}
	return x.JSON(http.StatusOK, appendUsage(nil, uq, u, notes))
}

// usageNotes is what an answer says besides its figures.
type usageNotes struct {
	unit    string
	closed  []catalog.ClosedFor
	skipped uint64 // of all events of the meter's type, at any time
	reason  string // why
	hints   []string
}

func (a api) notesOf(x *httpserver.Exchange, q meter.UsageQuery, u *meter.Usage) (t usageNotes, err error) {
	m, err := a.service.Meter(x.Request.Context(), x.Principal, q.Meter)
	if err != nil {
		return t, err
	}
	t.unit, t.skipped, t.reason = m.Unit, m.Skipped, metering.SkipReason(m.Meter)
	t.hints = a.service.UsageHints(x.Request.Context(), x.Principal, q, u)
	t.closed, err = a.service.ClosedFor(x.Request.Context(), x.Principal, meter.Period{From: q.From, To: q.To}, q.Filters)
	return t, err
}

// usageQuery reads all parameters of a usage query.
func usageQuery(key string, q query) (uq meter.UsageQuery, err error) {
	uq = meter.UsageQuery{Meter: key, Filters: q.filters(), Cursor: q.text("cursor")}
	if uq.Location, err = q.location(); err != nil {
		return uq, err
	}
	if uq.From, uq.To, err = q.spanIn(uq.Location); err != nil {
		return uq, err
	}
	if err = q.require("from", "to"); err != nil {
		return uq, err
	}
	if w := q.optional("window"); w != nil {
		if uq.Window, err = meter.ParseWindow(*w); err != nil {
			return uq, err
		}
	}
	if uq.GroupBy, err = q.groupBy(); err != nil {
		return uq, err
	}
	if uq.AsOf, err = q.timeIn("as_of", uq.Location); err != nil {
		return uq, err
	}
	if f := q.optional("fill"); f != nil {
		if *f != "zero" {
			return uq, meter.Errorf(meter.KindInvalid, "fill %.40q: want zero, or leave it out", *f)
		}
		uq.FillZero = true
	}
	if s := q.optional("sort"); s != nil {
		if *s != "-value" {
			return uq, meter.Errorf(meter.KindInvalid, "sort %.40q: want -value, the largest first, or leave it out", *s)
		}
		uq.ByValue = true
	}
	uq.Limit, err = q.limit()
	return uq, err
}

// appendUsage appends the JSON answer; times are in the asked zone.
func appendUsage(dst []byte, q meter.UsageQuery, u *meter.Usage, notes usageNotes) []byte {
	dst = append(dst, `{"meter":`...)
	dst = appendString(dst, q.Meter)
	dst = append(dst, `,"unit":`...)
	dst = appendString(dst, notes.unit)
	dst = append(dst, `,"rows":[`...)
	for i := range u.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRow(dst, q, &u.Rows[i])
	}
	dst = append(dst, `],"total":`...)
	if u.HasTotal {
		dst = appendString(dst, u.Total.String())
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"source":`...)
	dst = appendString(dst, u.Source)
	dst = appendSequence(dst, u.Sequence)
	dst = append(dst, `,"closed_months":[`...)
	for i, m := range notes.closed {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendClosedFor(dst, m)
	}
	dst = append(dst, `],"skipped":`...)
	if notes.skipped > 0 {
		dst = append(dst, `{"events":`...)
		dst = strconv.AppendUint(dst, notes.skipped, 10)
		dst = append(dst, `,"reason":`...)
		dst = appendString(dst, notes.reason)
		dst = append(dst, '}')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"hints":[`...)
	for i, hint := range notes.hints {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, hint)
	}
	dst = append(dst, `],"next_cursor":`...)
	dst = appendCursor(dst, u.NextCursor)
	return append(dst, '}', '\n')
}

func appendClosedFor(dst []byte, m catalog.ClosedFor) []byte {
	dst = append(dst, `{"month":`...)
	dst = appendString(dst, m.Month)
	dst = append(dst, `,"customers":[`...)
	for i, customer := range m.Customers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, customer)
	}
	dst = append(dst, ']')
	if m.More {
		dst = append(dst, `,"more":true`...)
	}
	return append(dst, '}')
}

func appendRow(dst []byte, q meter.UsageQuery, r *meter.UsageRow) []byte {
	dst = append(dst, `{"start":`...)
	dst = appendTime(dst, r.Start.In(q.Location))
	dst = append(dst, `,"end":`...)
	dst = appendTime(dst, r.End.In(q.Location))
	dst = append(dst, `,"group":{`...)
	for i, name := range q.GroupBy {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendString(dst, r.Group[i])
	}
	dst = append(dst, `},"value":`...)
	dst = appendString(dst, r.Value.String())
	if r.Clipped {
		dst = append(dst, `,"clipped":true`...)
	}
	return append(dst, '}')
}

// writeUsageCSV answers a header line and one line per row; what belongs to
// the whole answer is in headers.
func writeUsageCSV(x *httpserver.Exchange, q meter.UsageQuery, u *meter.Usage, notes usageNotes) error {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	line := append([]string{"start", "end"}, csvtext.Cells(q.GroupBy)...)
	line = append(line, "value", "clipped")
	err := w.Write(line)
	for i := range u.Rows {
		r := &u.Rows[i]
		line = append(line[:0], r.Start.In(q.Location).Format(time.RFC3339Nano), r.End.In(q.Location).Format(time.RFC3339Nano))
		line = append(line, csvtext.Cells(r.Group)...)
		line = append(line, r.Value.String(), strconv.FormatBool(r.Clipped))
		if err == nil {
			err = w.Write(line)
		}
	}
	if w.Flush(); err != nil {
		return err
	}
	h := x.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Cache-Control", "no-store")
	h.Set("Odometer-Source", u.Source)
	h.Set("Odometer-Unit", notes.unit)
	for _, m := range notes.closed {
		h.Add("Odometer-Closed-Month", m.Month)
	}
	if notes.skipped > 0 {
		h.Set("Odometer-Skipped", strconv.FormatUint(notes.skipped, 10))
	}
	if u.Sequence != 0 {
		h.Set("Odometer-Sequence", strconv.FormatUint(u.Sequence, 10))
	}
	if u.HasTotal {
		h.Set("Odometer-Total", u.Total.String())
	}
	if u.NextCursor != "" {
		h.Set("Odometer-Next-Cursor", u.NextCursor)
	}
	_, err = x.Write(buf.Bytes())
	return err
}

// wantsCSV tells whether the client prefers text/csv to JSON.
func wantsCSV(h http.Header) bool { return prefers(h, "text/csv") }

// prefers tells whether the client wants one of the media types rather than JSON.
func prefers(h http.Header, types ...string) bool {
	var wantedQ, jsonQ int
	for _, v := range h["Accept"] {
		for part := range strings.SplitSeq(v, ",") {
			t, params, _ := strings.Cut(part, ";")
			q := quality(params)
			switch t = strings.ToLower(strings.TrimSpace(t)); {
			case slices.Contains(types, t):
				wantedQ = max(wantedQ, q)
			case t == "application/json":
				jsonQ = max(jsonQ, q)
			}
		}
	}
	return wantedQ > jsonQ
}

// quality reads the weight of a media range in thousandths; 1000 if it has none.
func quality(params string) int {
	for p := range strings.SplitSeq(params, ";") {
		v, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(p)), "q=")
		if !ok {
			continue
		}
		whole, fraction, _ := strings.Cut(v, ".")
		if whole != "0" {
			return 1000
		}
		n, err := strconv.ParseUint((fraction + "000")[:3], 10, 16)
		if err != nil {
			return 0
		}
		return int(n)
	}
	return 1000
}
