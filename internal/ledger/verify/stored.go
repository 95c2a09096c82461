package verify

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// stateReader reads a snapshot of the stored state for verification: with
// code of its own, so that a mistake in the reading path is not repeated.
type stateReader struct {
	db     pebble.Reader
	texts  map[uint64]string // read last
	groups map[uint64]string // as texts, but of those that are missing too
}

// reader reads what is stored; each goroutine has its own.
func (v *verifier) reader() *stateReader {
	return &stateReader{db: v.view.State, texts: map[uint64]string{}, groups: map[uint64]string{}}
}

// maxTexts bounds the texts that are kept.
const maxTexts = 1 << 14

func (s *stateReader) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, disk.Unreadable(err, "the state cannot be read")
	}
	out := append([]byte{}, v...)
	return out, closer.Close()
}

func (s *stateReader) verdicts(seq uint64, n int) ([]meter.Verdict, error) {
	packed, err := s.get(state.SeqKey(state.KeyVerdicts, seq))
	if err != nil {
		return nil, err
	}
	out := make([]meter.Verdict, n)
	if packed == nil {
		return out, nil
	}
	if len(packed)*4 < n {
		return nil, meter.Errorf(meter.KindCorrupt, "the verdicts of block %d are damaged", seq)
	}
	for i := range out {
		out[i] = meter.Verdict(packed[i>>2] >> (i & 3 * 2) & 3)
	}
	return out, nil
}

func (s *stateReader) voids(seq uint64) (map[uint32]state.VoidNote, error) {
	out := map[uint32]state.VoidNote{}
	err := state.Scan(s.db, state.SeqKey(state.KeyVoided, seq), func(key, value []byte) error {
		var n state.VoidNote
		if err := json.Unmarshal(value, &n); err != nil || len(key) != 13 {
			return meter.WrapError(meter.KindCorrupt, err, "a void record of block %d is damaged", seq)
		}
		out[binary.BigEndian.Uint32(key[9:])] = n
		return nil
	})
	return out, err
}

func (s *stateReader) checkpoint() (state.CheckpointRecord, error) {
	var rec state.CheckpointRecord
	v, err := s.get([]byte{state.KeyCheckpoint})
	if err != nil {
		return rec, err
	}
	if v != nil {
		err = json.Unmarshal(v, &rec)
	}
	if err != nil {
		return rec, meter.WrapError(meter.KindCorrupt, err, "the checkpoint record is damaged")
	}
	return rec, nil
}

// text returns the text of a number.
func (s *stateReader) text(id uint64) (string, error) {
	if id == state.EmptyText {
		return "", nil
	}
	if text, ok := s.texts[id]; ok {
		return text, nil
	}
	v, err := s.get(state.SeqKey(state.KeyTextByNumber, id))
	if err != nil {
		return "", err
	}
	if v == nil {
		return "", meter.Errorf(meter.KindCorrupt, "text %d is missing", id)
	}
	if len(s.texts) >= maxTexts {
		clear(s.texts)
	}
	s.texts[id] = string(v)
	return s.texts[id], nil
}

// groupText returns the text of a number in a group: "" if it is missing, so
// that the group is not one that the log has.
func (s *stateReader) groupText(id uint64) (string, error) {
	if text, ok := s.groups[id]; ok {
		return text, nil
	}
	v, err := s.get(state.SeqKey(state.KeyTextByNumber, id))
	if err != nil {
		return "", err
	}
	if len(s.groups) >= maxTexts {
		clear(s.groups)
	}
	s.groups[id] = string(v)
	return s.groups[id], nil
}

// listsGroup says whether the meter keeps a group apart.
func (s *stateReader) listsGroup(m *storedMeter, texts []string) (bool, error) {
	ids := make([]uint64, len(texts))
	for i, t := range texts {
		if t == "" {
			continue
		}
		v, err := s.get(state.OrgKey(state.KeyText, m.Org, t))
		if err != nil || len(v) != 8 {
			return false, err
		}
		ids[i] = binary.BigEndian.Uint64(v)
	}
	v, err := s.get(state.GroupKey(m.Record.Version, ids))
	return v != nil, err
}
