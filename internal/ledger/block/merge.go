package block

import (
	"slices"

	"odometer/internal/meter"
)

// Fits reports whether Merge of src would stay within the limits of a block.
func (b *Builder) Fits(src *Rows) bool {
	entries, rejections := 0, 0
	text := len(src.IDs.buf) + len(src.Types.Values.buf) + len(src.Sources.Values.buf) + len(src.Subjects.Values.buf) + len(src.Customers.Values.buf)
	for i := range src.Columns {
		entries += src.Columns[i].Len()
		text += len(src.Columns[i].Strs.buf)
	}
	for i := range src.Requests {
		rejections += len(src.Requests[i].Rejections)
	}
	return b.rows.N+src.N <= MaxRows && len(b.live)+len(src.Columns) <= MaxColumns &&
		len(b.rows.Requests)+len(src.Requests) < maxRequests && b.entries+entries <= maxEntries &&
		b.rejections+rejections <= maxRejections && b.text()+text <= maxTextBytes
}

// Merge appends all of src: many small requests become one block. Src is
// copied, hashes and checks included, and must be of the same organization
// and key. Its row r becomes row firstRow+r, its request q becomes request
// firstRequest+q. The caller asks Fits first.
func (b *Builder) Merge(src *Rows) (firstRow, firstRequest int) {
	b.closeRequest(false)
	r := &b.rows
	base := r.N
	firstRequest = len(r.Requests)
	if src.ownCustomers && !r.ownCustomers {
		b.separateCustomers()
	}
	shift := uint32(len(r.IDs.buf))
	r.IDs.buf = append(r.IDs.buf, src.IDs.buf...)
	for _, end := range src.IDs.ends {
		r.IDs.ends = append(r.IDs.ends, shift+end)
	}
	if len(r.uuids) == 16*base && len(src.uuids) == 16*src.N {
		r.uuids = append(r.uuids, src.uuids...)
	}
	r.Index = append(r.Index, src.Index...)
	r.Times = append(r.Times, src.Times...)
	for _, row := range src.untimed {
		r.untimed = append(r.untimed, uint32(base)+row)
	}
	r.Hashes = append(r.Hashes, src.Hashes...)
	r.Checks = append(r.Checks, src.Checks...)
	b.mergeDict(&r.Types.Codes, &src.Types, b.types.add)
	b.mergeDict(&r.Sources.Codes, &src.Sources, b.addSource)
	b.mergeDict(&r.Subjects.Codes, &src.Subjects, b.subjects.add)
	if r.ownCustomers {
		b.mergeDict(&r.Customers.Codes, &src.Customers, b.addCustomer)
	}
	for i := range src.Columns {
		b.mergeColumn(&src.Columns[i], i, uint32(base), src.N)
	}
	for _, q := range src.Requests {
		q.First += uint32(base)
		r.Requests = append(r.Requests, q)
		b.rejections += len(q.Rejections)
	}
	r.N += src.N
	return base, firstRequest
}

func (b *Builder) addSource(text []byte) uint32 {
	code, added := b.sources.intern(text)
	if added {
		b.prefixes = append(b.prefixes, b.key.identityPrefix([]byte(b.rows.Org), text))
	}
	return code
}

func (b *Builder) addCustomer(text []byte) uint32 {
	code, _ := b.customers.intern(text)
	return code
}

// separateCustomers starts keeping customers apart from subjects.
func (b *Builder) separateCustomers() {
	r := &b.rows
	r.ownCustomers = true
	r.Customers = Dict{}
	for _, c := range r.Subjects.Codes {
		var text []byte
		if c != NoCode {
			text = b.subjects.values.At(int(c))
		}
		r.Customers.Codes = append(r.Customers.Codes, b.addCustomer(text))
	}
}

// mergeDict appends the codes of src, translated through add.
func (b *Builder) mergeDict(codes *[]uint32, src *Dict, add func([]byte) uint32) {
	table := b.translate(&src.Values, add)
	for _, c := range src.Codes {
		if c != NoCode {
			c = table[c]
		}
		*codes = append(*codes, c)
	}
}

// translate returns the builder's code for each text of src.
func (b *Builder) translate(src *Strings, add func([]byte) uint32) []uint32 {
	b.codes = b.codes[:0]
	for i := range src.Len() {
		b.codes = append(b.codes, add(src.At(i)))
	}
	return b.codes
}

func (b *Builder) mergeColumn(src *Column, position int, base uint32, n int) {
	var a *Attr
	if position < len(b.live) && b.live[position].column.Path == src.Path {
		a = b.live[position] // small requests of one client look alike
	} else if a = b.attrs[src.Path]; a == nil {
		a = b.Attr([]byte(src.Path))
	}
	if a.block != b.block {
		b.activate(a)
	}
	c := &a.column
	held := len(a.dict.values.buf)
	table := b.translate(&src.Strs, a.dict.add)
	b.attrText += len(a.dict.values.buf) - held
	shift := uint32(len(c.Nums))
	for e, kind := range src.kinds {
		code := src.codes[e]
		switch {
		case kind >= meter.String:
			code = table[code]
		case kind == meter.Number:
			code += shift
		}
		c.codes = append(c.codes, code)
	}
	c.kinds = append(c.kinds, src.kinds...)
	c.Nums = append(c.Nums, src.Nums...)
	if src.rows == nil {
		a.rows = slices.Grow(a.rows, n)
		for row := range uint32(n) {
			a.rows = append(a.rows, base+row)
		}
	} else {
		for _, row := range src.rows {
			a.rows = append(a.rows, base+row)
		}
	}
	b.entries += src.Len()
}
