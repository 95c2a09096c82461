package ledger

import (
	"reflect"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// The count is exact while it is small, and near beyond, whatever the order;
// what is stored is what was counted.
func TestGroupCount(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	const most = 200_000
	var c groupCount
	next := 1
	for n := 1; n <= most; n++ {
		group := []uint64{uint64(n), uint64(n % 7)}
		c.add(group)
		if rng.IntN(4) == 0 {
			c.add([]uint64{uint64(1 + rng.IntN(n)), 0}[:1]) // another group of one id: counted too
			c = groupCount{few: c.few, registers: c.registers}
			c.add(group) // again: not counted
			if c.changed {
				t.Fatalf("%d: a group that is known changes the count", n)
			}
		}
		if n != next {
			continue
		}
		next = n*3/2 + 1
		var one groupCount
		for i := n; i > 0; i-- {
			one.add([]uint64{uint64(i), uint64(i % 7)})
		}
		if got := one.estimate(); !countsGroups(got, uint64(n)) {
			t.Errorf("%d groups are counted as %d", n, got)
		}
		back, err := decodeGroupCount(one.encode())
		one.changed = false
		if err != nil || !reflect.DeepEqual(back, one) {
			t.Errorf("%d groups: stored and read, %v", n, err)
		}
	}
}

// countsGroups says whether a count is what it may be: exact while it is small,
// five standard errors off at most beyond.
func countsGroups(got, groups uint64) bool {
	if groups <= groupsCounted {
		return got == groups
	}
	return 6*(max(got, groups)-min(got, groups)) <= groups
}

// What is stored and damaged is refused.
func FuzzGroupCount(f *testing.F) {
	var few, many groupCount
	for i := range uint64(500) {
		many.add([]uint64{i})
		if i < 3 {
			few.add([]uint64{i})
		}
	}
	f.Add(few.encode())
	f.Add(many.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeGroupCount(b)
		if err != nil {
			if meter.KindOf(err) != meter.KindCorrupt {
				t.Errorf("%v", err)
			}
			return
		}
		if string(c.encode()) != string(b) {
			t.Error("read and stored again, it is another")
		}
		c.estimate()
	})
}
