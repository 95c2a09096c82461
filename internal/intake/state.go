package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Mark is a short form of a Pos: the first 128 bits of its chain.
type Mark struct {
	Offset int64  `json:"offset"`
	Chain  string `json:"chain"`
}

func markOf(p Pos) Mark { return Mark{p.Offset, hex.EncodeToString(p.Chain[:16])} }

// Probe is an event that the server has acknowledged. Sending it once more
// tells whether the server still has what the state says it has.
type Probe struct {
	Offset int64           `json:"offset"` // of its record
	Event  json.RawMessage `json:"event"`
}

// Stream is what the state remembers of one stream. Everything before Pos was
// acknowledged.
type Stream struct {
	Path    string    `json:"path"`           // its last known name, for people
	Stat    Stat      `json:"stat"`           // the file it was last read from
	Whole   bool      `json:"whole"`          // Pos was the end of that file
	Pos     Pos       `json:"pos"`            // where to go on
	Tail    string    `json:"tail,omitempty"` // hash of up to TailBytes of text before Pos, if the file is not compressed
	Head    []Mark    `json:"head"`           // the end of each of the first HeadLines lines
	Fork    *Fork     `json:"fork,omitempty"` // how its first lines are named, if it started like another stream
	Mapping string    `json:"mapping"`        // Fingerprint of the decoder
	Probes  []Probe   `json:"probes"`         // one of each of the last batches
	Updated time.Time `json:"updated"`        // when Pos was last moved

	NotCounted int64 `json:"not_counted,omitempty"` // lines before Pos that were rejected or in conflict
}

// Lineage is the streams whose first record is the same, sent to the same server.
type Lineage struct {
	Version int       `json:"version"`
	Streams []*Stream `json:"streams"`
}

const stateVersion = 1

// add remembers one more stream and forgets the one not touched for longest
// when there are too many.
func (l *Lineage) add(s *Stream) {
	if len(l.Streams) >= maxStreams {
		oldest := 0
		for i, other := range l.Streams {
			if other.Updated.Before(l.Streams[oldest].Updated) {
				oldest = i
			}
		}
		l.Streams = slices.Delete(l.Streams, oldest, oldest+1)
	}
	l.Streams = append(l.Streams, s)
}

// maxSources is how many sources the state remembers for streams with one and
// the same first line; the first one is forgotten first.
const maxSources = 64

// sources is under which names streams with one first line were sent.
type sources struct {
	Version int      `json:"version"`
	Sources []string `json:"sources"`
}

// Sources returns the names, "" for the one made from the file, under which
// streams with this first line were sent to this server.
func (s *Store) Sources(target, lineage string) []string {
	key := sourcesKey(target, lineage)
	if s.dir == "" {
		return s.names[key]
	}
	var known sources
	text, err := os.ReadFile(s.path(key))
	if err != nil || json.Unmarshal(text, &known) != nil || known.Version != stateVersion {
		return nil // it only sharpens messages
	}
	return known.Sources
}

// AddSource remembers one more name.
func (s *Store) AddSource(target, lineage, source string) error {
	known := s.Sources(target, lineage)
	if slices.Contains(known, source) {
		return nil
	}
	known = append(slices.Clone(known), source)
	known = known[max(0, len(known)-maxSources):]
	key := sourcesKey(target, lineage)
	s.names[key] = known
	if s.dir == "" {
		return nil
	}
	text, err := json.Marshal(sources{stateVersion, known})
	if err == nil {
		err = replaceFile(s.path(key), text)
	}
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

func sourcesKey(target, lineage string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "sources %q %q", target, lineage))
	return hex.EncodeToString(sum[:16])
}

// Store keeps one file per lineage in a directory, each replaced atomically.
// It only saves work and sharpens messages: what is lost or outdated is sent
// again and answered as duplicate. Two processes may share the directory.
type Store struct {
	dir string
	mem map[string]*Lineage

	names map[string][]string // sources, where there is no directory
}

// OpenStore makes the directory if it is absent. With an empty dir the store
// remembers for as long as it lives.
func OpenStore(dir string) (*Store, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
	}
	return &Store{dir: dir, mem: map[string]*Lineage{}, names: map[string][]string{}}, nil
}

// StateKey names the lineage's file. Target is the server and whom it is asked
// as; namespace is the source that the user gave, or "".
func StateKey(target, namespace, lineage string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", target, namespace, lineage))
	return hex.EncodeToString(sum[:16])
}

func (s *Store) path(key string) string { return filepath.Join(s.dir, key+".json") }

// Load returns the lineage, empty if it is unknown. An unreadable file is an
// error beside an empty lineage: the caller may go on.
func (s *Store) Load(key string) (*Lineage, error) {
	if l := s.mem[key]; l != nil {
		return l, nil
	}
	l := &Lineage{Version: stateVersion}
	s.mem[key] = l
	if s.dir == "" {
		return l, nil
	}
	text, err := os.ReadFile(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = parseLineage(text, l)
	}
	if err != nil {
		return l, fmt.Errorf("state file %s is left out of account: %w", s.path(key), err)
	}
	return l, nil
}

// parseLineage reads a state file into l, which stays empty on an error.
func parseLineage(text []byte, l *Lineage) error {
	var read Lineage
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	if read.Version != stateVersion {
		return fmt.Errorf("its version is %d, not %d", read.Version, stateVersion)
	}
	for _, s := range read.Streams {
		if s == nil || s.Pos.Offset < 0 || s.Pos.Offset > maxOffset || s.Pos.Line < 0 || len(s.Head) > headLines {
			return errors.New("a stream is out of bounds")
		}
	}
	*l = read
	return nil
}

// Save replaces the lineage's file: synced under a temporary name, then renamed.
func (s *Store) Save(key string, l *Lineage) error {
	s.mem[key] = l
	if s.dir == "" {
		return nil
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := replaceFile(s.path(key), text); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".writing-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails after the rename, as it should
	if _, err := f.Write(text); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
