package meter

import "strings"

// Op is the operator of a filter.
type Op string

// The operators. IS, NOT_IS, CONTAINS and NOT_CONTAINS compare texts as groups
// do; EQ and NOT_EQ compare numbers where both sides are numeric and texts
// otherwise; GT, GTE, LT and LTE compare numbers only. A number sent as a
// string is numeric.
const (
	OpIs          Op = "IS"
	OpNotIs       Op = "NOT_IS"
	OpContains    Op = "CONTAINS"
	OpNotContains Op = "NOT_CONTAINS"
	OpExists      Op = "EXISTS"
	OpNotExists   Op = "NOT_EXISTS"
	OpGT          Op = "GT"
	OpGTE         Op = "GTE"
	OpLT          Op = "LT"
	OpLTE         Op = "LTE"
	OpEq          Op = "EQ"
	OpNotEq       Op = "NOT_EQ"
)

// ops lists the operators in the order in which messages name them.
var ops = []Op{OpIs, OpNotIs, OpContains, OpNotContains, OpExists, OpNotExists, OpGT, OpGTE, OpLT, OpLTE, OpEq, OpNotEq}

// Filter is one condition on one attribute.
type Filter struct {
	Attribute string `json:"attribute" yaml:"attribute"`
	Op        Op     `json:"op" yaml:"op"`
	Value     Value  `json:"value,omitzero" yaml:"value,omitempty" strict:"null"` // absent for EXISTS and NOT_EXISTS
}

// Match reports whether v, the attribute's value in an event, fulfils f. A
// missing attribute, which null is too, fulfils NOT_EXISTS and the other
// negative operators only. An array or object exists, but has no text or
// number that could be equal, contained or greater. No customer is the customer
// "", as in groups and queries, though it does not exist.
func (f Filter) Match(v Value) bool {
	if f.Attribute == CustomerAttribute && v.Kind <= Null && f.Op != OpExists && f.Op != OpNotExists {
		v = StringValue("")
	}
	switch f.Op {
	case OpExists:
		return v.Kind > Null
	case OpNotExists:
		return v.Kind <= Null
	case OpIs:
		return sameText(v, f.Value)
	case OpNotIs:
		return !sameText(v, f.Value)
	case OpEq:
		return equal(v, f.Value)
	case OpNotEq:
		return !equal(v, f.Value)
	case OpContains:
		return contains(v, f.Value)
	case OpNotContains:
		return !contains(v, f.Value)
	default:
		return ordered(f.Op, v, f.Value)
	}
}

// MatchAny reports whether an event passes the filters of a meter: in every
// group at least one filter matches. get returns an attribute's value.
func MatchAny(groups [][]Filter, get func(attribute string) Value) bool {
	for _, group := range groups {
		matched := false
		for i := range group {
			if group[i].Match(get(group[i].Attribute)) {
				matched = true
				break
			}
		}
		if !matched {
			return false
		}
	}
	return true
}

// sameText reports whether both have a text and it is the same.
func sameText(a, b Value) bool {
	switch {
	case !a.scalar() || !b.scalar():
		return false
	case a.Kind == b.Kind:
		return a == b
	case a.Kind == Number && b.Kind == String:
		return textOf(a, b.Str)
	case a.Kind == String && b.Kind == Number:
		return textOf(b, a.Str)
	default:
		return a.Group() == b.Group()
	}
}

// textOf reports whether the number n is written s, without allocating.
func textOf(n Value, s string) bool {
	var buf [maxDigits + 3]byte
	return string(n.Num.AppendText(buf[:0])) == s
}

// equal compares by number if both are numbers of any size, else by text.
func equal(a, b Value) bool {
	if c, ok := compareNumbers(a, b); ok {
		return c == 0
	}
	return sameText(a, b)
}

func contains(v, part Value) bool {
	return v.scalar() && part.scalar() && strings.Contains(v.Group(), part.Group())
}

func ordered(op Op, a, b Value) bool {
	c, ok := compareNumbers(a, b)
	if !ok {
		return false
	}
	switch op {
	case OpGT:
		return c > 0
	case OpGTE:
		return c >= 0
	case OpLT:
		return c < 0
	case OpLTE:
		return c <= 0
	default:
		return false
	}
}
