package ledger

// knownGroups remembers groups that meters have seen, by the keys of their
// records. A fresh table of cells meets every group again, and asking the state
// for each of them held the fold up for some 300 ms after a checkpoint. It is
// bounded: two generations, of which the older is dropped. Versions of meters
// are never given twice, so what it knows stays true. Fold goroutine only.
type knownGroups struct {
	young, old map[string]struct{}
}

// knownGroupsHeld bounds one generation.
const knownGroupsHeld = 1 << 17

func (k *knownGroups) has(key []byte) bool {
	if _, ok := k.young[string(key)]; ok {
		return true
	}
	_, ok := k.old[string(key)]
	if ok {
		k.add(key) // it is in use: keep it for another generation
	}
	return ok
}

func (k *knownGroups) add(key []byte) {
	if k.young == nil || len(k.young) >= knownGroupsHeld {
		k.old, k.young = k.young, map[string]struct{}{}
	}
	k.young[string(key)] = struct{}{}
}
