package ledger

import (
	"encoding/binary"
	"testing"
)

// The set holds what is in use, forgets what is not, and never outgrows two generations.
func TestKnownGroupsAreBounded(t *testing.T) {
	t.Parallel()
	var k knownGroups
	key := func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }
	if k.has(key(0)) {
		t.Fatal("an empty set knows a group")
	}
	const used = 7
	k.add(key(used))
	for i := 1000; i < 1000+5*knownGroupsHeld; i++ {
		k.add(key(i))
		if i%1000 == 0 && !k.has(key(used)) {
			t.Fatalf("a group in use is forgotten at %d", i)
		}
		if n := len(k.young) + len(k.old); n > 2*knownGroupsHeld {
			t.Fatalf("%d groups held, limit %d", n, 2*knownGroupsHeld)
		}
	}
	if k.has(key(1000)) {
		t.Error("a group that nobody asked for is still held after five generations")
	}
}
