package intake

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CombinedDecoder reads access logs in the combined format of nginx and Apache,
//
//	client ident user [02/Jan/2006:15:04:05 -0700] "request" status bytes "referer" "user agent"
//
// with an optional "host:port " before it (Apache's vhost_combined), with
// referer and user agent left out (the common format), with more fields among
// or after them, which are passed over, and with what syslog or a container's
// runtime put before the line; parseCombined has the grammar. Text stays as the log has it, escapes
// included, so that sums by path agree with what awk shows on the same file.
type CombinedDecoder struct {
	// Type is the event type; defaultAccessType if empty.
	Type string
	// Subject is the subject of every event, if not empty.
	Subject string
	// SubjectField names the field to take the subject from instead; one of subjectFields.
	SubjectField string
	// AllowEmptySubject takes lines whose SubjectField is empty; they count for
	// no customer. Otherwise they are rejected.
	AllowEmptySubject bool
}

// emptySubject refuses a line that should name its customer.
func emptySubject(where string) error {
	return fmt.Errorf("the customer is empty: %s has none; --allow-empty-subject counts such lines for no customer", where)
}

// defaultAccessType is the event type of access log lines.
const defaultAccessType = "http.access"

// subjectFields are the fields of an access log that can name the customer.
var subjectFields = []string{"user", "host", "client", "path", "referer", "user_agent"}

// Validate says whether the settings make sense.
func (d *CombinedDecoder) Validate() error {
	if d.Subject != "" && d.SubjectField != "" {
		return errors.New("give a subject or a subject field, not both")
	}
	if d.SubjectField != "" && !slices.Contains(subjectFields, d.SubjectField) {
		return fmt.Errorf("subject field %q is not one of %s", d.SubjectField, strings.Join(subjectFields, ", "))
	}
	return nil
}

// Header is never called.
func (d *CombinedDecoder) Header([]byte) error { return nil }

// HasHeader is false.
func (d *CombinedDecoder) HasHeader() bool { return false }

// Derived is true: a log line has no id.
func (d *CombinedDecoder) Derived() bool { return true }

// Fingerprint covers the type and the subject.
func (d *CombinedDecoder) Fingerprint() string {
	return fmt.Sprintf("combined 1 %q %q %q", d.eventType(), d.Subject, d.SubjectField)
}

func (d *CombinedDecoder) eventType() string {
	if d.Type == "" {
		return defaultAccessType
	}
	return d.Type
}

// Append appends the event of one line.
func (d *CombinedDecoder) Append(dst, record []byte, id Identity) ([]byte, error) {
	line, err := parseCombined(trimEnd(record))
	if err != nil {
		return dst, err
	}
	subject := line.field(d.SubjectField)
	if d.SubjectField != "" && !d.AllowEmptySubject && (len(subject) == 0 || bytes.Equal(subject, dash)) {
		return dst, emptySubject("the field " + d.SubjectField)
	}
	w := startEvent(dst)
	w.text("id", id.ID)
	w.text("source", id.Source)
	w.text("type", d.eventType())
	if d.Subject != "" {
		w.text("subject", d.Subject)
	} else {
		w.optional("subject", subject)
	}
	w.time(line.time)
	w.open("data")
	w.optional("client", line.client)
	w.some("forwarded", line.forwarded)
	w.optional("user", line.user)
	w.optional("host", line.host)
	w.some("method", line.method)
	w.some("path", line.path)
	w.some("query", line.query)
	w.some("protocol", line.protocol)
	if line.method == nil {
		w.optional("request", line.request)
	}
	w.number("status", trimZeros(line.status))
	w.number("bytes", trimZeros(line.bytes))
	w.optional("referer", line.referer)
	w.optional("user_agent", line.agent)
	w.close()
	return append(w.b, '}'), nil
}

func (l *accessLine) field(name string) []byte {
	switch name {
	case "user":
		return l.user
	case "host":
		return l.host
	case "client":
		return l.client
	case "path":
		return l.path
	case "referer":
		return l.referer
	case "user_agent":
		return l.agent
	}
	return nil
}

// trimZeros makes a JSON number of digits.
func trimZeros(digits []byte) []byte {
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	return digits
}

// accessTime is the layout of time_local.
const accessTime = "02/Jan/2006:15:04:05 -0700"

// parseAccessTime reads time_local; five times faster than time.Parse.
func parseAccessTime(text []byte) (time.Time, bool) {
	if len(text) != len(accessTime) || text[2] != '/' || text[6] != '/' || text[11] != ':' ||
		text[14] != ':' || text[17] != ':' || text[20] != ' ' || text[21] != '+' && text[21] != '-' {
		return time.Time{}, false
	}
	month := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", string(text[3:6]))
	day, year := decimal(text[0:2]), decimal(text[7:11])
	hour, minute, second := decimal(text[12:14]), decimal(text[15:17]), decimal(text[18:20])
	zoneHour, zoneMinute := decimal(text[22:24]), decimal(text[24:26])
	if month < 0 || month%3 != 0 || day < 1 || year < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
		second < 0 || second > 59 || zoneHour < 0 || zoneHour > 23 || zoneMinute < 0 || zoneMinute > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month/3+1), day, hour, minute, second, 0, time.UTC)
	if t.Day() != day {
		return time.Time{}, false // 31 April and the like
	}
	zone := time.Duration(zoneHour)*time.Hour + time.Duration(zoneMinute)*time.Minute
	if text[21] == '-' {
		zone = -zone
	}
	t = t.Add(-zone)
	return t, t.Year() >= 1 && t.Year() <= 9999
}

// decimal returns the value of a few digits, or -1.
func decimal(text []byte) int {
	if !allDigits(text) {
		return -1
	}
	n := 0
	for _, c := range text {
		n = n*10 + int(c-'0')
	}
	return n
}
