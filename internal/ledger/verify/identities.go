package verify

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/idset"
	"odometer/internal/meter"
)

// sighting is one event's identity, as it is sorted.
type sighting struct {
	hash    block.Hash
	check   uint64
	seq     uint64
	ord     uint32
	stored  meter.Verdict
	refused bool // row of an atomic request whose stored verdict is rejected
	judged  bool // it was the first of its identity among those before
	index   uint8
}

// What the index has of a first sighting.
const (
	inIndex    = 1 << iota // it
	otherIndex             // another event with its identity
)

const sightingBytes = 40

func (s *sighting) compare(o *sighting) int {
	return cmp.Or(cmp.Compare(s.hash.Hi, o.hash.Hi), cmp.Compare(s.hash.Lo, o.hash.Lo), cmp.Compare(s.seq, o.seq), cmp.Compare(s.ord, o.ord))
}

// diskSighting is what a sighting takes in a file.
const diskSighting = 8 + 4 + 8 + 8 + 4 + 1

func (s *sighting) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.hash.Hi)
	b = binary.LittleEndian.AppendUint32(b, s.hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, s.check)
	b = binary.LittleEndian.AppendUint64(b, s.seq)
	b = binary.LittleEndian.AppendUint32(b, s.ord)
	flags := byte(s.stored)
	if s.refused {
		flags |= 0x80
	}
	return append(b, flags)
}

func takeSighting(b []byte) sighting {
	return sighting{
		hash:  block.Hash{Hi: binary.LittleEndian.Uint64(b), Lo: binary.LittleEndian.Uint32(b[8:])},
		check: binary.LittleEndian.Uint64(b[12:]), seq: binary.LittleEndian.Uint64(b[20:]), ord: binary.LittleEndian.Uint32(b[28:]),
		stored: meter.Verdict(b[32] & 0x7f), refused: b[32]&0x80 != 0,
	}
}

// identities collects the sightings by the first bits of their hashes, so that
// each part can be sorted by itself. Within a part they are in the log's order.
type identities struct {
	lists [][]sighting
	files []*part
	shift int // of a hash: what is left is its part
	most  int // sightings of all lists
	held  int
	bytes []byte
}

// identityShare is the memory for sightings while the log is read, and for the
// parts that are sorted.
func identityShare(memory int64) int64 { return memory / 8 }

// identitySpill returns how large the files of so many events become, 0 if none is needed.
func identitySpill(events uint64, memory int64) int64 {
	if int64(events)*sightingBytes <= identityShare(memory) {
		return 0
	}
	return int64(events)*diskSighting + 1<<20
}

// newIdentities prepares for about so many events.
func newIdentities(s *spill, events uint64, memory int64) *identities {
	share := identityShare(memory)
	// A list that grows takes twice what is in it, sorting as much again, and the workers have one each.
	n := min(mostIdentityParts, max(fewestParts, int64(events)*sightingBytes*3*workers/share+1))
	log := bits.Len64(uint64(n - 1))
	all := &identities{lists: make([][]sighting, 1<<log), files: make([]*part, 1<<log), shift: 64 - log, most: int(share / sightingBytes)}
	for i := range all.files {
		all.files[i] = &part{spill: s, name: fmt.Sprintf("identities-%d", i)}
	}
	return all
}

const mostIdentityParts = 1 << 12

// fewestJudged sightings are judged together, however little memory there is.
const fewestJudged = 4096

func (all *identities) add(s *sighting) error {
	i := s.hash.Hi >> all.shift
	all.lists[i] = append(all.lists[i], *s)
	if all.held++; all.held < all.most {
		return nil
	}
	return all.flush()
}

// flush writes all lists to the files.
func (all *identities) flush() error {
	if err := all.files[0].spill.check(int64(all.held) * diskSighting); err != nil {
		return err
	}
	for i, list := range all.lists {
		if len(list) == 0 {
			continue
		}
		all.bytes = all.bytes[:0]
		for j := range list {
			all.bytes = list[j].append(all.bytes)
		}
		all.lists[i] = nil
		if err := all.files[i].add(all.bytes, 0); err != nil {
			return err
		}
		if err := all.files[i].flush(); err != nil {
			return err
		}
	}
	all.held = 0
	return nil
}

// each calls fn with the sightings of a part, some at a time and in the log's order.
func (all *identities) each(i int, fn func(list []sighting) error) error {
	var list []sighting
	err := all.files[i].frames(func(payload []byte) error {
		list = list[:0]
		for b := payload; len(b) >= diskSighting; b = b[diskSighting:] {
			list = append(list, takeSighting(b))
		}
		return fn(list)
	})
	if err == nil {
		err = fn(all.lists[i])
	}
	all.lists[i] = nil
	if err == nil {
		err = all.files[i].remove()
	}
	return err
}

// judgement judges one part of the identities.
type judgement struct {
	v          *verifier
	found      problems
	identities uint64
	conflicts  [][2]uint64 // block and row of refused rows that were conflicts
	broken     error       // why the index cannot be read
	lead       int         // bits with which all hashes of the part begin
	spare      []sighting  // room to sort
}

// verdicts judges every event again.
func (v *verifier) verdicts(ctx context.Context, all *identities) error {
	js := make([]*judgement, len(all.lists))
	var spares [workers][]sighting
	err := each(len(js), func(worker, i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		js[i] = &judgement{v: v, lead: 64 - all.shift, spare: spares[worker]}
		err := js[i].part(ctx, all, i)
		spares[worker], js[i].spare = js[i].spare, nil
		v.part(passVerdicts, len(js))
		return err
	})
	noIndex := false
	for _, j := range js {
		if j == nil {
			continue
		}
		v.stage(stageVerdicts).take(&j.found)
		if j.broken != nil && !noIndex { // once
			noIndex = true
			v.stage(stageVerdicts).add("the identity index is damaged: %v", j.broken)
		}
		v.report.Identities += j.identities
		for _, c := range j.conflicts {
			v.refused.conflict(c[0], uint32(c[1]))
		}
	}
	return err
}

// part judges a part of the identities. What outgrows the memory is judged
// before the rest is read; the first of each identity stays.
func (j *judgement) part(ctx context.Context, all *identities, i int) error {
	most := max(all.most/(3*workers), fewestJudged)
	var list []sighting
	err := all.each(i, func(more []sighting) error {
		for len(more) > 0 {
			n := min(len(more), max(most-len(list), fewestJudged))
			list, more = append(list, more[:n]...), more[n:]
			if len(list) >= most {
				list = j.judge(list)
				most = max(most, 2*len(list))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	list = j.judge(list)
	j.identities = uint64(len(list))
	lo := uint64(i) << all.shift
	return j.compareIndex(ctx, lo, lo+(1<<all.shift-1), list)
}

// judge compares stored verdicts with those that follow from the order, and
// returns the first sighting of each identity, in order of hash. The list is
// used up.
func (j *judgement) judge(list []sighting) []sighting {
	list = j.sort(list)
	firsts := list[:0]
	for i := 0; i < len(list); {
		var first sighting
		known := false
		hash := list[i].hash
		for ; i < len(list) && list[i].hash == hash; i++ {
			s := list[i]
			want := meter.Accepted
			if known {
				want = meter.Conflict
				if s.check == first.check {
					want = meter.Duplicate
				}
			}
			if s.refused {
				if want == meter.Conflict {
					j.conflicts = append(j.conflicts, [2]uint64{s.seq, uint64(s.ord)})
				}
				continue
			}
			if s.stored != want && !s.judged {
				j.found.add("event %d of block %d is stored as %s, the log says %s", s.ord, s.seq, s.stored, want)
			}
			if !known {
				first, known = s, true
				first.judged = true
				firsts = append(firsts, first)
			}
		}
	}
	return firsts
}

// sort sorts sightings by hash, and those of an identity by their places in the
// log. Hashes are spread evenly over the part, so most come near to their places
// in one step. The room of the list is what the next one is sorted in.
func (j *judgement) sort(list []sighting) []sighting {
	deep := bits.Len(uint(len(list) / 4))
	place := func(s *sighting) uint64 { return s.hash.Hi << j.lead >> (64 - deep) }
	ends := make([]uint32, 1<<deep)
	for i := range list {
		ends[place(&list[i])]++
	}
	sum := uint32(0)
	for i, n := range ends {
		ends[i] = sum
		sum += n
	}
	out := slices.Grow(j.spare[:0], len(list))[:len(list)]
	for i := range list {
		at := &ends[place(&list[i])]
		out[*at] = list[i]
		*at++
	}
	j.spare = list[:0]
	from := uint32(0)
	for _, end := range ends {
		if some := out[from:end]; len(some) > 1 {
			slices.SortFunc(some, func(a, b sighting) int { return a.compare(&b) })
		}
		from = end
	}
	return out
}

// compareIndex holds the first sightings of a part, in order of hash, against
// what the index has of that part of the hashes: each must be there, and
// nothing else. Runs are in order of hash too, so nothing is looked up.
func (j *judgement) compareIndex(ctx context.Context, lo, hi uint64, firsts []sighting) error {
	at, of := 0, -1
	err := j.v.view.Identities.Walk(ctx, lo, hi, func(run int, entries []idset.Entry) error {
		if run != of {
			at, of = 0, run
		}
		for i := range entries {
			e := &entries[i]
			for at < len(firsts) && less(firsts[at].hash, e.Hash) {
				at++
			}
			if at == len(firsts) || firsts[at].hash != e.Hash {
				j.unknown(e)
				continue
			}
			if s := &firsts[at]; e.Seq == s.seq && e.Ord == s.ord && e.Check == s.check {
				s.index |= inIndex
			} else {
				s.index |= otherIndex
			}
		}
		return nil
	})
	if err != nil {
		if meter.KindOf(err) != meter.KindCorrupt {
			return err
		}
		j.broken = err
		return nil
	}
	for i := range firsts {
		if s := &firsts[i]; s.index != inIndex {
			j.found.add("the identity of event %d of block %d is missing from the index or differs there", s.ord, s.seq)
		}
	}
	return nil
}

func less(a, b block.Hash) bool { return a.Hi < b.Hi || a.Hi == b.Hi && a.Lo < b.Lo }

// unknown notes an identity that the index has and the log does not. The index
// may be newer than the checkpoint, and a damaged block is reported as such.
func (j *judgement) unknown(e *idset.Entry) {
	if e.Seq > j.v.last || j.v.damaged[e.Seq] {
		return
	}
	j.found.add("the index has an identity of event %d of block %d that the log does not have: its first event would not be counted", e.Ord, e.Seq)
}
