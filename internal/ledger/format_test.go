package ledger

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

const formatPage = "../../docs/format-state.md"

// The control entries on the page are what the ledger writes and reads.
func TestControlEntriesOfTheFormatPage(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	def := meter.Meter{Key: "bytes", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer", "region"}}
	entries := []control{
		{V: 1, Actor: "key-1", Create: &def},
		{V: 1, Actor: "key-1", Update: &meterUpdate{Key: "bytes", MeterPatch: meter.MeterPatch{Unit: text("byte")}}},
		{V: 1, Actor: "key-1", Delete: "bytes"},
		{V: 1, Actor: "key-1", Customer: text("account")},
		{V: 1, Actor: "key-1", Assign: new(bool)},
		{V: 1, Actor: "key-1", Void: &voidEntry{IDs: []voidIdentity{{"edge", "a-1"}}, Reason: "sent twice"}},
	}
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range entries {
		b, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "\n"+string(b)+"\n") {
			t.Errorf("not on the page: %s", b)
		}
		if back, err := decodeControl(b); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%s reads as %+v, %v", b, back, err)
		}
	}
	for _, damaged := range []string{"", "{", `{"v":2}`, `{"v":1,"other":1}`, "[]"} {
		if _, err := decodeControl([]byte(damaged)); meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("%q: %v", damaged, err)
		}
	}
}

// The keys of the state are those on the page: each family is stored, and no other.
func TestStateKeys(t *testing.T) {
	t.Parallel()
	for want, have := range map[string][]byte{
		"680161" + "0000000000000007": state.HeaderKey("a", 7),
		"6b0161" + "0000000000000001" + "00000002" + "0000000000000003" + "00000004": state.ConflictKey("a", block.Hash{Hi: 1, Lo: 2}, 3, 4),
		"56" + "0000000000000003" + "00000004":                                       state.VoidedKey(3, 4),
		"67" + "00000002" + "0000000000000005":                                       state.GroupKey(2, []uint64{5}),
		"79" + "00000002" + "7fffffff" + "0000000000000005":                          state.DirtyKey(state.DirtySlot{Version: 2, Slot: -1}, []uint64{5}),
		"6d0161" + "6b": state.OrgKey(state.KeyMeter, "a", "k"),
	} {
		if fmt.Sprintf("%x", have) != want {
			t.Errorf("key %x, want %s", have, want)
		}
	}
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	keys, _, _ := strings.Cut(string(page), "## Checkpoint record")
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(.)`").FindAllStringSubmatch(keys, -1) {
		documented[m[1]] = true
	}
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{DirtyBytes: 1}})
	createMeters(t, l, "default", voidableMeters())
	for i := range 3 {
		appendAll(t, l, "default", sampleEvents(20, fmt.Sprint(i)))
	}
	again := sampleEvents(1, "0")
	again[0].data["bytes"] = 77
	appendAll(t, l, "default", again)
	if _, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: "0-3"}, {Source: "test", ID: "2-3"}}, "key-1", "sent twice"); err != nil {
		t.Fatal(err)
	}
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	if err := l.scanState(nil, func(key, _ []byte) error { stored[string(key[:1])] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	stored["g"] = true // of an older program
	if !reflect.DeepEqual(stored, documented) {
		t.Errorf("stored %v, documented %v", stored, documented)
	}
}
