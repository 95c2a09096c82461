package verify

import (
	"context"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// pairs are numbers and texts of one direction: how many, and the sum of their
// hashes, which is the same in whatever order they are read.
type pairs struct {
	count, sum uint64
	key        []byte
}

func (p *pairs) add(number uint64, text []byte) {
	p.key = append(binary.LittleEndian.AppendUint64(p.key[:0], number), text...)
	p.count++
	p.sum += xxhash.Sum64(p.key)
}

// compareTexts holds the texts of numbers against the numbers of texts: the
// fold takes the latter, answers the former. Where they differ, what comes next
// would be counted for another group.
func (v *verifier) compareTexts(ctx context.Context) error {
	var texts, numbers pairs
	whole, err := v.read(ctx, state.KeyTextByNumber, func(key, value []byte) bool {
		if len(key) != 9 {
			return false
		}
		texts.add(binary.BigEndian.Uint64(key[1:]), value)
		return true
	})
	if err != nil {
		return err
	}
	also, err := v.read(ctx, state.KeyText, func(key, value []byte) bool {
		_, text, ok := state.CutOrg(key[1:])
		if !ok || len(value) != 8 {
			return false
		}
		numbers.add(binary.BigEndian.Uint64(value), text)
		return true
	})
	if whole && also && (texts.count != numbers.count || texts.sum != numbers.sum) {
		v.stage(stageRecords).add("the state has %d texts by number and %d by text, and they are not the same: usage to come would be counted for other groups", texts.count, numbers.count)
	}
	// What is otherwise read only when it is asked for; damage is told here.
	for _, prefix := range []byte{state.KeyGroup, state.KeyGroupCount, state.KeyConflict, state.KeyDirty} {
		if err == nil {
			_, err = v.read(ctx, prefix, func(_, _ []byte) bool { return true })
		}
	}
	return err
}

// read reads all keys of a prefix; fn says whether it can read one. Damage is
// noted, and ends it before all is read.
func (v *verifier) read(ctx context.Context, prefix byte, fn func(key, value []byte) bool) (whole bool, err error) {
	n := 0
	err = state.Scan(v.view.State, []byte{prefix}, func(key, value []byte) error {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !fn(key, value) {
			return meter.Errorf(meter.KindCorrupt, "the key %x of the state is damaged", key)
		}
		return nil
	})
	if err == nil || ctx.Err() != nil {
		return err == nil, err
	}
	if !disk.Damaged(err) {
		return false, disk.Unreadable(err, "the state cannot be read")
	}
	v.stage(stageRecords).add("what the state keeps under %q is damaged: %v", prefix, err)
	return false, nil
}
