// Package loadgen sends usage events to a running server as fast as two
// shared cores allow and knows exactly what it sent.
//
// Every event is a pure function of (plan, connection, batch, position), so a
// later run can send the same events again. Requests are built once; before
// each send only the ids and times inside them are overwritten:
//
//	Plan ─► stream (one per connection) ─► [header|body] patched in place ─► net.Conn
//	                 └► Totals (what the server must answer)
package loadgen

import (
	"fmt"
	"strings"
	"time"
)

// Profile is a fixed shape of load.
type Profile struct {
	Name        string
	About       string
	Batch       int // events per request
	Connections int // by default
	Customers   int
	Services    int // each belongs to customer (service modulo Customers)
	Regions     int // at most len(regionNames)
	Span        time.Duration
	Duplicates  int // of 1,000 events, how many repeat an earlier one
	Variants    int // different bodies built per connection

	// Drawn: customer and service of every event are drawn anew, not those of
	// the bodies. The rest is of such a profile only; see Growth.
	Drawn         bool `json:",omitempty"`
	Meters        int  `json:",omitempty"`
	Organizations int  `json:",omitempty"` // the customers are spread over; 0 = the key's own
}

const (
	recently = 10 * time.Minute
	month    = 31 * 24 * time.Hour
)

var regionNames = [...]string{"us-east", "us-west", "eu-west", "eu-east", "ap-east", "sa-east"}

// Profiles returns the fixed profiles in the order they are documented.
func Profiles() []Profile {
	base := Profile{Batch: 1000, Connections: 16, Customers: 200, Services: 1000, Regions: 6, Span: recently, Variants: 4}
	with := func(name, about string, change func(*Profile)) Profile {
		p := base
		p.Name, p.About = name, about
		change(&p)
		return p
	}
	return []Profile{
		with("batch-1000", "1,000 events per request", func(*Profile) {}),
		with("batch-100", "100 events per request", func(p *Profile) { p.Batch, p.Connections, p.Variants = 100, 64, 16 }),
		with("batch-1", "one event per request", func(p *Profile) { p.Batch, p.Connections, p.Variants = 1, 64, 1024 }),
		with("single-organization", "everything for one customer of one organization",
			func(p *Profile) { p.Customers, p.Services = 1, 5 }),
		with("many-customers", "50,000 customers of one service each",
			func(p *Profile) { p.Customers, p.Services, p.Variants = 50_000, 50_000, 16 }),
		with("duplicates", "2 % of the events repeat an earlier one", func(p *Profile) { p.Duplicates = 20 }),
		with("month", "times uniform over 31 days", func(p *Profile) { p.Span = month }),
	}
}

// ProfileNames lists the names for help and errors.
func ProfileNames() string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// FindProfile returns the profile of that name.
func FindProfile(name string) (Profile, error) {
	for _, p := range Profiles() {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("no profile %q: want one of %s", name, ProfileNames())
}

// Plan fixes every event of a run.
type Plan struct {
	Profile     Profile
	Seed        uint64
	Base        time.Time // events lie in [Base-Span, Base); whole seconds
	Connections int
}

// newPlan makes a plan whose events end at now.
func newPlan(p Profile, seed uint64, now time.Time, connections int) Plan {
	if connections == 0 {
		connections = p.Connections
	}
	return Plan{Profile: p, Seed: seed, Base: now.UTC().Truncate(time.Second), Connections: connections}
}

// Run is a short name of the plan, unique to its seed and time; meters and
// event types carry it, so that totals of one run are not mixed with another's.
func (p Plan) Run() string {
	return fmt.Sprintf("%08x", uint32(mix(mix(p.Seed)^uint64(p.Base.Unix()))))
}

// EventType is the type of all events of the plan.
func (p Plan) EventType() string { return "load." + p.Run() }

// Start returns the time of the earliest possible event.
func (p Plan) Start() time.Time { return p.Base.Add(-p.Profile.Span) }

// mix is the finaliser of SplitMix64: a bijection of the 64-bit integers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
