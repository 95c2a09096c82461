package state

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/meter"
)

// Org is an organization as it is stored, with its meters in order of version.
type Org struct {
	Name   string
	Record OrgRecord
	Meters []MeterRecord
}

// ReadOrgs reads the stored organizations and their meters.
func ReadOrgs(db pebble.Reader) (map[string]*Org, error) {
	orgs := map[string]*Org{}
	err := Scan(db, []byte{KeyOrg}, func(key, value []byte) error {
		name, _, ok := CutOrg(key[1:])
		if !ok {
			return meter.Errorf(meter.KindCorrupt, "organization key %x is damaged", key)
		}
		o := &Org{Name: name}
		if err := json.Unmarshal(value, &o.Record); err != nil {
			return meter.WrapError(meter.KindCorrupt, err, "the record of organization %s is damaged", name)
		}
		orgs[name] = o
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = Scan(db, []byte{KeyMeter}, func(key, value []byte) error {
		name, rest, ok := CutOrg(key[1:])
		if !ok || orgs[name] == nil {
			return meter.Errorf(meter.KindCorrupt, "meter key %x is damaged", key)
		}
		var r MeterRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return meter.WrapError(meter.KindCorrupt, err, "the record of meter %s is damaged", rest)
		}
		orgs[name].Meters = append(orgs[name].Meters, r)
		return nil
	})
	for _, o := range orgs {
		slices.SortFunc(o.Meters, func(a, b MeterRecord) int { return cmp.Compare(a.Version, b.Version) })
	}
	return orgs, err
}
