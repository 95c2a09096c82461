package verify

import (
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// columns reads attributes of one block's rows as the documentation of
// meter.Event.Get has it, without making an event of each row.
type columns struct {
	rows  *block.Rows
	table *table
	age   int // of the table
	names map[string]*attribute
	byCol map[*block.Column]*column
}

// column is a block's column with what was made of its texts.
type column struct {
	*block.Column
	texts   []string
	numbers []uint32 // of groups in the table, from 1; 0 = not known yet
}

// attribute is what a name means in one block: where it may be found, in order of preference.
type attribute struct {
	customer  bool
	customers []uint32 // as column.numbers
	paths     []path
	row       int // that number is of; -1 = none
	number    uint32
}

// path is one place of an attribute: a column, or an object that others are in.
type path struct {
	own    *column
	inside []*column
}

// tooLong is in place of the number of a group that meters skip; one more is still no 0.
const tooLong = ^uint32(0) - 1

func newColumns(rows *block.Rows, t *table) *columns {
	return &columns{rows: rows, table: t, age: t.age, names: map[string]*attribute{}, byCol: map[*block.Column]*column{}}
}

// attribute finds what a name means.
func (c *columns) attribute(name string) *attribute {
	if a := c.names[name]; a != nil {
		return a
	}
	a := &attribute{row: -1}
	c.names[name] = a
	if name == meter.CustomerAttribute {
		a.customer = true
		a.customers = make([]uint32, c.rows.Customers.Values.Len())
		return a
	}
	for _, at := range meter.AttributePaths(name) {
		var p path
		for i := range c.rows.Columns {
			col := &c.rows.Columns[i]
			if col.Path == at {
				p.own = c.column(col)
			} else if meter.Inside(col.Path, at) {
				p.inside = append(p.inside, c.column(col))
			}
		}
		if p.own != nil || p.inside != nil {
			a.paths = append(a.paths, p)
		}
	}
	return a
}

func (c *columns) column(col *block.Column) *column {
	if c.byCol[col] == nil {
		c.byCol[col] = &column{Column: col, texts: make([]string, col.Strs.Len()), numbers: make([]uint32, col.Strs.Len())}
	}
	return c.byCol[col]
}

// refresh forgets numbers of a table that was emptied since.
func (c *columns) refresh() {
	if c.age == c.table.age {
		return
	}
	c.age = c.table.age
	for _, a := range c.names {
		clear(a.customers)
		a.row = -1
	}
	for _, col := range c.byCol {
		clear(col.numbers)
	}
}

// find returns where a row has the attribute: the column with kind and code, or a kind alone.
func (a *attribute) find(row int) (col *column, kind meter.ValueKind, code uint32) {
	for i := range a.paths {
		p := &a.paths[i]
		if p.own != nil {
			if kind, code := p.own.Find(row); kind != meter.Absent {
				return p.own, kind, code
			}
		}
		for _, in := range p.inside {
			if kind, _ := in.Find(row); kind != meter.Absent {
				return nil, meter.JSON, 0 // an object with members
			}
		}
	}
	return nil, meter.Absent, 0
}

// value returns a row's value of the attribute.
func (c *columns) value(a *attribute, row int) meter.Value {
	if a.customer {
		if s, _ := c.rows.Customers.At(row); len(s) > 0 {
			return meter.StringValue(string(s))
		}
		return meter.Value{}
	}
	col, kind, code := a.find(row)
	if col == nil {
		return meter.Value{Kind: kind}
	}
	return col.value(kind, code)
}

func (c *column) value(kind meter.ValueKind, code uint32) meter.Value {
	switch kind {
	case meter.String, meter.JSON, meter.Excess:
		if c.texts[code] == "" {
			c.texts[code] = string(c.Strs.At(int(code)))
		}
		return meter.Value{Kind: kind, Str: c.texts[code]}
	case meter.Number:
		return meter.Value{Kind: kind, Num: c.Nums[code]}
	default:
		return meter.Value{Kind: kind}
	}
}

// group returns the number of a row's group by the attribute, or tooLong.
func (c *columns) group(a *attribute, row int) uint32 {
	if a.row == row {
		return a.number
	}
	a.row, a.number = row, c.groupOf(a, row)
	return a.number
}

func (c *columns) groupOf(a *attribute, row int) uint32 {
	if a.customer {
		code := c.rows.Customers.Codes[row]
		if a.customers[code] == 0 {
			a.customers[code] = c.number(c.value(a, row)) + 1
		}
		return a.customers[code] - 1
	}
	col, kind, code := a.find(row)
	switch {
	case col == nil:
		return 0 // of "", as are objects
	case kind != meter.String:
		return c.number(col.value(kind, code))
	case col.numbers[code] == 0:
		col.numbers[code] = c.number(col.value(kind, code)) + 1
	}
	return col.numbers[code] - 1
}

func (c *columns) number(v meter.Value) uint32 {
	text := v.Group()
	if len(text) > meter.MaxGroupBytes {
		return tooLong
	}
	return c.table.text(text)
}
