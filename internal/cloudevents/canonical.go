package cloudevents

import (
	"bytes"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// member is a member of an object inside an array: its key, and where its
// canonical value is.
type member struct {
	key        []byte
	start, end int
}

// array stages the array, or the object of an extension attribute, at pos as canonical JSON text, so that arrays that
// are equal by value are equal by their bytes: no spaces, the keys of objects
// sorted, numbers as their shortest text, strings escaped only where they must be.
func (d *decoder) array(n *node, depth int) bool {
	d.json = d.json[:0]
	d.members = d.members[:0]
	if !d.canonical(n, depth) {
		return false
	}
	d.b.PutJSON(d.attr(n), d.json)
	return true
}

// canonical appends the value at pos to d.json and goes behind it; depth is
// that of the value's container.
func (d *decoder) canonical(n *node, depth int) bool {
	if d.pos == len(d.buf) {
		return d.fail("malformed JSON: the text ends inside an array")
	}
	switch c := d.buf[d.pos]; c {
	case '{', '[':
		if depth++; depth > d.lim.Depth {
			return d.fail("data is nested more than %d levels deep", d.lim.Depth)
		}
		d.pos++
		d.space()
		ok := false
		if c == '{' {
			ok = d.canonicalObject(n, depth)
		} else {
			ok = d.canonicalArray(n, depth)
		}
		if !ok {
			return false
		}
	case '"':
		text, ok := d.str()
		if !ok {
			return false
		}
		d.json = block.AppendJSONString(d.json, text)
	case 't', 'f', 'n':
		size := literalLen(d.buf, d.pos)
		if size == 0 {
			return d.fail("malformed JSON: want a value")
		}
		d.json = append(d.json, d.buf[d.pos:d.pos+size]...)
		d.pos += size
	default:
		q, excess, ok := d.quantity(n)
		switch {
		case !ok:
			return false
		case excess != "":
			d.json = append(d.json, meter.Value{Kind: meter.Excess, Str: excess}.Group()...)
		default:
			d.json = q.AppendText(d.json)
		}
	}
	if len(d.json) > d.lim.JSONBytes {
		return d.fail("attribute %q: an array is longer than %d bytes", displayPath(n.path), d.lim.JSONBytes)
	}
	return true
}

func (d *decoder) canonicalArray(n *node, depth int) bool {
	d.json = append(d.json, '[')
	for first := true; ; first = false {
		if first && d.pos < len(d.buf) && d.buf[d.pos] == ']' {
			break
		}
		if !d.canonical(n, depth) {
			return false
		}
		d.space()
		if d.pos < len(d.buf) && d.buf[d.pos] == ']' {
			break
		}
		if d.pos == len(d.buf) || d.buf[d.pos] != ',' {
			return d.fail("malformed JSON: want ',' or ']' after a value")
		}
		d.pos++
		d.space()
		d.json = append(d.json, ',')
	}
	d.pos++
	d.json = append(d.json, ']')
	return true
}

func (d *decoder) canonicalObject(n *node, depth int) bool {
	start, base := len(d.json), len(d.members)
	for first := true; ; first = false {
		if first && d.pos < len(d.buf) && d.buf[d.pos] == '}' {
			break
		}
		key, ok := d.memberKey()
		if !ok {
			return false
		}
		from := len(d.json)
		if !d.canonical(n, depth) {
			return false
		}
		d.members = append(d.members, member{key, from, len(d.json)})
		d.space()
		if d.pos < len(d.buf) && d.buf[d.pos] == '}' {
			break
		}
		if d.pos == len(d.buf) || d.buf[d.pos] != ',' {
			return d.fail("malformed JSON: want ',' or '}' after a member")
		}
		d.pos++
		d.space()
	}
	d.pos++
	members := d.members[base:]
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	d.sorted = append(d.sorted[:0], '{')
	for i, m := range members {
		if i > 0 {
			if bytes.Equal(m.key, members[i-1].key) {
				return d.fail("duplicate key %q in attribute %q", m.key, displayPath(n.path))
			}
			d.sorted = append(d.sorted, ',')
		}
		d.sorted = append(block.AppendJSONString(d.sorted, m.key), ':')
		d.sorted = append(d.sorted, d.json[m.start:m.end]...)
	}
	d.members = d.members[:base]
	d.json = append(append(d.json[:start], d.sorted...), '}')
	return true
}

// memberKey reads a key and its colon.
func (d *decoder) memberKey() ([]byte, bool) {
	if d.pos == len(d.buf) || d.buf[d.pos] != '"' {
		return nil, d.fail("malformed JSON: want a key")
	}
	key, ok := d.str()
	if !ok {
		return nil, false
	}
	if len(key) > d.lim.NameBytes {
		return nil, d.fail("an attribute's name is longer than %d bytes", d.lim.NameBytes)
	}
	d.space()
	if d.pos == len(d.buf) || d.buf[d.pos] != ':' {
		return nil, d.fail("malformed JSON: want ':' after a key")
	}
	d.pos++
	d.space()
	return key, true
}
