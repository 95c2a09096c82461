package cloudevents

import (
	"bytes"
	"encoding/base64"
	"strings"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// decoder reads one body. It is reused: what it learns about the shape of
// events serves the next request too.
type decoder struct {
	buf              []byte
	pos              int
	b                *block.Builder
	lim              Limits
	minTime, maxTime int64

	shape   shape
	number  uint64 // of the current event, never reused
	env     block.Envelope
	seen    uint32 // fields of the envelope that are present, by number
	leaves  int    // attributes of the current event's data
	extras  int    // extension attributes of the current event
	day     dayCache
	reason  string // why the current event is rejected
	scratch []byte // texts that had escapes
	decoded []byte // data that was sent as base64
	data    bool   // data of the current event was read
	members []member
	json    []byte // canonical text of an array
	sorted  []byte
}

// event stages the event at pos and goes behind it. On failure reason is set.
func (d *decoder) event() bool {
	if d.pos == len(d.buf) || d.buf[d.pos] != '{' {
		return d.fail("an event must be a JSON object")
	}
	d.pos++
	d.shape.begin()
	d.number++
	d.env, d.seen, d.leaves, d.extras, d.data = block.Envelope{}, 0, 0, 0, false
	d.scratch = d.scratch[:0]
	d.b.Begin()
	root := d.shape.root
	at := &root.first
	for {
		n, failed := d.key(root, at)
		if n == nil {
			return !failed && d.complete()
		}
		if !d.attribute(n) {
			return false
		}
		at = &n.next
	}
}

// key goes to the value of the next member of an object; at is where its key
// is expected. It returns nil and false at the object's end, nil and true if
// the event failed.
func (d *decoder) key(parent *node, at *edge) (n *node, failed bool) {
	rest := d.buf[d.pos:]
	n = at.to
	if n != nil && len(rest) >= len(at.glue) && bytes.Equal(rest[:len(at.glue)], at.glue) {
		d.pos += len(at.glue)
		if len(rest) > len(at.glue) && rest[len(at.glue)] <= ' ' {
			d.space()
		}
	} else if n, failed = d.readKey(parent, at); n == nil {
		return nil, failed
	}
	if n.event == d.number {
		d.fail("duplicate key %q", d.nameOf(parent, n))
		return nil, true
	}
	n.event = d.number
	return n, false
}

// readKey is key without an expectation that held; it sets a new one.
func (d *decoder) readKey(parent *node, at *edge) (n *node, failed bool) {
	start := d.pos
	d.space()
	if d.pos == len(d.buf) {
		return nil, !d.fail("malformed JSON: the text ends inside an object")
	}
	first := at == &parent.first
	switch c := d.buf[d.pos]; {
	case c == '}':
		d.pos++
		return nil, false
	case first:
	case c == ',':
		d.pos++
		d.space()
	default:
		return nil, !d.fail("malformed JSON: want ',' or '}' after a member")
	}
	if d.pos == len(d.buf) || d.buf[d.pos] != '"' {
		return nil, !d.fail("malformed JSON: want a key")
	}
	key, ok := d.str()
	if !ok {
		return nil, true
	}
	if len(key) > d.lim.NameBytes {
		return nil, !d.fail("an attribute's name is longer than %d bytes", d.lim.NameBytes)
	}
	n = d.shape.child(parent, key)
	d.space()
	if d.pos == len(d.buf) || d.buf[d.pos] != ':' {
		return nil, !d.fail("malformed JSON: want ':' after a key")
	}
	d.pos++
	d.space()
	if glue := d.buf[start:d.pos]; len(glue) <= maxGlueBytes {
		at.glue, at.to = append(at.glue[:0], glue...), n
	}
	return n, false
}

// nameOf returns how an attribute is called in a reason.
func (d *decoder) nameOf(parent, n *node) string {
	if n.path != nil {
		return displayPath(n.path)
	}
	for key, child := range parent.children {
		if child == n {
			return key
		}
	}
	return ""
}

// displayPath shows a path as a meter's definition would name it.
func displayPath(path []byte) string { return meter.PathName(string(path)) }

// attribute reads the value of a member of the envelope.
func (d *decoder) attribute(n *node) bool {
	if d.pos == len(d.buf) {
		return d.fail("malformed JSON: the text ends inside an object")
	}
	c := d.buf[d.pos]
	switch n.field {
	case fieldData:
		if c == '{' {
			return d.dataObject(n)
		}
		if c == 'n' {
			return d.null()
		}
		return d.fail("data must be a JSON object")
	case fieldExtension:
		return d.extension(n)
	}
	if c == 'n' { // null is the same as absent
		return d.null()
	}
	if c != '"' {
		return d.fail("%s must be a string", fieldName(n.field))
	}
	text, ok := d.str()
	if !ok {
		return false
	}
	if n.field == fieldDataBase64 {
		return d.base64(text)
	}
	d.seen |= 1 << n.field
	return d.text(n.field, text)
}

// dataObject reads the data, whose opening brace is at pos.
func (d *decoder) dataObject(n *node) bool {
	if d.data {
		return d.fail("an event has data or data_base64, not both")
	}
	d.data = true
	d.pos++
	_, ok := d.object(n, 1)
	return ok
}

// base64 reads data that was sent as bytes, which must be the text of a JSON
// object: what reads as bytes for its sender counts as if it were sent in place.
func (d *decoder) base64(text []byte) bool {
	var err error
	if d.decoded, err = base64.StdEncoding.AppendDecode(d.decoded[:0], text); err != nil {
		return d.fail("data_base64 is not base64")
	}
	buf, pos := d.buf, d.pos
	defer func() { d.buf, d.pos = buf, pos }()
	d.buf, d.pos = bytes.TrimPrefix(d.decoded, byteOrderMark), 0
	d.space()
	switch {
	case d.pos < len(d.buf) && d.buf[d.pos] == '{':
		if !d.dataObject(d.shape.child(d.shape.root, []byte("data"))) {
			return false
		}
	case literalLen(d.buf, d.pos) == 4 && d.buf[d.pos] == 'n':
		d.pos += 4
	default:
		return d.fail("data_base64 must hold the text of a JSON object")
	}
	if d.space(); d.pos != len(d.buf) {
		return d.fail("data_base64: more text after the JSON object")
	}
	return true
}

func fieldName(f field) string {
	for name, g := range fieldNames {
		if g == f {
			return name
		}
	}
	return ""
}

// text takes in a field of the envelope that is a string.
func (d *decoder) text(f field, text []byte) bool {
	e := &d.env
	limit := 0
	switch f {
	case fieldID:
		e.ID, limit = text, d.lim.IDBytes
	case fieldSource:
		if d.lim.ReservedSource != "" && bytes.HasPrefix(text, []byte(d.lim.ReservedSource)) {
			return d.fail("source: %q is kept for usage that is reported against entitlements", d.lim.ReservedSource)
		}
		e.Source, limit = text, d.lim.SourceBytes
	case fieldType:
		e.Type, limit = text, d.lim.TypeBytes
	case fieldSubject:
		e.Subject, e.HasSubject, limit = text, true, d.lim.SubjectBytes
	case fieldTime:
		var reason string
		if e.Time, reason = d.day.parse(text); reason != "" {
			return d.fail("%s", reason)
		}
		return true
	case fieldSpecVersion:
		if len(text) < 2 || text[0] != '1' || text[1] != '.' {
			return d.fail("specversion %.20q is not supported: want 1.0", text)
		}
		return true
	default: // fieldContentType
		if !IsJSON(string(text)) {
			return d.fail("datacontenttype %.80q is not JSON", text)
		}
		return true
	}
	if len(text) > limit {
		return d.fail("%s is longer than %d bytes", fieldName(f), limit)
	}
	return true
}

// IsJSON reports whether a media type means JSON.
func IsJSON(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	return strings.HasSuffix(mediaType, "/json") || strings.Contains(mediaType, "/") && strings.HasSuffix(mediaType, "+json")
}

// complete checks an envelope that was read to its end.
func (d *decoder) complete() bool {
	const required = 1<<fieldSpecVersion | 1<<fieldID | 1<<fieldSource | 1<<fieldType
	if d.seen&required != required {
		for _, f := range []field{fieldSpecVersion, fieldID, fieldSource, fieldType} {
			if d.seen&(1<<f) == 0 {
				return d.fail("%s is missing", fieldName(f))
			}
		}
	}
	e := &d.env
	switch {
	case len(e.ID) == 0:
		return d.fail("id is empty")
	case len(e.Source) == 0:
		return d.fail("source is empty")
	case len(e.Type) == 0:
		return d.fail("type is empty")
	case d.seen&(1<<fieldTime) == 0:
		if e.Untimed = true; d.lim.RequireTime {
			return d.fail("time is missing")
		}
	case e.Time > d.maxTime:
		return d.fail("time is more than %v ahead of the server's clock", d.lim.FutureAge)
	case e.Time < d.minTime:
		return d.fail("time is more than %d days in the past", int(d.lim.PastAge.Hours()/24))
	}
	return true
}

func (d *decoder) null() bool {
	if literalLen(d.buf, d.pos) != 4 {
		return d.fail("malformed JSON: want a value")
	}
	d.pos += 4
	return true
}

// extension stages an extension attribute. Arrays and objects, which CloudEvents
// do not have there, are kept as JSON text; null is the same as absent.
func (d *decoder) extension(n *node) bool {
	if d.extras++; d.extras > d.lim.Attributes {
		return d.fail("more than %d extension attributes", d.lim.Attributes)
	}
	switch d.buf[d.pos] {
	case 'n':
		return d.null()
	case '{', '[':
		return d.array(n, 0)
	}
	leaves := d.leaves // of the data, which this is none of
	d.leaves = 0
	ok := d.value(n, 0)
	d.leaves = leaves
	return ok
}

// object stages the members of an object of the data, whose opening brace has
// been read, and returns their number.
func (d *decoder) object(parent *node, depth int) (members int, ok bool) {
	if depth > d.lim.Depth {
		return 0, d.fail("data is nested more than %d levels deep", d.lim.Depth)
	}
	at := &parent.first
	for {
		n, failed := d.key(parent, at)
		if n == nil {
			return members, !failed
		}
		if !d.value(n, depth) {
			return 0, false
		}
		members++
		at = &n.next
	}
}

// attr returns the builder's column of a node.
func (d *decoder) attr(n *node) *block.Attr {
	if g := d.b.Generation(); n.generation != g {
		n.attr, n.generation = d.b.Attr(n.path), g
	}
	return n.attr
}

// value stages one member of the data.
func (d *decoder) value(n *node, depth int) bool {
	if d.pos == len(d.buf) {
		return d.fail("malformed JSON: the text ends inside an object")
	}
	c := d.buf[d.pos]
	if c == '{' {
		d.pos++
		members, ok := d.object(n, depth+1)
		if !ok || members > 0 {
			return ok
		}
		if !d.leaf() {
			return false
		}
		d.b.PutJSON(d.attr(n), []byte("{}"))
		return true
	}
	if !d.leaf() {
		return false
	}
	switch c {
	case '"':
		text, ok := d.str()
		if !ok {
			return false
		}
		if len(text) > d.lim.StringBytes {
			return d.fail("attribute %q is longer than %d bytes", displayPath(n.path), d.lim.StringBytes)
		}
		d.b.PutString(d.attr(n), text)
		return true
	case '[':
		return d.array(n, depth)
	case 't', 'f', 'n':
		size := literalLen(d.buf, d.pos)
		if size == 0 {
			return d.fail("malformed JSON: want a value")
		}
		d.pos += size
		kind := meter.Null
		switch c {
		case 't':
			kind = meter.True
		case 'f':
			kind = meter.False
		}
		d.b.PutLiteral(d.attr(n), kind)
		return true
	}
	q, excess, ok := d.quantity(n)
	switch {
	case !ok:
		return false
	case excess != "":
		d.b.PutExcess(d.attr(n), []byte(excess))
	default:
		d.b.PutNumber(d.attr(n), q)
	}
	return true
}

// leaf counts an attribute of the data.
func (d *decoder) leaf() bool {
	if d.leaves++; d.leaves > d.lim.Attributes {
		return d.fail("data has more than %d attributes", d.lim.Attributes)
	}
	return true
}

// quantity reads the number at pos, which is part of attribute n. Of one beyond
// the limits of a quantity it returns the canonical text.
func (d *decoder) quantity(n *node) (q meter.Quantity, excess string, ok bool) {
	// Nearly all numbers are integers of fewer than 18 digits.
	i := d.pos
	negative := i < len(d.buf) && d.buf[i] == '-'
	if negative {
		i++
	}
	first, v := i, int64(0)
	for i < len(d.buf) && d.buf[i]-'0' <= 9 && i-first < 18 {
		v = v*10 + int64(d.buf[i]-'0')
		i++
	}
	if i > first && i < len(d.buf) && (d.buf[first] != '0' || i == first+1) {
		if c := d.buf[i]; c == ',' || c == '}' || c == ']' || c == ' ' {
			d.pos = i
			if negative {
				v = -v
			}
			return meter.QuantityFromInt64(v), "", true
		}
	}
	end := numberEnd(d.buf, d.pos)
	if end < 0 {
		return q, "", d.fail("malformed JSON: want a value")
	}
	text := d.buf[d.pos:end]
	if q, ok = meter.ParseNumericBytes(text); !ok {
		if d.lim.RefuseExcess {
			_, err := meter.ParseQuantityBytes(text)
			return q, "", d.fail("attribute %q: %s", displayPath(n.path), err)
		}
		if excess, ok = d.excess(text); !ok {
			return q, "", d.fail("attribute %q is longer than %d bytes", displayPath(n.path), d.lim.StringBytes)
		}
	}
	d.pos = end
	return q, excess, true
}

// excess returns the canonical text of a number beyond the limits, false if it
// is too long. Zeros that change nothing are not counted.
func (d *decoder) excess(number []byte) (string, bool) {
	if e := bytes.LastIndexAny(number, "eE"); e >= 0 && len(bytes.TrimLeft(number[e+1:], "+-0")) > d.lim.StringBytes {
		return "", false // before it is worked out
	}
	text, _ := meter.ExcessText(number)
	return text, len(text) <= d.lim.StringBytes
}
