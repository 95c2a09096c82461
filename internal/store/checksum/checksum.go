// Package checksum gives the rows of a SQL database a keyed checksum and
// checks it whenever they are read, whatever statement reads or writes them.
//
// It wraps a database/sql driver. A statement that writes a table with
// checksums is extended so that the row and its checksum are written together;
// one that changes rows checks them first, so that damage is never covered up;
// one that reads rows also reads their checksum, and a row that does not have
// the one it was stored with is an error of kind KindCorrupt, never a value.
//
// A row is damaged when a bit of a covered column, of its key or of the
// checksum changed, when it was changed by other means, or when it was moved
// from another place. A row that is missing altogether is not seen here.
package checksum

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"odometer/internal/meter"
)

// Column is the name of the column that holds a row's checksum.
const Column = "checksum"

// KeyBytes is the length of the key.
const KeyBytes = 32

// sumBytes is the length of a checksum: as much of HMAC-SHA-256.
const sumBytes = 16

// maxDamaged bounds the damaged rows that are told apart.
const maxDamaged = 10_000

// Table is a table whose rows have checksums.
type Table struct {
	Name    string
	Noun    string   // what a row is, for people
	Key     []string // columns of its primary key
	Columns []string // covered columns besides Key

	// Defaulted are covered columns with the default that the database gives
	// them. A row that has it has the same checksum as without the column: an
	// insert may leave it out, and rows from before the column stay as they are.
	Defaulted map[string]driver.Value

	covered []string // Key, Columns and the names of Defaulted
}

// Keeper makes and checks the checksums of a database's tables. Until it has a
// key, it lets every statement pass as it is.
type Keeper struct {
	tables map[string]*Table
	order  []string
	macs   atomic.Pointer[sync.Pool] // of *summer under the key; nil = no key yet
	plans  plans

	damage  func(error) // told of each damaged row once
	mu      sync.Mutex
	damaged map[string]bool
}

// New returns a Keeper of tables. It calls damage, which may be nil, when it
// meets a damaged row for the first time.
func New(tables []Table, damage func(error)) *Keeper {
	k := &Keeper{tables: map[string]*Table{}, damage: damage, damaged: map[string]bool{}}
	for _, t := range tables {
		t.covered = append(append(append([]string{}, t.Key...), t.Columns...), slices.Sorted(maps.Keys(t.Defaulted))...)
		k.tables[t.Name] = &t
		k.order = append(k.order, t.Name)
	}
	return k
}

// SetKey starts making and checking checksums.
func (k *Keeper) SetKey(key []byte) {
	k.macs.Store(&sync.Pool{New: func() any { return &summer{mac: hmac.New(sha256.New, key)} }})
}

// Damaged is the number of damaged rows that were met and not found whole since.
func (k *Keeper) Damaged() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.damaged)
}

// Tables returns the names of the tables that have checksums, in order.
func (k *Keeper) Tables() []string { return k.order }

// Covered returns the covered columns of a table, those of its key first.
func (k *Keeper) Covered(table string) []string { return k.tables[table].covered }

// Key returns the columns of a table's primary key.
func (k *Keeper) Key(table string) []string { return k.tables[table].Key }

// Sum returns the checksum of a row, whose values are those of the covered columns in order.
func (k *Keeper) Sum(table string, values []driver.Value) ([]byte, error) {
	var sum [sumBytes]byte
	if err := k.sum(&sum, table, values); err != nil {
		return nil, err
	}
	return sum[:], nil
}

func (k *Keeper) sum(to *[sumBytes]byte, table string, values []driver.Value) error {
	pool := k.macs.Load()
	if pool == nil {
		return meter.Errorf(meter.KindInternal, "the checksums of the catalog have no key yet")
	}
	t := k.tables[table]
	m, _ := pool.Get().(*summer)
	defer pool.Put(m)
	m.mac.Reset()
	m.buf = m.buf[:0]
	m.text(t.Name)
	plain := len(t.Key) + len(t.Columns)
	for i, name := range t.covered {
		if i >= plain && same(values[i], t.Defaulted[name]) {
			continue
		}
		m.text(name)
		if err := m.value(values[i]); err != nil {
			return fmt.Errorf("%s.%s: %w", t.Name, name, err)
		}
	}
	m.flush()
	m.buf = m.mac.Sum(m.buf)
	copy(to[:], m.buf)
	return nil
}

// Check returns an error of KindCorrupt if a row's checksum is not the one
// that its values have.
func (k *Keeper) Check(table string, values []driver.Value, stored driver.Value) error {
	var want [sumBytes]byte
	if err := k.sum(&want, table, values); err != nil {
		return err
	}
	t := k.tables[table]
	have, _ := stored.([]byte)
	if hmac.Equal(want[:], have) {
		k.forget(t, values)
		return nil
	}
	name := t.rowName(values)
	damage := meter.Errorf(meter.KindCorrupt, "the catalog is damaged: %s %s is not as it was stored", t.Noun, name)
	if k.note(t, name) && k.damage != nil {
		k.damage(damage)
	}
	return damage
}

func (k *Keeper) note(t *Table, name string) (fresh bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := t.Name + " " + name
	if k.damaged[id] || len(k.damaged) >= maxDamaged {
		return false
	}
	k.damaged[id] = true
	return true
}

func (k *Keeper) forget(t *Table, values []driver.Value) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.damaged) > 0 {
		delete(k.damaged, t.Name+" "+t.rowName(values))
	}
}

// rowName is a row's key for people: its parts quoted, joined by slashes.
func (t *Table) rowName(values []driver.Value) string {
	parts := make([]string, len(t.Key))
	for i := range t.Key {
		parts[i] = clip(fmt.Sprint(plainText(values[i])))
	}
	return strconv.Quote(strings.Join(parts, "/"))
}

func plainText(v driver.Value) any {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return v
}

// clip bounds what is told of a damaged key.
func clip(text string) string {
	const most = 128
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

func same(a, b driver.Value) bool {
	a, b = plainText(a), plainText(b)
	if n, ok := number(a); ok {
		m, ok := number(b)
		return ok && n == m
	}
	return a == b
}

func number(v driver.Value) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// summer makes one checksum at a time. What it adds is collected first, since a
// text given to a hash is copied each time.
type summer struct {
	mac hash.Hash
	buf []byte
}

// summerBytes is how much is collected.
const summerBytes = 4 << 10

func (m *summer) flush() {
	_, _ = m.mac.Write(m.buf) // never fails
	m.buf = m.buf[:0]
}

func (m *summer) text(text string) {
	m.buf = binary.LittleEndian.AppendUint64(m.buf, uint64(len(text)))
	for len(m.buf)+len(text) > summerBytes {
		n := max(summerBytes-len(m.buf), 0)
		m.buf = append(m.buf, text[:n]...)
		text = text[n:]
		m.flush()
	}
	m.buf = append(m.buf, text...)
}

// value adds a value such that the databases' forms of it are one: a boolean
// is a number, bytes are a text.
func (m *summer) value(v driver.Value) error {
	if n, ok := number(v); ok {
		m.buf = binary.LittleEndian.AppendUint64(append(m.buf, 1), uint64(n))
		return nil
	}
	switch v := v.(type) {
	case nil:
		m.buf = append(m.buf, 0)
	case string:
		m.buf = append(m.buf, 2)
		m.text(v)
	case []byte:
		m.buf = append(m.buf, 2)
		m.text(string(v))
	default:
		return fmt.Errorf("a %T has no checksum", v)
	}
	return nil
}
