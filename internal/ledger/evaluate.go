package ledger

import (
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// interner gives every text of one organization a number; equal texts, equal
// numbers. The empty text is always emptyText.
type interner interface {
	intern(text []byte) (uint64, error)
}

// evaluator answers, for the rows of one block, which rows a meter takes and
// with which group and value. What it derives for an attribute is kept, so
// that meters that share attributes share the work. It is reused from block
// to block: one goroutine only.
type evaluator struct {
	rows    *block.Rows
	intern  interner
	columns map[string]*candidates // attribute name -> where it may be
	paths   map[string][]string    // attribute name -> what it may mean; kept from block to block
	groups  map[string][]uint64
	values  map[takenAs]*valueColumn
	numbers map[meter.Quantity]uint64 // group numbers of numeric values
	longs   map[string][]bool         // attribute name -> rows whose text no group has, nil if none
	digest  bool                      // such a text is a group under its digest, see digestOf
	freeIDs [][]uint64
	freeVal []*valueColumn
	scratch []byte
}

// candidates says where the values of an attribute may be in a block.
type candidates struct {
	columns   []int // in order of precedence
	irregular bool  // see evaluator.irregular
}

// maxKeptPaths bounds the names whose paths an evaluator remembers.
const maxKeptPaths = 4096

// takenAs is an attribute and what is done with its values of too many digits.
type takenAs struct {
	name  string
	round bool
}

func (t takenAs) take(v meter.Value) (meter.Quantity, bool) {
	if t.round {
		return v.Rounded()
	}
	return v.Numeric()
}

// valueColumn is an attribute taken as a meter's value.
type valueColumn struct {
	q  []meter.Quantity
	ok []bool
}

func (e *evaluator) reset(rows *block.Rows, in interner) {
	e.rows, e.intern = rows, in
	if e.columns == nil {
		e.columns = map[string]*candidates{}
		e.groups = map[string][]uint64{}
		e.values = map[takenAs]*valueColumn{}
		e.numbers = map[meter.Quantity]uint64{}
		e.longs = map[string][]bool{}
	}
	clear(e.columns)
	clear(e.longs)
	e.recycle()
	clear(e.numbers)
}

// maxEvaluated bounds what is kept of a block's attributes from one meter to the next.
const maxEvaluated = 32 << 20

// trim drops what is kept of the block's attributes when it has become much: a
// thousand meters may have an attribute each. What was handed out must no longer be used.
func (e *evaluator) trim() {
	if (len(e.groups)*8+len(e.values)*17+len(e.longs))*e.rows.N < maxEvaluated {
		return
	}
	e.recycle()
	clear(e.longs)
}

// recycle keeps the columns' memory for others.
func (e *evaluator) recycle() {
	for _, g := range e.groups {
		e.freeIDs = append(e.freeIDs, g)
	}
	clear(e.groups)
	for _, v := range e.values {
		e.freeVal = append(e.freeVal, v)
	}
	clear(e.values)
}

func (e *evaluator) newIDs() []uint64 {
	if n := len(e.freeIDs); n > 0 {
		s := e.freeIDs[n-1]
		e.freeIDs = e.freeIDs[:n-1]
		if cap(s) >= e.rows.N {
			return s[:e.rows.N]
		}
	}
	return make([]uint64, e.rows.N)
}

func (e *evaluator) newValues() *valueColumn {
	if n := len(e.freeVal); n > 0 {
		v := e.freeVal[n-1]
		e.freeVal = e.freeVal[:n-1]
		if cap(v.q) >= e.rows.N {
			v.q, v.ok = v.q[:e.rows.N], v.ok[:e.rows.N]
			return v
		}
	}
	return &valueColumn{q: make([]meter.Quantity, e.rows.N), ok: make([]bool, e.rows.N)}
}

// candidates returns the columns that may hold the attribute.
func (e *evaluator) candidates(name string) []int { return e.find(name).columns }

// irregular says that a name is, in some row, an object that comes before what
// else it may mean: a nested member or an extension attribute. Then rows are
// asked one by one.
func (e *evaluator) irregular(name string) bool { return e.find(name).irregular }

func (e *evaluator) find(name string) *candidates {
	if c, ok := e.columns[name]; ok {
		return c
	}
	found := &candidates{}
	inside := false // an object at one of the paths before
	for _, path := range e.pathsOf(name) {
		objects := false
		for i := range e.rows.Columns {
			p := e.rows.Columns[i].Path
			if p == path {
				found.columns = append(found.columns, i)
				found.irregular = found.irregular || inside
			} else if meter.Inside(p, path) {
				objects = true
			}
		}
		inside = inside || objects
	}
	e.columns[name] = found
	return found
}

func (e *evaluator) pathsOf(name string) []string {
	p, ok := e.paths[name]
	if !ok {
		if e.paths == nil || len(e.paths) >= maxKeptPaths {
			e.paths = map[string][]string{}
		}
		p = meter.AttributePaths(name)
		e.paths[name] = p
	}
	return p
}

// value returns the attribute of one row.
func (e *evaluator) value(name string, row int) meter.Value {
	if name == meter.CustomerAttribute {
		c := &e.rows.Customers
		if text := c.Values.At(int(c.Codes[row])); len(text) > 0 {
			return meter.StringValue(string(text))
		}
		return meter.Value{}
	}
	// The order of precedence is that of meter.Event.Get: for each path, the
	// value itself, then the object whose members lie inside the path.
	for _, path := range e.pathsOf(name) {
		if v := e.at(path, row); v.Kind != meter.Absent {
			return v
		}
	}
	return meter.Value{}
}

func (e *evaluator) at(path string, row int) meter.Value {
	object := false
	for i := range e.rows.Columns {
		col := &e.rows.Columns[i]
		if col.Path == path {
			if v := col.Value(row); v.Kind != meter.Absent {
				return v
			}
		} else if !object && meter.Inside(col.Path, path) {
			kind, _ := col.Find(row)
			object = kind != meter.Absent
		}
	}
	if object {
		return meter.Value{Kind: meter.JSON}
	}
	return meter.Value{}
}

// group returns the number of the attribute's group text for every row.
func (e *evaluator) group(name string) ([]uint64, error) {
	if g, ok := e.groups[name]; ok {
		return g, nil
	}
	out := e.newIDs()
	var err error
	if name == meter.CustomerAttribute {
		err = e.groupDict(&e.rows.Customers, out)
	} else {
		clear(out)
		cands := e.candidates(name)
		if e.irregular(name) {
			cands, err = nil, e.groupRows(name, out)
		}
		// Later candidates first, so that earlier ones overwrite them.
		for i := len(cands) - 1; i >= 0 && err == nil; i-- {
			err = e.groupColumn(&e.rows.Columns[cands[i]], out)
		}
	}
	if err != nil {
		return nil, err
	}
	e.groups[name] = out
	return out, nil
}

func (e *evaluator) groupRows(name string, out []uint64) error {
	for i := range out {
		id, err := e.internText([]byte(e.value(name, i).Group()))
		if err != nil {
			return err
		}
		out[i] = id
	}
	return nil
}

func (e *evaluator) groupDict(d *block.Dict, out []uint64) error {
	byCode, err := e.internAll(&d.Values)
	if err != nil {
		return err
	}
	for i, c := range d.Codes {
		if c == block.NoCode {
			out[i] = state.EmptyText
		} else {
			out[i] = byCode[c]
		}
	}
	return nil
}

// warm has the fold's dictionary made ready for many texts of the block.
func (e *evaluator) warm(s *block.Strings) {
	if texts, ok := e.intern.(orgTexts); ok && s.Len() >= warmRows {
		texts.warm(s)
	}
}

func (e *evaluator) internAll(s *block.Strings) ([]uint64, error) {
	e.warm(s)
	byCode := make([]uint64, s.Len())
	for i := range byCode {
		id, err := e.internText(s.At(i))
		if err != nil {
			return nil, err
		}
		byCode[i] = id
	}
	return byCode, nil
}

func (e *evaluator) internText(b []byte) (uint64, error) {
	switch {
	case len(b) == 0:
		return state.EmptyText, nil
	case len(b) <= meter.MaxGroupBytes:
		return e.intern.intern(b)
	case e.digest:
		return e.intern.intern([]byte(digestOf(b)))
	}
	return longText, nil
}

func (e *evaluator) groupColumn(col *block.Column, out []uint64) error {
	var byCode []uint64
	for n := range col.Len() {
		row, kind, code := col.Entry(n)
		switch kind {
		case meter.String:
			if byCode == nil {
				// Lazily: a column may hold strings in a few rows only.
				byCode = make([]uint64, col.Strs.Len())
				for c := range byCode {
					byCode[c] = state.UnknownText
				}
				e.warm(&col.Strs)
			}
			if byCode[code] == state.UnknownText {
				id, err := e.internText(col.Strs.At(int(code)))
				if err != nil {
					return err
				}
				byCode[code] = id
			}
			out[row] = byCode[code]
		case meter.Number:
			id, err := e.internNumber(col.Nums[code])
			if err != nil {
				return err
			}
			out[row] = id
		case meter.True, meter.False:
			id, err := e.internBool(kind == meter.True)
			if err != nil {
				return err
			}
			out[row] = id
		case meter.Excess:
			e.scratch = col.Value(row).AppendGroup(e.scratch[:0])
			id, err := e.internText(e.scratch)
			if err != nil {
				return err
			}
			out[row] = id
		default: // null, arrays, objects
			out[row] = state.EmptyText
		}
	}
	return nil
}

// longText stands for a text of more than meter.MaxGroupBytes. No group has
// it: a meter that groups by such an attribute skips the event.
const longText = state.UnknownText - 1

func (e *evaluator) internBool(b bool) (uint64, error) {
	if b {
		return e.internText([]byte("true"))
	}
	return e.internText([]byte("false"))
}

func (e *evaluator) internNumber(q meter.Quantity) (uint64, error) {
	if id, ok := e.numbers[q]; ok {
		return id, nil
	}
	e.scratch = q.AppendText(e.scratch[:0])
	id, err := e.internText(e.scratch)
	if err == nil {
		e.numbers[q] = id
	}
	return id, err
}

// numeric returns the attribute as quantities; rows without one have ok false.
func (e *evaluator) numeric(as takenAs) *valueColumn {
	if v, ok := e.values[as]; ok {
		return v
	}
	name := as.name
	v := e.newValues()
	clear(v.ok)
	if name == meter.CustomerAttribute || e.irregular(name) {
		for i := range v.ok {
			v.q[i], v.ok[i] = as.take(e.value(name, i))
		}
	} else {
		cands := e.candidates(name)
		for i := len(cands) - 1; i >= 0; i-- {
			numericColumn(&e.rows.Columns[cands[i]], v, as)
		}
	}
	e.values[as] = v
	return v
}

func numericColumn(col *block.Column, v *valueColumn, as takenAs) {
	var texts []valueOfText // by string code
	for n := range col.Len() {
		row, kind, code := col.Entry(n)
		switch kind {
		case meter.Number:
			v.q[row], v.ok[row] = col.Nums[code], true
		case meter.String:
			if texts == nil {
				texts = make([]valueOfText, col.Strs.Len())
			}
			t := &texts[code]
			if !t.known {
				t.known = true
				if t.q, t.ok = meter.ParseNumericText(string(col.Strs.At(int(code)))); !t.ok && as.round {
					t.q, t.ok = col.Value(row).Rounded()
				}
			}
			v.q[row], v.ok[row] = t.q, t.ok
		case meter.Excess:
			v.q[row], v.ok[row] = as.take(col.Value(row))
		default:
			v.ok[row] = false
		}
	}
}

// valueOfText is a quoted number, read once per distinct text.
type valueOfText struct {
	known, ok bool
	q         meter.Quantity
}

// match narrows take to the rows that the meter's type and filters let through.
func (e *evaluator) match(m *meter.Meter, take []bool) (any bool) {
	typeOK := make([]bool, e.rows.Types.Values.Len())
	some := false
	for i := range typeOK {
		typeOK[i] = string(e.rows.Types.Values.At(i)) == m.EventType
		some = some || typeOK[i]
	}
	if !some {
		clear(take)
		return false
	}
	for i, c := range e.rows.Types.Codes {
		take[i] = take[i] && typeOK[c]
	}
	for _, alternatives := range m.Filters {
		e.matchAlternatives(alternatives, take)
	}
	for _, t := range take {
		if t {
			return true
		}
	}
	return false
}

func (e *evaluator) matchAlternatives(alternatives []meter.Filter, take []bool) {
	if len(alternatives) == 1 && e.matchColumn(alternatives[0], take) {
		return
	}
	for i := range take {
		if !take[i] {
			continue
		}
		ok := false
		for _, f := range alternatives {
			if f.Match(e.value(f.Attribute, i)) {
				ok = true
				break
			}
		}
		take[i] = ok
	}
}

// matchColumn is the common case of one filter on one column that every row
// has: each distinct text is matched once.
func (e *evaluator) matchColumn(f meter.Filter, take []bool) bool {
	cands := e.candidates(f.Attribute)
	if f.Attribute == meter.CustomerAttribute || e.irregular(f.Attribute) || len(cands) != 1 || !e.rows.Columns[cands[0]].Full() {
		return false
	}
	col := &e.rows.Columns[cands[0]]
	known := make([]int8, col.Strs.Len()) // per text: 0 unknown, 1 yes, -1 no
	for i := range take {
		if !take[i] {
			continue
		}
		_, kind, code := col.Entry(i)
		if kind != meter.String {
			take[i] = f.Match(col.Value(i))
			continue
		}
		if known[code] == 0 {
			known[code] = -1
			if f.Match(col.Value(i)) {
				known[code] = 1
			}
		}
		take[i] = known[code] == 1
	}
	return true
}
