package checksum

import (
	"database/sql/driver"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"odometer/internal/meter"
)

// Statements say in a comment line what is not to be checked, and why.
const (
	// unchecked at the start of a comment's text: what the statement reads is
	// not checked.
	unchecked = "unchecked:"
	// leaveOut at the start of a comment's text: damaged rows are told of and
	// left out of what the statement reads.
	leaveOut = "damaged rows are left out:"
)

// plan is what is done for one statement.
type plan struct {
	err      error // the statement cannot be extended
	opaque   bool  // nobody knows what it changes, such as a migration
	text     string
	reads    []reading // for each table of which the statement reads rows
	shown    int       // columns that the statement names
	leaveOut bool
	insert   *inserting
	update   *updating
}

// plain says that the statement is passed on as it is.
func (p *plan) plain() bool {
	return p.err == nil && len(p.reads) == 0 && p.insert == nil && p.update == nil
}

// reading is a table of which a statement reads rows. Those of its covered
// columns and the checksum that the statement does not name follow those that it names.
type reading struct {
	table *Table
	at    []int // the column of the statement with each covered column, and with the checksum
}

// inserting is INSERT INTO table (columns) VALUES (...), ... of parameters only.
type inserting struct {
	table *Table
	at    []int   // of each covered column: its place in a row of values; -1 = not given
	rows  [][]int // parameter of each place of a row, from 0; -1 = something else
}

// updating is UPDATE table SET ... WHERE ...
type updating struct {
	table  *Table
	before string // reads the rows that will be changed
	args   []int  // parameters of before, from 0
	seal   string // sets one row's checksum

	// What follows is given where what is set of covered columns is told by the
	// statement alone; else one is "".
	one   string // changes one row with its checksum, which follows the parameters
	given int    // parameters before it
	sets  []setting
	key   []int // parameters, from 0, that the columns of the key are equal to; nil = the statement may change several rows
}

// setting is what a covered column is set to.
type setting struct {
	column int          // of those that are covered
	arg    int          // parameter, from 0; -1 = value
	value  driver.Value // a number or NULL
}

// plans remembers the plan of each statement.
type plans struct {
	mu  sync.Mutex // nothing is taken under it
	all map[string]*plan
}

// maxPlans bounds the statements that are remembered.
const maxPlans = 4096

func (k *Keeper) plan(statement string) *plan {
	k.plans.mu.Lock()
	defer k.plans.mu.Unlock()
	if p := k.plans.all[statement]; p != nil {
		return p
	}
	if k.plans.all == nil || len(k.plans.all) >= maxPlans {
		k.plans.all = map[string]*plan{}
	}
	p := k.read(statement)
	k.plans.all[statement] = p
	return p
}

var (
	understood = regexp.MustCompile(`^(SELECT|DELETE FROM|INSERT INTO \w+ \(|UPDATE \w+\s+SET)\s?`)
	insertHead = regexp.MustCompile(`^INSERT INTO (\w+) \(([^)]*)\)\s+(VALUES|SELECT)\b`)
	updateHead = regexp.MustCompile(`^UPDATE (\w+)\s+SET\s`)
	fromTable  = regexp.MustCompile(`\b(?:FROM|JOIN)\s+(\w+)(?:[ ]+([a-z])\b)?`)
	aggregate  = regexp.MustCompile(`(?i)\b(count|max|min|sum|exists)\s*\(|\bDISTINCT\b|\bGROUP BY\b`)
	parameter  = regexp.MustCompile(`\$(\d+)`)
	whereWord  = regexp.MustCompile(`\bWHERE\b`)
	fromWord   = regexp.MustCompile(`\bFROM\b`)
	orWord     = regexp.MustCompile(`(?i)\bOR\b|\bNOT\b`)
	equalTerm  = regexp.MustCompile(`(?:\bWHERE|\bAND)\s+(\w+) = \$(\d+)(?:\s|$)`)
	setColumn  = regexp.MustCompile(`(?:^|,)\s*(\w+)\s*=`)
)

// Explain says why a statement cannot be extended; nil = it can, or need not be.
func (k *Keeper) Explain(statement string) error { return k.plan(statement).err }

func (k *Keeper) read(statement string) *plan {
	text, comments := withoutComments(statement)
	p := &plan{text: statement}
	switch {
	case strings.Contains(text, ";"): // a migration
		p.opaque = true
	case !understood.MatchString(text) && k.names(text):
		p.opaque = true
		p.err = meter.Errorf(meter.KindInternal, "a statement on a table with checksums has an unknown form: %s", clip(text))
	case strings.HasPrefix(text, "SELECT"):
		k.readSelect(p, text, comments)
	case strings.HasPrefix(text, "INSERT"):
		k.readInsert(p, text)
	case strings.HasPrefix(text, "UPDATE"):
		k.readUpdate(p, text)
	case !strings.HasPrefix(text, "DELETE FROM"):
		p.opaque = true
	}
	return p
}

// names says whether a statement names a table that has checksums.
func (k *Keeper) names(text string) bool {
	return slices.ContainsFunc(k.order, func(name string) bool {
		return slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == '(' || r == ',' }), name)
	})
}

func withoutComments(statement string) (text string, comments []string) {
	var lines []string
	for line := range strings.Lines(statement) {
		if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "--"); ok {
			comments = append(comments, strings.TrimSpace(comment))
			continue
		}
		lines = append(lines, line)
	}
	return strings.TrimSpace(strings.Join(lines, "")), comments
}

func has(comments []string, word string) bool {
	return slices.ContainsFunc(comments, func(c string) bool { return strings.HasPrefix(c, word) })
}

// readSelect extends a statement that reads rows as they are. What counts or
// adds up rows reads no row.
func (k *Keeper) readSelect(p *plan, text string, comments []string) {
	from := fromWord.FindStringIndex(text)
	if from == nil || has(comments, unchecked) || aggregate.MatchString(text) {
		return
	}
	columns := splitList(text[len("SELECT"):from[0]])
	p.shown = len(columns)
	for _, m := range fromTable.FindAllStringSubmatch(text[from[0]:], -1) {
		t := k.tables[m[1]]
		if t == nil {
			continue
		}
		r := reading{table: t}
		for _, name := range append(slices.Clone(t.covered), Column) {
			if m[2] != "" {
				name = m[2] + "." + name
			}
			at := slices.Index(columns, name) // a text that is read twice is copied twice
			if at < 0 {
				at = len(columns)
				columns = append(columns, name)
			}
			r.at = append(r.at, at)
		}
		p.reads = append(p.reads, r)
	}
	if len(p.reads) == 0 {
		return
	}
	p.leaveOut = has(comments, leaveOut)
	p.text = strings.TrimRight(text[:from[0]], " \n\t")
	if more := columns[p.shown:]; len(more) > 0 {
		p.text += ", " + strings.Join(more, ", ")
	}
	p.text += "\n" + text[from[0]:]
}

func (k *Keeper) readInsert(p *plan, text string) {
	m := insertHead.FindStringSubmatchIndex(text)
	if m == nil {
		return
	}
	t := k.tables[text[m[2]:m[3]]]
	if t == nil {
		return
	}
	if text[m[6]:m[7]] != "VALUES" {
		p.err = meter.Errorf(meter.KindInternal, "an insert into %s must have VALUES, since its rows have checksums", t.Name)
		return
	}
	columns := splitList(text[m[4]:m[5]])
	i := &inserting{table: t}
	for _, name := range t.covered {
		at := slices.Index(columns, name)
		if at < 0 && len(i.at) < len(t.Key)+len(t.Columns) {
			p.err = meter.Errorf(meter.KindInternal, "an insert into %s lacks the column %s, which its checksum covers", t.Name, name)
			return
		}
		i.at = append(i.at, at)
	}
	head := text[:m[5]] + ", " + Column + ") VALUES "
	rest := strings.TrimSpace(text[m[7]:])
	last := highest(text)
	var rows []string
	for strings.HasPrefix(rest, "(") {
		end := closing(rest)
		if end < 0 {
			p.err = meter.Errorf(meter.KindInternal, "an insert into %s has no end", t.Name)
			return
		}
		values := splitList(rest[1:end])
		if len(values) != len(columns) {
			p.err = meter.Errorf(meter.KindInternal, "an insert into %s has %d columns and %d values", t.Name, len(columns), len(values))
			return
		}
		row := make([]int, len(values))
		for n, v := range values {
			row[n] = -1
			if whole := parameter.FindStringSubmatch(v); whole != nil && whole[0] == v {
				number, _ := strconv.Atoi(whole[1])
				row[n] = number - 1
			}
		}
		for c, at := range i.at {
			if at >= 0 && row[at] < 0 {
				p.err = meter.Errorf(meter.KindInternal, "an insert into %s gives %s something else than a parameter", t.Name, t.covered[c])
				return
			}
		}
		i.rows = append(i.rows, row)
		rows = append(rows, rest[:end]+", $"+strconv.Itoa(last+len(i.rows))+")")
		rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest[end+1:]), ","))
	}
	if set, ok := strings.CutPrefix(rest, "ON CONFLICT"); ok && strings.Contains(set, "DO UPDATE SET") {
		before, after, _ := strings.Cut(rest, "DO UPDATE SET ")
		rest = before + "DO UPDATE SET " + Column + " = excluded." + Column + ", " + after
	}
	p.insert, p.text = i, head+strings.Join(rows, ", ")+"\n"+rest
}

func (k *Keeper) readUpdate(p *plan, text string) {
	m := updateHead.FindStringSubmatchIndex(text)
	if m == nil {
		return
	}
	t := k.tables[text[m[2]:m[3]]]
	if t == nil {
		return
	}
	set, where := text[m[1]:], ""
	if at := whereWord.FindStringIndex(text); at != nil {
		set, where = text[m[1]:at[0]], text[at[0]:]
	}
	touches := false
	for _, c := range setColumn.FindAllStringSubmatch(set, -1) {
		touches = touches || slices.Contains(t.covered, c[1])
	}
	if !touches {
		return
	}
	u := &updating{table: t}
	covered := strings.Join(append(slices.Clone(t.covered), Column), ", ")
	renumbered := parameter.ReplaceAllStringFunc(where, func(name string) string {
		number, _ := strconv.Atoi(name[1:])
		at := slices.Index(u.args, number-1)
		if at < 0 {
			at = len(u.args)
			u.args = append(u.args, number-1)
		}
		return "$" + strconv.Itoa(at+1)
	})
	u.before = "SELECT " + covered + "\nFROM " + t.Name + "\n" + renumbered
	u.seal = k.SealStatement(t.Name)
	u.readOne(text, set, where)
	p.update, p.text = u, text+"\nRETURNING "+covered
}

// readOne finds what an UPDATE sets covered columns to, and which row it names.
func (u *updating) readOne(text, set, where string) {
	for _, part := range splitList(set) {
		name, to, _ := strings.Cut(part, "=")
		column := slices.Index(u.table.covered, strings.TrimSpace(name))
		if column < 0 {
			continue
		}
		s := setting{column: column, arg: -1}
		to = strings.TrimSpace(to)
		number, err := strconv.ParseInt(to, 10, 64)
		switch whole := parameter.FindStringSubmatch(to); {
		case column < len(u.table.Key):
			return
		case whole != nil && whole[0] == to:
			at, _ := strconv.Atoi(whole[1])
			s.arg = at - 1
		case err == nil:
			s.value = number
		case to != "NULL":
			return
		}
		u.sets = append(u.sets, s)
	}
	u.given = highest(text)
	head := updateHead.FindString(text)
	u.one = head + Column + " = $" + strconv.Itoa(u.given+1) + ", " + text[len(head):]
	if orWord.MatchString(where) || strings.Contains(where, "(") && strings.Contains(where, "SELECT") {
		return
	}
	equal := map[string]int{}
	for _, m := range equalTerm.FindAllStringSubmatch(where, -1) {
		at, _ := strconv.Atoi(m[2])
		equal[m[1]] = at - 1
	}
	var key []int
	for _, name := range u.table.Key {
		at, is := equal[name]
		if !is {
			return
		}
		key = append(key, at)
	}
	u.key = key
}

// SealStatement sets the checksum, $1, of a table's row with a key, $2 and on.
func (k *Keeper) SealStatement(table string) string {
	var same []string
	for i, name := range k.tables[table].Key {
		same = append(same, name+" = $"+strconv.Itoa(i+2))
	}
	return "UPDATE " + table + "\nSET " + Column + " = $1\nWHERE " + strings.Join(same, " AND ")
}

// splitList splits at the commas that are in no brackets.
func splitList(text string) []string {
	var parts []string
	depth, start := 0, 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(text[start:]))
}

// closing is where the bracket that text begins with ends; -1 = nowhere.
func closing(text string) int {
	depth := 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// highest is the highest number of a parameter.
func highest(text string) int {
	most := 0
	for _, m := range parameter.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	return most
}
