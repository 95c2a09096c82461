package catalog

import (
	"maps"
	"slices"
	"time"
)

// ServicesIn returns a customer's services as they were in the parts of
// [from, to), by id and then by time; a rename ends one part and begins another.
func (v *View) ServicesIn(customer string, from, to time.Time) []Held[Service] {
	h := v.histories[customer]
	if h == nil {
		return nil
	}
	var parts []Held[Service]
	for _, id := range slices.Sorted(maps.Keys(h.services)) {
		parts = append(parts, clipAll(h.services[id], from, to)...)
	}
	return parts
}

// CPCodesEver returns a customer's CP codes by id, each as it is or was last:
// those that were removed too.
func (v *View) CPCodesEver(customer string) []CPCode {
	var codes []CPCode
	for _, id := range v.codesOf()[customer] {
		if code, _, ok := v.CPCode(id); ok {
			codes = append(codes, *code)
		}
	}
	return codes
}

// codesOf are the ids of all CP codes by whose they are, in order. They are
// sorted when they are first asked for.
func (v *View) codesOf() map[string][]int64 {
	v.codesOnce.Do(func() {
		v.codesBy = map[string][]int64{}
		for _, id := range slices.Sorted(maps.Keys(v.codes)) {
			owner := v.codes[id].customer
			v.codesBy[owner] = append(v.codesBy[owner], id)
		}
	})
	return v.codesBy
}
