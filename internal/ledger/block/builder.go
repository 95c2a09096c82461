package block

import (
	"slices"
	"sync/atomic"

	"odometer/internal/meter"
)

// Envelope is what an event has beside its data. The slices are copied.
type Envelope struct {
	Source, ID, Type, Subject []byte
	HasSubject                bool
	Time                      int64 // unix nanoseconds
	Untimed                   bool  // no time was sent; Time is 0
}

// Builder stages the events of one request as Rows. Staging one event is
//
//	Begin, then Put... for each attribute, then Commit, or Abort and Reject.
//
// Alternatively Merge appends the finished Rows of other requests. Once Rows
// has been called the builder only takes Reset. It allocates nothing in the
// steady state; not for concurrent use.
type Builder struct {
	key    Key
	hasher contentHasher
	rows   Rows

	types     leafDict
	sources   interner
	subjects  leafDict
	customers interner // used while rows.ownCustomers
	prefixes  []sip    // state of the identity hash, per source code

	attrs         map[string]*Attr // by path; they outlive blocks
	generation    uint64
	block         uint64  // number of the current block
	live          []*Attr // attributes of the current block, in order of appearance
	entries       int     // entries of all live attributes
	attrText      int     // bytes of their texts
	rejections    int     // kept rejections of merged requests
	customerPath  string
	customerAttrs []*Attr // candidates of the customer attribute, in order of precedence

	event   uint64 // number of the event being staged, never reused
	check   uint64
	touched []*Attr // attributes of the event being staged
	request Request // the request being staged
	sealed  bool
	over    *meter.Error // a limit of the block that was passed

	read, left int      // bytes of the request's body, as Progress says
	ahead      int      // bytes of room that was made for what is left, in all columns
	codes      []uint32 // scratch of Merge
	number     []byte   // scratch of a customer that is a number
}

// Attr is one attribute path of a Builder, made by Builder.Attr. It stays
// valid across Reset for as long as Builder.Generation stays the same.
type Attr struct {
	column  Column
	rows    []uint32
	dict    leafDict
	numbers numberLeaves
	prefix  sip
	content uint64 // all ones if the attribute is part of the content that is compared, else 0
	block   uint64 // the block that column belongs to
	event   uint64 // the event that put the last entry
	addedBy uint64 // the event that added the last text
}

// generations numbers the lives of builders' attribute tables.
var generations atomic.Uint64

const (
	keptAttrs = 512      // attributes kept for the next block
	keptBytes = 16 << 20 // memory kept for the next block
)

// NewBuilder makes a builder for an organization whose customers are named by
// an attribute of its events ("" or "subject": by their subject).
func NewBuilder(key Key, org, customerAttribute string) *Builder {
	b := &Builder{key: key, hasher: newContentHasher(key)}
	b.Reset(org, customerAttribute)
	return b
}

// Reset drops what was staged and starts over, keeping buffers. Rows handed
// out before must no longer be used.
func (b *Builder) Reset(org, customerAttribute string) {
	large := b.rows.N > 4096 || b.text() > keptBytes/16
	if b.attrs == nil || len(b.attrs) > keptAttrs || large && b.memory() > keptBytes {
		*b = Builder{key: b.key, hasher: b.hasher, event: b.event, attrs: map[string]*Attr{}, generation: generations.Add(1)}
	}
	b.block++
	b.live = b.live[:0]
	r := &b.rows
	r.Org, r.N = org, 0
	r.IDs.truncate(0)
	r.Index, r.Times, r.Hashes, r.Checks = r.Index[:0], r.Times[:0], r.Hashes[:0], r.Checks[:0]
	r.untimed = r.untimed[:0]
	r.Types.Codes, r.Sources.Codes, r.Subjects.Codes = r.Types.Codes[:0], r.Sources.Codes[:0], r.Subjects.Codes[:0]
	if r.ownCustomers {
		r.Customers.Codes = r.Customers.Codes[:0]
	} else {
		r.Customers = Dict{}
	}
	clear(r.Columns)
	clear(r.Requests)
	r.Columns, r.uuids, r.Requests = r.Columns[:0], r.uuids[:0], r.Requests[:0]
	b.types.reset()
	b.sources.reset()
	b.subjects.reset()
	b.customers.reset()
	b.prefixes, b.touched = b.prefixes[:0], b.touched[:0]
	b.request, b.sealed, b.over = Request{}, false, nil
	b.read, b.left, b.ahead = 0, 0, 0
	b.entries, b.attrText, b.rejections = 0, 0, 0
	b.setCustomerAttribute(customerAttribute)
}

func (b *Builder) setCustomerAttribute(name string) {
	own := name != "" && name != "subject"
	if !own {
		name = ""
	}
	if name != b.customerPath || own && len(b.customerAttrs) == 0 {
		b.customerPath, b.customerAttrs = name, nil
		if own {
			for _, path := range meter.AttributePaths(name) {
				b.customerAttrs = append(b.customerAttrs, b.Attr([]byte(path)))
			}
		}
	}
	b.rows.ownCustomers = own
}

// memory returns about how many bytes the buffers hold.
func (b *Builder) memory() int {
	r := &b.rows
	n := cap(r.IDs.buf) + 4*cap(r.IDs.ends) + 4*cap(r.Index) + 8*cap(r.Times) + 16*cap(r.Hashes) + 8*cap(r.Checks) + cap(r.uuids) +
		4*(cap(r.Types.Codes)+cap(r.Sources.Codes)+cap(r.Subjects.Codes)+cap(r.Customers.Codes)) +
		b.types.memory() + b.sources.memory() + b.subjects.memory() + b.customers.memory()
	for _, a := range b.attrs {
		n += 9*cap(a.rows) + 16*cap(a.column.Nums) + a.dict.memory() + 8*cap(a.dict.leaves)
	}
	return n
}

// text returns how many bytes of text the block holds.
func (b *Builder) text() int {
	return len(b.rows.IDs.buf) + len(b.types.values.buf) + len(b.sources.values.buf) + len(b.subjects.values.buf) +
		len(b.customers.values.buf) + b.attrText
}

// Generation changes when the attributes handed out by Attr become invalid;
// it differs between builders.
func (b *Builder) Generation() uint64 { return b.generation }

// Attr returns the attribute of a path: keys joined with meter.PathSeparator, or
// meter.ExtensionPrefix and the name of an extension attribute.
func (b *Builder) Attr(path []byte) *Attr {
	a := b.attrs[string(path)]
	if a == nil {
		a = &Attr{content: ^uint64(0)}
		if meter.IsExtension(string(path)) {
			a.content = 0
		}
		a.column.Path = string(path)
		a.prefix = b.hasher.column(a.column.Path)
		b.attrs[a.column.Path] = a
	}
	return a
}

// activate makes an attribute part of the current block.
func (b *Builder) activate(a *Attr) {
	if len(b.live) >= MaxColumns {
		b.exceed("%d different attribute names", MaxColumns)
	}
	a.block = b.block
	a.column.kinds, a.column.codes, a.column.Nums, a.rows = a.column.kinds[:0], a.column.codes[:0], a.column.Nums[:0], a.rows[:0]
	a.dict.reset()
	b.live = append(b.live, a)
}

func (b *Builder) exceed(format string, limit int) {
	if b.over == nil {
		b.over = meter.Errorf(meter.KindTooLarge, "too much for one request: more than "+format, limit)
	}
}

// Begin starts the next event.
func (b *Builder) Begin() {
	b.event++
	b.check = 0
	b.touched = b.touched[:0]
	if len(b.attrs) > 2*MaxColumns {
		b.forgetAttrs()
	}
}

// forgetAttrs drops the attributes that no row has: those of aborted events
// and of earlier blocks.
func (b *Builder) forgetAttrs() {
	b.generation = generations.Add(1)
	b.attrs = make(map[string]*Attr, MaxColumns)
	for _, a := range slices.Concat(b.live, b.customerAttrs) {
		b.attrs[a.column.Path] = a
	}
}

func (b *Builder) put(a *Attr, kind meter.ValueKind, code uint32) {
	a.event = b.event
	a.rows = append(a.rows, uint32(b.rows.N))
	a.column.kinds = append(a.column.kinds, kind)
	a.column.codes = append(a.column.codes, code)
	b.touched = append(b.touched, a)
}

// PutString sets an attribute of the current event to a text. Each attribute
// is put at most once per event.
func (b *Builder) PutString(a *Attr, text []byte) {
	if a.block != b.block {
		b.activate(a)
	}
	b.makeRoom(&a.dict.values, len(text))
	n := a.dict.values.Len()
	code, leaf := a.dict.leaf(a.prefix, meter.String, text)
	if int(code) == n {
		a.addedBy = b.event
		b.attrText += len(text)
	}
	b.check += leaf & a.content
	b.put(a, meter.String, code)
}

// Progress says how much of the request's body is read and how much is left.
// Large columns then grow to about what they will need, rather than many times.
func (b *Builder) Progress(read, left int) { b.read, b.left = read, left }

// makeRoom makes room for one more text in a list that is large already, and
// for those to come if the rest of the body is like what was read of it.
func (b *Builder) makeRoom(s *Strings, text int) {
	need := len(s.buf) + text
	if need <= cap(s.buf) || need <= largeTexts/4 || b.read == 0 {
		return
	}
	more := uint64(len(s.buf)) * uint64(b.left) / uint64(b.read)
	room := int(min(more+more/16, uint64(b.left), uint64(max(b.read+b.left-b.ahead, 0)))) // not the whole body for each column
	b.ahead += room
	s.buf = slices.Grow(s.buf, text+room)
}

// PutNumber sets an attribute of the current event to a number.
func (b *Builder) PutNumber(a *Attr, q meter.Quantity) {
	if a.block != b.block {
		b.activate(a)
	}
	b.check += a.numbers.leaf(&a.prefix, q) & a.content
	b.put(a, meter.Number, uint32(len(a.column.Nums)))
	a.column.Nums = append(a.column.Nums, q)
}

// PutLiteral sets an attribute of the current event to Null, False or True.
func (b *Builder) PutLiteral(a *Attr, kind meter.ValueKind) {
	if a.block != b.block {
		b.activate(a)
	}
	b.check += textLeaf(a.prefix, kind, nil) & a.content
	b.put(a, kind, 0)
}

// PutExcess sets an attribute of the current event to a number beyond the
// limits of a quantity, given as meter.ExcessText has it.
func (b *Builder) PutExcess(a *Attr, canonical []byte) { b.putText(a, meter.Excess, canonical) }

// PutJSON sets an attribute of the current event to an array or empty object
// given as canonical JSON text: keys sorted, no spaces, shortest numbers.
func (b *Builder) PutJSON(a *Attr, canonical []byte) { b.putText(a, meter.JSON, canonical) }

// putText sets an attribute to a text of a kind other than String.
func (b *Builder) putText(a *Attr, kind meter.ValueKind, canonical []byte) {
	if a.block != b.block {
		b.activate(a)
	}
	b.makeRoom(&a.dict.values, len(canonical))
	n := a.dict.values.Len()
	// The text's cached leaf, if any, is that of the string with this text.
	code := a.dict.add(canonical)
	if int(code) == n {
		a.addedBy = b.event
		b.attrText += len(canonical)
	}
	b.check += textLeaf(a.prefix, kind, canonical) & a.content
	b.put(a, kind, code)
}

// Commit ends the current event and makes it a row. KindTooLarge when the
// block is full; nothing of the request can then be used.
func (b *Builder) Commit(e *Envelope) error {
	r := &b.rows
	typ, typeLeaf := b.types.leaf(b.hasher.typ, meter.String, e.Type)
	source, added := b.sources.intern(e.Source)
	if added {
		b.prefixes = append(b.prefixes, b.key.identityPrefix([]byte(r.Org), e.Source))
	}
	check := b.check + typeLeaf
	if e.Untimed {
		r.untimed = append(r.untimed, uint32(r.N))
	} else {
		check += timeLeaf(&b.hasher.time, e.Time)
	}
	subject := NoCode
	if e.HasSubject {
		var leaf uint64
		subject, leaf = b.subjects.leaf(b.hasher.subject, meter.String, e.Subject)
		check += leaf
	}
	if r.ownCustomers {
		code, _ := b.customers.intern(b.resolveCustomer())
		r.Customers.Codes = append(r.Customers.Codes, code)
	}
	r.Hashes = append(r.Hashes, b.appendID(e.ID, b.prefixes[source]))
	r.Checks = append(r.Checks, check)
	r.Times = append(r.Times, e.Time)
	r.Types.Codes = append(r.Types.Codes, typ)
	r.Sources.Codes = append(r.Sources.Codes, source)
	r.Subjects.Codes = append(r.Subjects.Codes, subject)
	r.Index = append(r.Index, b.request.Events)
	r.N++
	b.request.Events++
	b.request.Rows++
	b.entries += len(b.touched)
	b.touched = b.touched[:0] // an Abort without Begin must not reach this event
	if r.N > MaxRows {
		b.exceed("%d events", MaxRows)
	}
	if b.entries > maxEntries {
		b.exceed("%d attribute values", maxEntries)
	}
	if b.text() > maxTextBytes {
		b.exceed("%d bytes of text", maxTextBytes)
	}
	if b.over != nil {
		return b.over
	}
	return nil
}

// appendID stores the id of the next row and returns its hash.
func (b *Builder) appendID(id []byte, prefix sip) Hash {
	r := &b.rows
	r.IDs.Append(id)
	var u [16]byte
	if parseUUID(&u, id) {
		if len(r.uuids) == 16*r.N {
			r.uuids = append(r.uuids, u[:]...)
		}
		return uuidHash(prefix, &u)
	}
	hi, lo := prefix.sum128(id, tagText)
	return Hash{hi, uint32(lo)}
}

// resolveCustomer returns the group text of the current event's customer attribute.
func (b *Builder) resolveCustomer() []byte {
	for _, a := range b.customerAttrs {
		if a.block != b.block || a.event != b.event {
			continue
		}
		c := &a.column
		e := len(c.kinds) - 1
		switch c.kinds[e] {
		case meter.String:
			return a.dict.values.At(int(c.codes[e]))
		case meter.Number:
			b.number = c.Nums[c.codes[e]].AppendText(b.number[:0])
		case meter.Excess:
			b.number = append(b.number[:0], meter.Value{Kind: meter.Excess, Str: string(a.dict.values.At(int(c.codes[e])))}.Group()...)
		default:
			b.number = append(b.number[:0], meter.Value{Kind: c.kinds[e]}.Group()...)
		}
		return b.number
	}
	return nil
}

// Abort drops the current event.
func (b *Builder) Abort() {
	for _, a := range b.touched {
		c := &a.column
		n := len(c.kinds) - 1
		if c.kinds[n] == meter.Number {
			c.Nums = c.Nums[:len(c.Nums)-1]
		}
		c.kinds, c.codes, a.rows = c.kinds[:n], c.codes[:n], a.rows[:n]
		if a.addedBy == b.event {
			b.attrText -= len(a.dict.values.At(a.dict.values.Len() - 1))
			a.dict.dropLast()
		}
		a.event = 0
	}
	b.touched = b.touched[:0]
	for n := len(b.live) - 1; n >= 0 && len(b.live[n].column.kinds) == 0; n-- {
		b.live[n].block = 0
		b.live = b.live[:n]
	}
}

// Reject counts the next event of the request as rejected. ID and source are
// empty if they could not be read; raw is what was sent.
func (b *Builder) Reject(id, source, reason string, raw []byte) {
	b.request.Rejections = append(b.request.Rejections, Rejection{
		Index: b.request.Events, ID: id, Source: source, Reason: reason,
		Raw: append([]byte(nil), raw[:min(len(raw), MaxRawBytes)]...),
	})
	b.request.Events++
}

// SetAtomic marks the request being staged as all or nothing.
func (b *Builder) SetAtomic(atomic bool) { b.request.Atomic = atomic }

// Events returns the number of events staged or rejected so far.
func (b *Builder) Events() int { return int(b.request.Events) }

// Rows returns the staged rows, complete. They alias the builder, which until
// Reset takes nothing more.
func (b *Builder) Rows() *Rows {
	r := &b.rows
	if b.sealed {
		return r
	}
	b.sealed = true
	b.closeRequest(len(r.Requests) == 0)
	r.Types.Values, r.Sources.Values, r.Subjects.Values = b.types.values, b.sources.values, b.subjects.values
	if r.ownCustomers {
		r.Customers.Values = b.customers.values
	} else {
		r.deriveCustomers()
	}
	if len(r.uuids) != 16*r.N {
		r.uuids = r.uuids[:0]
	}
	for _, a := range b.live {
		c := &a.column
		c.Strs = a.dict.values
		c.rows = a.rows
		if len(a.rows) == r.N {
			c.rows = nil
		}
		r.Columns = append(r.Columns, *c)
	}
	return r
}

// closeRequest moves the request being staged, if any, to the block.
func (b *Builder) closeRequest(always bool) {
	q := b.request
	b.request = Request{}
	if q.Events > 0 || always {
		q.First = uint32(b.rows.N) - q.Rows
		b.rows.Requests = append(b.rows.Requests, q)
	}
}
