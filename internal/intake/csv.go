package intake

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"odometer/internal/meter"
)

// CSVDecoder reads records as RFC 4180 has them, after a header row; blanks
// around names and fields are no part of them, unless they are quoted, and
// columns without a name are passed over. The map
// says which column becomes which part of the event; its keys are "id",
// "source", "type", "subject", "time" and "data.NAME", its values are column
// names, or "const:TEXT" for one text in every event. A column with the name
// of such a part needs no entry. When the map names no data, every column that
// is left becomes data under its own name.
type CSVDecoder struct {
	// Map says which column becomes what.
	Map map[string]string
	// Type is the event type where neither the map nor a column gives one.
	Type string
	// Subject is the subject where neither the map nor a column gives one.
	Subject string
	// Source is the source where neither the map nor a column gives one.
	Source string
	// Comma separates fields; ',' if zero.
	Comma byte
	// Time is how times are written: timeText (the default), timeUnix or timeUnixMilli.
	Time TimeFormat
	// Zone is the zone of times that name none; without it they are rejected.
	Zone *time.Location
	// AllowEmptySubject takes rows whose subject column is empty; they count for
	// no customer. Otherwise they are rejected.
	AllowEmptySubject bool

	id, source, kind, subject, time column
	data                            []dataColumn
	width                           int      // of the header; 0 before it
	fields                          [][]byte // of the record at hand
	scratch                         []byte
}

// TimeFormat says how a CSV file writes times.
type TimeFormat string

// The time formats.
const (
	timeText      TimeFormat = "text"    // RFC 3339, or "2006-01-02 15:04:05" with or without fraction and zone
	timeUnix      TimeFormat = "unix"    // seconds since 1970, with or without fraction
	timeUnixMilli TimeFormat = "unix-ms" // milliseconds since 1970
)

// column is where one part of an event comes from.
type column struct {
	index int // -1 = none
	text  string
	fixed bool
}

type dataColumn struct {
	name string
	column
}

const (
	constPrefix = "const:"
	dataPrefix  = "data."
)

var csvParts = []string{"id", "source", "type", "subject", "time"}

// ErrMap is a map that a file has no columns for.
var ErrMap = errors.New("map")

// Validate says whether the map makes sense, before any file is read.
func (d *CSVDecoder) Validate() error {
	for _, key := range slices.Sorted(maps.Keys(d.Map)) {
		if !slices.Contains(csvParts, key) && (!strings.HasPrefix(key, dataPrefix) || key == dataPrefix) {
			return fmt.Errorf("map: %q is not one of %s or data.NAME", key, strings.Join(csvParts, ", "))
		}
		if d.Map[key] == "" {
			return fmt.Errorf("map: %q has no column", key)
		}
		if d.Map[key] == constPrefix && !(key == "subject" && d.AllowEmptySubject) {
			return fmt.Errorf("map: %s=%s has no text", key, constPrefix)
		}
	}
	switch d.Time {
	case "", timeText, timeUnix, timeUnixMilli:
		return nil
	}
	return fmt.Errorf("time format %q is not text, unix or unix-ms", d.Time)
}

// HasHeader is true.
func (d *CSVDecoder) HasHeader() bool { return true }

// Derived says that no column is the id. It is known after Header.
func (d *CSVDecoder) Derived() bool { return d.id.index < 0 && !d.id.fixed }

// Fingerprint covers all settings.
func (d *CSVDecoder) Fingerprint() string {
	zone := ""
	if d.Zone != nil {
		zone = d.Zone.String()
	}
	b := fmt.Appendf(nil, "csv 1 %q %q %q %q %q %q", d.Type, d.Subject, d.Source, d.comma(), d.Time, zone)
	for _, key := range slices.Sorted(maps.Keys(d.Map)) {
		b = fmt.Appendf(b, " %q=%q", key, d.Map[key])
	}
	return string(b)
}

func (d *CSVDecoder) comma() byte { return cmp.Or(d.Comma, ',') }

// Header finds the columns.
func (d *CSVDecoder) Header(record []byte) error {
	if err := d.split(bytes.TrimPrefix(record, utf8BOM)); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	names := make([]string, len(d.fields))
	for i, f := range d.fields {
		names[i] = strings.TrimSpace(string(f))
		if names[i] != "" && slices.Contains(names[:i], names[i]) {
			return fmt.Errorf("header: two columns are named %q", names[i])
		}
	}
	if d.width = len(names); d.width == 1 && strings.ContainsAny(names[0], ",;|\t") {
		return fmt.Errorf("header: %.60q is one name; if another character than %q stands between fields, give --delimiter", names[0], d.comma())
	}
	taken := make(map[int]bool)
	parts := map[string]*column{"id": &d.id, "source": &d.source, "type": &d.kind, "subject": &d.subject, "time": &d.time}
	fallback := map[string]string{"source": d.Source, "type": d.Type, "subject": d.Subject}
	for _, part := range csvParts {
		c, err := find(names, d.Map[part], part, fallback[part])
		if err != nil {
			return err
		}
		*parts[part] = c
		taken[c.index] = true
	}
	if err := d.findData(names, taken); err != nil {
		return err
	}
	switch {
	case d.time.index < 0:
		return errors.New("no column holds the time; give --map time=COLUMN")
	case d.kind == column{index: -1}:
		return errors.New("no column holds the type; give --type or --map type=TEXT")
	case !d.Derived() && d.source == column{index: -1}:
		return errors.New("ids need a source; give --source or --map source=TEXT")
	}
	return nil
}

// find looks a part up: its map entry, else the column of its name, else the fallback.
func find(names []string, mapped, part, fallback string) (column, error) {
	if text, ok := strings.CutPrefix(mapped, constPrefix); ok {
		return column{index: -1, text: text, fixed: true}, nil
	}
	if i := slices.Index(names, cmp.Or(mapped, part)); i >= 0 {
		return column{index: i}, nil
	}
	if mapped != "" {
		return column{}, fmt.Errorf("%w: %s=%s: the header has no column %q", ErrMap, part, mapped, mapped)
	}
	return column{index: -1, text: fallback, fixed: fallback != ""}, nil
}

func (d *CSVDecoder) findData(names []string, taken map[int]bool) error {
	d.data = d.data[:0]
	for _, key := range slices.Sorted(maps.Keys(d.Map)) {
		name, ok := strings.CutPrefix(key, dataPrefix)
		if !ok {
			continue
		}
		c, err := find(names, d.Map[key], key, "")
		if err != nil {
			return err
		}
		d.data = append(d.data, dataColumn{name, c})
	}
	if len(d.data) > 0 {
		return nil
	}
	for i, name := range names {
		if !taken[i] && name != "" {
			d.data = append(d.data, dataColumn{strings.TrimPrefix(name, dataPrefix), column{index: i}})
		}
	}
	return nil
}

func (d *CSVDecoder) value(c column) []byte {
	if c.index >= 0 {
		return d.fields[c.index]
	}
	return []byte(c.text)
}

// Append appends the event of one record. An empty field is left out: to the
// server it means the same.
func (d *CSVDecoder) Append(dst, record []byte, id Identity) ([]byte, error) {
	if err := d.split(record); err != nil {
		return dst, err
	}
	if len(d.fields) != d.width {
		return dst, fmt.Errorf("%d fields; the header has %d", len(d.fields), d.width)
	}
	at, err := d.parseTime(bytes.TrimSpace(d.value(d.time)))
	if err != nil {
		return dst, err
	}
	subject := d.value(d.subject)
	if d.subject.index >= 0 && len(subject) == 0 && !d.AllowEmptySubject {
		return dst, emptySubject(fmt.Sprintf("field %d, the subject", d.subject.index+1))
	}
	w := startEvent(dst)
	if d.Derived() {
		w.text("id", id.ID)
	} else {
		w.bytes("id", d.value(d.id))
	}
	if source := d.value(d.source); len(source) > 0 {
		w.bytes("source", source)
	} else {
		w.text("source", id.Source)
	}
	w.bytes("type", d.value(d.kind))
	w.some("subject", subject)
	w.time(at)
	w.open("data")
	for _, c := range d.data {
		value := d.value(c.column)
		if plainNumber(value) {
			w.number(c.name, value)
		} else {
			w.some(c.name, value)
		}
	}
	w.close()
	return append(w.b, '}'), nil
}

// split cuts a record, without its last newline, into d.fields.
func (d *CSVDecoder) split(record []byte) error {
	record = trimEnd(record)
	d.fields = d.fields[:0]
	// Fields point into scratch, which must not move while they are cut.
	if cap(d.scratch) < len(record) {
		d.scratch = make([]byte, 0, 2*len(record))
	}
	buf := d.scratch[:0]
	comma := d.comma()
	for rest := record; ; {
		var field []byte
		rest = d.skipBlanks(rest)
		if len(rest) > 0 && rest[0] == '"' {
			from := len(buf)
			var err error
			if buf, rest, err = d.unquote(buf, rest[1:]); err != nil {
				return fmt.Errorf("field %d: %w", len(d.fields)+1, err)
			}
			field = buf[from:]
		} else {
			i := bytes.IndexByte(rest, comma)
			if i < 0 {
				i = len(rest)
			}
			field, rest = d.trimBlanks(rest[:i]), rest[i:]
			if bytes.IndexByte(field, '"') >= 0 {
				return fmt.Errorf("field %d: a quote inside a field that does not start with one", len(d.fields)+1)
			}
		}
		if !utf8.Valid(field) {
			return fmt.Errorf("field %d is not UTF-8: %.60q; convert the file (iconv -f WINDOWS-1252 -t UTF-8, say)", len(d.fields)+1, field)
		}
		d.fields = append(d.fields, field)
		if len(rest) == 0 {
			return nil
		}
		rest = rest[1:]
	}
}

// blanks are what may stand around a field without being part of it.
func (d *CSVDecoder) blanks() string {
	if d.comma() == '\t' {
		return " "
	}
	return " \t"
}

func (d *CSVDecoder) skipBlanks(text []byte) []byte { return bytes.TrimLeft(text, d.blanks()) }

func (d *CSVDecoder) trimBlanks(text []byte) []byte { return bytes.Trim(text, d.blanks()) }

// unquote reads up to the closing quote and expects a comma or the end after it.
func (d *CSVDecoder) unquote(buf, text []byte) (out, rest []byte, err error) {
	for {
		i := bytes.IndexByte(text, '"')
		if i < 0 {
			return buf, nil, errors.New("the closing quote is missing")
		}
		buf = append(buf, text[:i]...)
		text = text[i+1:]
		if after := d.skipBlanks(text); len(after) == 0 || after[0] == d.comma() {
			return buf, after, nil
		}
		if text[0] != '"' {
			return buf, nil, errors.New("text follows the closing quote")
		}
		buf = append(buf, '"')
		text = text[1:]
	}
}

// continues says whether a record goes on after this line, because a quote is
// open at its end; inside says whether one is open at its start.
func (d *CSVDecoder) continues(inside bool, line []byte) bool {
	comma := d.comma()
	start := !inside
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case inside && c == '"' && i+1 < len(line) && line[i+1] == '"':
			i++
		case c == '"' && inside:
			inside = false
		case c == '"' && start:
			inside = true
		}
		start = !inside && (c == comma || start && (c == ' ' || c == '\t'))
	}
	return inside
}

func (d *CSVDecoder) parseTime(text []byte) (time.Time, error) {
	switch d.Time {
	case timeUnix:
		return parseUnix(text, 9)
	case timeUnixMilli:
		return parseUnix(text, 6)
	}
	s := string(text)
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + s[11:]
	}
	if t, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "", 1)); err == nil {
		return t, nil
	}
	t, err := time.Parse("2006-01-02T15:04:05", s)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q is not like 2006-01-02T15:04:05Z", text)
	}
	if d.Zone == nil {
		return time.Time{}, fmt.Errorf("time %q has no zone; give --tz", text)
	}
	return meter.LocalTime(t, d.Zone), nil
}

// parseUnix reads a count of seconds (digits = 9) or milliseconds (6) with up to
// as many decimals, exactly.
func parseUnix(text []byte, digits int) (time.Time, error) {
	whole, fraction, point := bytes.Cut(text, []byte{'.'})
	n, err := strconv.ParseInt(string(whole), 10, 64)
	limit := int64(1e12) // seconds; past the year 9999
	if digits == 6 {
		limit = 1e15
	}
	if err != nil || n < 0 || n > limit || point && (!allDigits(fraction) || len(fraction) > digits) {
		return time.Time{}, fmt.Errorf("time %q is not a time since 1970", text)
	}
	nanos := int64(0)
	if point {
		padded := append(bytes.Clone(fraction), bytes.Repeat([]byte{'0'}, digits-len(fraction))...)
		nanos, _ = strconv.ParseInt(string(padded), 10, 64) // at most nine digits
	}
	var t time.Time
	if digits == 9 {
		t = time.Unix(n, nanos)
	} else {
		t = time.UnixMilli(n).Add(time.Duration(nanos))
	}
	if t = t.UTC(); t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("time %q is after the year 9999", text)
	}
	return t, nil
}
