package block

import (
	"odometer/internal/meter"
)

// hash computes Hashes and Checks, as the builder does while staging.
func (r *Rows) hash(key Key) {
	r.Hashes = make([]Hash, r.N)
	r.Checks = make([]uint64, r.N)
	prefixes := make([]sip, r.Sources.Values.Len())
	for i := range prefixes {
		prefixes[i] = key.identityPrefix([]byte(r.Org), r.Sources.Values.At(i))
	}
	for i := range r.Hashes {
		prefix := prefixes[r.Sources.Codes[i]]
		if len(r.uuids) > 0 {
			r.Hashes[i] = uuidHash(prefix, (*[16]byte)(r.uuids[16*i:]))
		} else {
			r.Hashes[i] = identityHash(prefix, r.IDs.At(i))
		}
	}
	h := newContentHasher(key)
	for i, t := range r.Times {
		r.Checks[i] = timeLeaf(&h.time, t)
	}
	for _, i := range r.untimed {
		r.Checks[i] = 0
	}
	r.addLeaves(&r.Types, h.typ)
	r.addLeaves(&r.Subjects, h.subject)
	for i := range r.Columns {
		if c := &r.Columns[i]; !meter.IsExtension(c.Path) {
			r.addColumn(c, h.column(c.Path))
		}
	}
}

func (r *Rows) addLeaves(d *Dict, prefix sip) {
	leaves := make([]uint64, d.Values.Len())
	for i := range leaves {
		leaves[i] = textLeaf(prefix, meter.String, d.Values.At(i))
	}
	for i, c := range d.Codes {
		if c != NoCode {
			r.Checks[i] += leaves[c]
		}
	}
}

func (r *Rows) addColumn(c *Column, prefix sip) {
	var leaves []uint64 // of the strings, as they come up
	var numbers numberLeaves
	for e, kind := range c.kinds {
		row, code := e, c.codes[e]
		if c.rows != nil {
			row = int(c.rows[e])
		}
		switch kind {
		case meter.Number:
			r.Checks[row] += numbers.leaf(&prefix, c.Nums[code])
		case meter.String:
			if leaves == nil {
				leaves = make([]uint64, c.Strs.Len())
			}
			if leaves[code] == 0 {
				leaves[code] = textLeaf(prefix, kind, c.Strs.At(int(code)))
			}
			r.Checks[row] += leaves[code]
		case meter.JSON, meter.Excess:
			r.Checks[row] += textLeaf(prefix, kind, c.Strs.At(int(code)))
		default:
			r.Checks[row] += textLeaf(prefix, kind, nil)
		}
	}
}
