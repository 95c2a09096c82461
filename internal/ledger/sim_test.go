package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// TestHistories drives ledgers through random histories of requests, meters,
// voids, checkpoints, restarts and crashes, and holds every answer against the
// naive model. ODOMETER_SIM_LONG=1 makes it run for minutes.
func TestHistories(t *testing.T) {
	t.Parallel()
	histories, steps := 4, 160
	switch {
	case long():
		histories, steps = 24, 600
	case testing.Short():
		histories, steps = 2, 100
	}
	seed := fixedtest.Seed(t)
	for i := range histories {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := fixedtest.From(seed + uint64(i))
			s := newSim(t, r)
			for step := range steps {
				s.step = step
				s.do()
			}
			s.finish()
		})
	}
}

// sim is one history.
type sim struct {
	t     *testing.T
	r     *rand.Rand
	disk  *crashDisk
	l     *Ledger
	clock *fixedtest.Clock
	model *simModel
	pool  []meter.Event
	lim   Limits
	step  int

	seq          uint64 // last entry of the log
	lastAccepted time.Time
	moments      []time.Time // acceptance times
	nextMeter    int
	nextFresh    int
	deleted      map[string]string // organization -> key of the meter deleted last
	crashes      int
}

// simEntry is one entry of the log that the ledger has acknowledged: apply
// makes it part of the model and checks what the ledger said of it.
type simEntry struct {
	seq      uint64
	accepted time.Time
	apply    func()
}

// crashDisk is a disk in memory of which a copy can be taken, as a power
// failure would leave it, before the n-th write from now.
type crashDisk struct {
	vfs.FS
	mem       *vfs.MemFS
	mu        sync.Mutex
	countdown int
	percent   int
	r         *rand.Rand
	acked     atomic.Uint64 // last sequence acknowledged
	copy      *vfs.MemFS
	copyAcked uint64
}

func newCrashDisk(mem *vfs.MemFS, r *rand.Rand) *crashDisk {
	d := &crashDisk{mem: mem, r: rand.New(rand.NewPCG(r.Uint64(), 0))}
	d.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			d.tick()
		}
		return nil
	}))
	return d
}

func (d *crashDisk) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.countdown > 0 {
		if d.countdown--; d.countdown == 0 {
			d.copyAcked = d.acked.Load()
			d.copy = d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: d.percent, RNG: d.r})
		}
	}
}

func (d *crashDisk) arm(writes, percent int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.countdown, d.percent, d.copy = writes, percent, nil
}

// disarm returns the copy, nil if there were fewer writes.
func (d *crashDisk) disarm() (*vfs.MemFS, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.countdown = 0
	return d.copy, d.copyAcked
}

func newSim(t *testing.T, r *rand.Rand) *sim {
	s := &sim{t: t, r: r, clock: fixedtest.NewClock(time.Date(2026, 10, 31, 12, 0, 0, 0, time.UTC)), model: &simModel{orgs: map[string]*simOrg{}}, deleted: map[string]string{}}
	s.lim = Limits{AnswerCells: 1, CheckpointEvents: pick(r, 100, 200, 1000), CheckpointBytes: pick(r, int64(0), 8<<10), TableBytes: pick(r, int64(1), 20<<10, 0), MergeRows: pick(r, 1, 5, 50),
		StringCache: pick(r, 2, 16, 0), StringBytes: pick(r, int64(100), 0), CellBytes: pick(r, int64(1<<12), int64(1<<15), 0), BlockCacheEntries: pick(r, 1, 4), GroupBlocks: pick(r, 2, 0), DirtyPerFlush: pick(r, 1, 3, 0), UsageRows: 1 << 20}
	for i := range 400 {
		id := meter.Identity{Source: pick(r, "src", "src/2"), ID: fmt.Sprintf("id-%d", i)}
		if chance(r, 30) {
			id.ID = fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), i)
		}
		s.pool = append(s.pool, randomEvent(r, id))
	}
	s.disk = newCrashDisk(vfs.NewCrashableMem(), r)
	s.open()
	return s
}

func (s *sim) open() {
	s.t.Helper()
	l, err := Open(context.Background(), Options{Dir: "data", FS: s.disk, Clock: s.clock.Now, Limits: s.lim,
		Fatal: func(m string) { panic("step " + fmt.Sprint(s.step) + ": fatal: " + m) }})
	if err != nil {
		s.t.Fatalf("step %d: open: %v", s.step, err)
	}
	s.l = l
}

func (s *sim) close() {
	s.t.Helper()
	if err := s.l.Close(); err != nil {
		s.t.Fatalf("step %d: close: %v", s.step, err)
	}
}

func (s *sim) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("step %d: %s", s.step, fmt.Sprintf(format, args...))
}

// accepted is the acceptance time that the next entry gets.
func (s *sim) accepted() time.Time { return later(s.clock.Now(), s.lastAccepted) }

// do takes one step.
func (s *sim) do() {
	if chance(s.r, 50) {
		s.clock.Advance(time.Duration(s.r.Int64N(int64(3 * time.Hour))))
	} else if chance(s.r, 5) {
		s.clock.Advance(-time.Duration(s.r.Int64N(int64(2 * time.Hour))))
	}
	crash := chance(s.r, 12)
	if crash {
		s.disk.arm(1+s.r.IntN(pick(s.r, 3, 30)), pick(s.r, 0, 0, 30, 70, 100))
	}
	entries := s.act()
	if crash {
		if fs, acked := s.disk.disarm(); fs != nil {
			entries = s.crash(fs, acked, entries)
		}
	}
	for _, e := range entries {
		s.apply(e)
	}
	s.check()
}

func (s *sim) apply(e simEntry) {
	s.lastAccepted = e.accepted
	s.moments = append(s.moments, e.accepted)
	s.seq = max(s.seq, e.seq)
	e.apply()
}

// act does something to the ledger and returns what it acknowledged.
func (s *sim) act() []simEntry {
	switch n := s.r.IntN(100); {
	case n < 45:
		return s.append()
	case n < 57:
		return s.burst()
	case n < 66:
		return s.createMeter()
	case n < 70:
		return s.changeMeter()
	case n < 80:
		return s.void()
	case n < 82:
		return s.customerAttribute()
	case n < 90:
		if err := s.l.Checkpoint(); err != nil {
			s.fatalf("checkpoint: %v", err)
		}
	case n < 94:
		s.close()
		s.open()
	default:
		s.disk.arm(0, pick(s.r, 0, 50, 100))
		s.crash(s.disk.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(s.r, 0, 50, 100), RNG: s.r}), s.seq, nil)
	}
	return nil
}

// crash goes on from a copy of the disk and returns the entries that it holds.
func (s *sim) crash(fs *vfs.MemFS, acked uint64, entries []simEntry) []simEntry {
	s.t.Helper()
	s.crashes++
	s.close() // the old one ends elsewhere
	s.disk = newCrashDisk(fs, s.r)
	s.open()
	last := s.l.Stats().Last
	s.disk.acked.Store(last)
	all := s.seq
	for _, e := range entries {
		all = max(all, e.seq)
	}
	if last < acked || last < s.seq || last > all {
		s.fatalf("after a crash the log ends at %d; %d was acknowledged, %d appended", last, max(acked, s.seq), all)
	}
	return slices.DeleteFunc(entries, func(e simEntry) bool { return e.seq > last })
}

func (s *sim) request(fresh bool) *simRequest {
	req := &simRequest{org: pick(s.r, simOrgs[:2+s.r.IntN(3)]...), atomic: chance(s.r, 15)}
	for range 1 + s.r.IntN(pick(s.r, 3, 40)) {
		if chance(s.r, 2) {
			req.items = append(req.items, simItem{reject: fmt.Sprintf("bad-%d", s.r.IntN(1000))})
			continue
		}
		e := s.pool[s.r.IntN(len(s.pool))]
		if fresh || chance(s.r, 20) {
			s.nextFresh++
			e = randomEvent(s.r, meter.Identity{Source: "fresh", ID: fmt.Sprint(s.nextFresh)})
		} else if chance(s.r, 3) {
			e = altered(s.r, e)
		}
		e.Data = slices.Clone(e.Data)
		s.r.Shuffle(len(e.Data), func(i, j int) { e.Data[i], e.Data[j] = e.Data[j], e.Data[i] })
		req.items = append(req.items, simItem{event: &e})
		if chance(s.r, 3) && !fresh { // the same again in one request
			req.items = append(req.items, simItem{event: &e})
		}
	}
	return req
}

// customers are resolved with the attribute of the moment.
func (s *sim) customers(req *simRequest) []string {
	out := make([]string, len(req.items))
	for i, it := range req.items {
		if it.event != nil {
			out[i] = s.model.org(req.org).resolve(it.event)
		}
	}
	return out
}

func (s *sim) append() []simEntry {
	req := s.request(false)
	customers := s.customers(req)
	accepted := s.accepted()
	res, err := s.l.Append(context.Background(), stageRequest(s.t, s.l, req))
	if err != nil {
		s.fatalf("append: %v", err)
	}
	s.disk.acked.Store(res.Sequence)
	if res.Sequence != s.seq+1 {
		s.fatalf("sequence %d after %d", res.Sequence, s.seq)
	}
	return []simEntry{s.appended(req, res, accepted, customers)}
}

func (s *sim) appended(req *simRequest, res meter.Result, accepted time.Time, customers []string) simEntry {
	return simEntry{res.Sequence, accepted, func() {
		o := s.model.org(req.org)
		before := len(o.accepted)
		want := o.judge(req, res.Sequence, accepted.UnixNano(), customers)
		untimed, skipped := o.told(o.accepted[before:])
		if res.TimeAssigned != untimed || len(res.Warnings)+res.WarningsLeftOut != skipped {
			s.fatalf("block %d: %d times assigned and %d+%d warnings, want %d and %d", res.Sequence, res.TimeAssigned, len(res.Warnings), res.WarningsLeftOut, untimed, skipped)
		}
		got := simJudged{accepted: res.Accepted, duplicates: res.Duplicates, conflicts: res.Conflicts, rejected: res.Rejected}
		for _, e := range res.Errors {
			got.errors = append(got.errors, simError{e.Index, e.Verdict})
			if it := req.items[e.Index]; it.event != nil && (e.ID != it.event.ID || e.Source != it.event.Source) || e.Reason == "" {
				s.fatalf("error %+v for %+v", e, it)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			s.fatalf("block %d: verdicts %+v, want %+v", res.Sequence, got, want)
		}
	}}
}

// burst appends several requests at once; they share no identities.
func (s *sim) burst() []simEntry {
	n := 2 + s.r.IntN(8)
	reqs, results, customers := make([]*simRequest, n), make([]meter.Result, n), make([][]string, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	accepted := s.accepted()
	for i := range n {
		reqs[i] = s.request(true)
		customers[i] = s.customers(reqs[i])
		b := stageRequest(s.t, s.l, reqs[i])
		wg.Go(func() { results[i], errs[i] = s.l.Append(context.Background(), b) })
	}
	wg.Wait()
	var out []simEntry
	for i := range n {
		if errs[i] != nil {
			s.fatalf("append: %v", errs[i])
		}
		out = append(out, s.appended(reqs[i], results[i], accepted, customers[i]))
	}
	slices.SortStableFunc(out, func(a, b simEntry) int { return int(a.seq) - int(b.seq) })
	s.disk.acked.Store(out[len(out)-1].seq)
	return out
}

// control is an entry that takes the next sequence.
func (s *sim) control(apply func(seq uint64, at time.Time)) []simEntry {
	seq, at := s.seq+1, s.accepted()
	s.disk.acked.Store(seq)
	return []simEntry{{seq, at, func() { apply(seq, at) }}}
}

func (s *sim) createMeter() []simEntry {
	name := pick(s.r, simOrgs...)
	for org := range s.deleted {
		name = org
	}
	o := s.model.org(name)
	if len(o.meters) >= 9 {
		return s.append()
	}
	s.nextMeter++
	key := fmt.Sprintf("m%d", s.nextMeter)
	if again := fmt.Sprintf("m%d", 1+s.r.IntN(s.nextMeter)); o.meter(again) < 0 && chance(s.r, 50) {
		key = again // perhaps one that was deleted
	}
	if again, ok := s.deleted[name]; ok && o.meter(again) < 0 && chance(s.r, 70) {
		key = again
		delete(s.deleted, name)
	}
	def := randomMeter(s.r, key)
	if len(o.meters) > 0 && chance(s.r, 40) {
		def = kindred(s.r, def, &o.meters[s.r.IntN(len(o.meters))].def)
	}
	return s.define(o, def.Normalize())
}

// define makes a meter of the organization.
func (s *sim) define(o *simOrg, def meter.Meter) []simEntry {
	name := o.name
	st, err := s.l.CreateMeter(context.Background(), name, def, "sim")
	if err != nil {
		s.fatalf("create %+v: %v", def, err)
	}
	return s.control(func(seq uint64, at time.Time) {
		if st.CreatedSequence != seq || !st.CreatedAt.Equal(at) {
			s.fatalf("meter created at %d, %s; want %d, %s", st.CreatedSequence, st.CreatedAt, seq, at)
		}
		o.meters = append(o.meters, simMeter{def, seq})
	})
}

func (s *sim) changeMeter() []simEntry {
	o := s.model.org(pick(s.r, simOrgs...))
	if len(o.meters) == 0 {
		return s.append()
	}
	i := s.r.IntN(len(o.meters))
	key := o.meters[i].def.Key
	if chance(s.r, 60) {
		name := fmt.Sprint("name ", s.step)
		if _, err := s.l.UpdateMeter(context.Background(), o.name, key, meter.MeterPatch{Name: &name}, "sim"); err != nil {
			s.fatalf("update: %v", err)
		}
		return s.control(func(uint64, time.Time) { o.meters[i].def.Name = name })
	}
	out := s.deleteMeter(o, i)
	s.deleted[o.name] = key
	return out
}

func (s *sim) deleteMeter(o *simOrg, i int) []simEntry {
	if err := s.l.DeleteMeter(context.Background(), o.name, o.meters[i].def.Key, "sim"); err != nil {
		s.fatalf("delete: %v", err)
	}
	return s.control(func(uint64, time.Time) { o.meters = slices.Delete(o.meters, i, i+1) })
}

func (s *sim) customerAttribute() []simEntry {
	o, attr := s.model.org(pick(s.r, simOrgs...)), pick(s.r, "", "account")
	if err := s.l.SetCustomerAttribute(context.Background(), o.name, attr, "sim"); err != nil {
		s.fatalf("customer attribute: %v", err)
	}
	return s.control(func(uint64, time.Time) { o.customer = attr })
}

func (s *sim) void() []simEntry {
	o := s.model.org(pick(s.r, simOrgs...))
	var ids []meter.Identity
	for range 1 + s.r.IntN(6) {
		id := s.pool[s.r.IntN(len(s.pool))].Identity
		if len(o.accepted) > 0 && chance(s.r, 85) {
			id = o.accepted[s.r.IntN(len(o.accepted))].Identity
		}
		ids = append(ids, id)
	}
	res, err := s.l.Void(context.Background(), o.name, ids, "sim", "a reason")
	if err != nil {
		s.fatalf("void: %v", err)
	}
	return s.control(func(seq uint64, at time.Time) {
		v, d, r := o.void(ids, seq, at.UnixNano())
		if res.Sequence != seq || res.Voided != v || res.Duplicates != d || len(res.Rejected) != r {
			s.fatalf("void %v = %+v, want %d voided, %d duplicates, %d rejected at %d", ids, res, v, d, r, seq)
		}
	})
}
