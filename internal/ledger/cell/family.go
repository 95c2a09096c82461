package cell

// Column is what some meters keep of each event: each of them would have the same
// cells. Meters are of one family if they take the same events, by the same
// groups and in slots of the same width. A row of the table has a cell for each
// column of its family, so that group and slot are looked up once for all.
type Column struct {
	Kind     Kind
	Versions []uint32 // of the meters
}

// MaxColumns bounds the columns of a family.
const MaxColumns = 16

type family struct {
	columns []Column
	head    uint32 // series + 1
	total   uint32 // series + 1 of the empty group
}

// member is where a meter version has its cells.
type member struct{ family, column uint32 }

// Family makes a family of 1 to MaxColumns columns and returns its number, which
// holds until Reset. A version is in one family only, and unique over all organizations.
func (t *Table) Family(columns []Column) uint32 {
	n := uint32(len(t.families))
	t.families = append(t.families, family{columns: columns})
	for k, c := range columns {
		for _, version := range c.Versions {
			t.members[version] = member{n, uint32(k)}
		}
	}
	return n
}

// Meet notes that columns, a bit each, have counted an event in a series, and
// returns those of which it is the first one.
func (t *Table) Meet(n uint32, columns uint16) (first uint16) {
	s := &t.series[n]
	first = columns &^ s.met
	s.met |= first
	return first
}
