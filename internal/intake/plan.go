package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Kind is what Resolve decided about a file.
type Kind string

// The decisions.
const (
	Fresh   Kind = "fresh"   // an unknown stream: read from the start
	Resumed Kind = "resumed" // a known stream: read on from where it was left
	Again   Kind = "again"   // read from the start; the server tells what it has
	forked  Kind = "forked"  // starts like a known stream, then differs: another stream, read from the start
	held    Kind = "held"    // all of it could be the start of a known stream: nothing is sent until that is clear
	refused Kind = "refused" // differs from what was counted, and it is not clear whether it was edited
)

// Plan says where reading a file starts and how its lines are named.
type Plan struct {
	Kind   Kind
	Start  Pos
	Stream *Stream // what to advance; nil if held or refused
	Probe  bool    // ask the server first whether it has what Stream.Probes say
	Note   string  // what the user should know, if not empty

	lineage *Lineage
}

// Policy says what to do with text that differs from what was counted under
// the same first lines.
type Policy struct {
	// Fork counts a file that differs within the first headLines lines as another
	// stream. Right for logs, which are only ever appended to.
	Fork bool
	// Edit sends a file that differs later on; what differs, and all lines after
	// it, counts as new.
	Edit bool
}

// Options are the settings of Resolve.
type Options struct {
	Derived   bool   // the ids of the lines come from the file: see Decoder
	Policy    Policy // used if Derived
	Mapping   string // Fingerprint of the decoder
	FromStart bool   // send everything again; the server answers duplicate
}

// First returns the position after the first whole record that is an event, and
// gives the decoder its header. It returns io.EOF while there is none, and what
// waits at the end of the file, if anything does. With final a record needs no
// newline at the end of the file to be whole.
func First(f *File, d Decoder, final bool) (Pos, *Waiting, error) {
	r, err := f.reader(0)
	if err != nil {
		return Pos{}, nil, unpacked(err)
	}
	defer r.Close()
	records := newRecords(newScanner(r, Pos{}), d, final)
	for header := d.HasHeader(); ; header = false {
		record, err := records.Next()
		if err != nil {
			return Pos{}, nil, err
		}
		if record.Partial && !final {
			return Pos{}, records.waiting(record), io.EOF
		}
		if !header {
			return record.End, nil, nil
		}
		if record.Err != nil {
			return Pos{}, nil, fmt.Errorf("header: %w", record.Err)
		}
		if err := d.Header(record.Text); err != nil {
			return Pos{}, nil, err
		}
	}
}

// early makes the end of a compressed file that is still being written look
// like the end of a file.
func early(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// unpacked makes the end within the first bytes of a compressed file, of which
// the unpacker speaks as of an empty one, what it is.
func unpacked(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// FirstLines returns up to DetectLines lines of a file that are not blank, for
// Detect; io.EOF if there is none.
func FirstLines(f *File) ([][]byte, error) {
	r, err := f.reader(0)
	if err != nil {
		return nil, unpacked(err)
	}
	defer func() { _ = r.Close() }()
	var lines [][]byte
	for records := newRecords(newScanner(r, Pos{}), NDJSONDecoder{}, true); len(lines) < DetectLines; {
		record, err := records.Next()
		if err != nil {
			if len(lines) > 0 && errors.Is(early(err), io.EOF) {
				break
			}
			return nil, err
		}
		lines = append(lines, bytes.Clone(record.Text))
	}
	return lines, nil
}

// Resolve compares the file with the streams that start with the same first
// record and decides. It changes nothing; Commit does.
func Resolve(ctx context.Context, f *File, l *Lineage, opt Options) (Plan, error) {
	plan := Plan{lineage: l}
	if len(l.Streams) == 0 {
		return plan.fresh(opt, Fresh, nil, ""), nil
	}
	s, err := inPlace(f, l)
	if err != nil {
		return plan, err
	}
	if s != nil {
		return plan.resume(s, opt), nil
	}
	c, err := compare(ctx, f, l)
	if err != nil {
		return plan, err
	}
	if c.same != nil {
		return plan.resume(c.same, opt), nil
	}
	if !opt.Derived {
		return plan.fresh(opt, Fresh, nil, ""), nil
	}
	return plan.differs(c, opt), nil
}

// inPlace recognizes a file by its inode without reading all of it: the text
// before the place where it was left must still be there.
func inPlace(f *File, l *Lineage) (*Stream, error) {
	for _, s := range l.Streams {
		if s.Stat.FileID != f.Stat.FileID || s.Stat.FileID == (FileID{}) {
			continue
		}
		if f.Compressed() {
			if s.Whole && s.Stat.Same(f.Stat) {
				return s, nil
			}
			continue
		}
		if s.Tail == "" || f.Stat.Size < s.Pos.Offset || s.headBeyond() {
			continue
		}
		tail, err := f.tail(s.Pos.Offset)
		if errors.Is(err, io.EOF) {
			continue // it shrank just now
		}
		if err != nil {
			return nil, err
		}
		if tail == s.Tail {
			return s, nil
		}
	}
	return nil, nil
}

// headBeyond says whether lines after Pos are remembered, so that they must be
// compared too.
func (s *Stream) headBeyond() bool {
	return len(s.Head) > 0 && s.Head[len(s.Head)-1].Offset > s.Pos.Offset
}

// comparison is how a file stands to the known streams of its lineage.
type comparison struct {
	same   *Stream // the file holds all of this one, as counted
	prefix *Stream // the file ended while it was like the beginning of this one
	shared int64   // most lines in common with the beginning of any stream, as far as Head tells
	edited *Stream // the same for longer than Head, then not
	lines  int64   // whole lines read
	key    Chain   // the chain after line shared+1
}

// compare reads the file from the start for as long as it is like any stream.
func compare(ctx context.Context, f *File, l *Lineage) (comparison, error) {
	var c comparison
	r, err := f.reader(0)
	if err != nil {
		return c, err
	}
	defer r.Close()
	active := append([]*Stream(nil), l.Streams...)
	scanner := newScanner(r, Pos{})
	for len(active) > 0 {
		line, err := scanner.Next()
		if errors.Is(err, io.EOF) || err == nil && line.Partial {
			break
		}
		if err == nil && line.End.Line%4096 == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", f.Path, err)
		}
		c.lines = line.End.Line
		active = c.step(active, line.End)
	}
	for _, s := range active {
		c.prefix = s
		c.shared = max(c.shared, min(c.lines, int64(len(s.Head))))
	}
	return c, nil
}

// step keeps those streams that are still alike after one more line. A file
// holds a stream if it is the same up to Pos and in all lines of Head: Head
// reaches further than Pos while little of the stream is acknowledged.
func (c *comparison) step(active []*Stream, end Pos) []*Stream {
	mark := markOf(end)
	alike := active[:0]
	for _, s := range active {
		head := int64(len(s.Head))
		switch {
		case end.Line <= head && s.Head[end.Line-1] != mark:
			if shared := end.Line - 1; shared >= c.shared {
				c.shared, c.key = shared, end.Chain
			}
		case end.Line > head && end.Offset > s.Pos.Offset,
			end.Offset == s.Pos.Offset && end != s.Pos:
			c.edited = s
		case end.Line >= head && end.Offset >= s.Pos.Offset:
			c.same = furthest(c.same, s)
		default:
			alike = append(alike, s)
		}
	}
	return alike
}

func furthest(a, b *Stream) *Stream {
	if a == nil || b.Pos.Offset > a.Pos.Offset {
		return b
	}
	return a
}

func (p Plan) resume(s *Stream, opt Options) Plan {
	p.Kind, p.Stream, p.Start = Resumed, s, s.Pos
	switch {
	case opt.FromStart:
		p.Kind, p.Start = Again, Pos{}
	case s.Mapping != opt.Mapping:
		p.Kind, p.Start = Again, Pos{}
		p.Note = "counted before with other settings; sent again from the start, so that the server can report what differs"
	default:
		p.Probe = len(s.Probes) > 0
	}
	return p
}

func (p Plan) fresh(opt Options, kind Kind, fork *Fork, note string) Plan {
	p.Kind, p.Note = kind, note
	p.Stream = &Stream{Fork: fork, Mapping: opt.Mapping}
	return p
}

// differs decides about a file that begins like known streams and holds none of
// them whole.
func (p Plan) differs(c comparison, opt Options) Plan {
	switch {
	case c.prefix != nil && c.lines <= int64(len(c.prefix.Head)):
		p.Kind = held
		p.Note = fmt.Sprintf("its %d lines are also the first lines of %s, of which %d are counted: nothing is sent before it is "+
			"clear whether this is a copy or another log (--source NAME counts it as another one)", c.lines, c.prefix.Path, c.prefix.Pos.Line)
		return p
	case c.prefix != nil:
		return p.fresh(opt, Again, nil, fmt.Sprintf("an older copy of %s", c.prefix.Path))
	case c.edited != nil && opt.Policy.Edit:
		return p.fresh(opt, Again, nil, fmt.Sprintf("begins like %s and then differs from what was counted: lines that differ are counted", c.edited.Path))
	case c.edited != nil:
		p.Kind = refused
		p.Note = fmt.Sprintf("its first %d lines or more are those of %s, then it differs from what was counted: it seems edited; nothing is sent "+
			"(--rewritten=count counts what differs, --source NAME all of it)", headLines, c.edited.Path)
		return p
	case !opt.Policy.Fork:
		p.Kind = refused
		p.Note = fmt.Sprintf("its first %d lines were counted before, line %d differs: it seems edited or made anew; nothing is sent "+
			"(--rewritten=count counts all of it as another file)", c.shared, c.shared+1)
		return p
	}
	return p.fresh(opt, forked, &Fork{Shared: c.shared, Key: c.key},
		fmt.Sprintf("its first %d lines are also those of a log counted before, line %d differs: counted as another log", c.shared, c.shared+1))
}

// Forget makes the plan read from the start: the server does not have what the
// state says it has.
func (p *Plan) Forget() {
	p.Kind, p.Start, p.Probe = Again, Pos{}, false
	p.Note = "the server has not what was sent to it before; sent again from the start"
}

// Progress is what was acknowledged since the plan was made.
type Progress struct {
	Pos    Pos
	Head   []Mark // from the reader, at or past Pos
	Probes []Probe
	Whole  bool // Pos is the end of the file
	Now    time.Time

	NotCounted int64 // lines before Pos that were rejected or in conflict
}

// Announce puts a stream that is new into the lineage, for Store.Save before
// anything is sent: if the process dies before it can commit, another stream
// that starts alike is still told apart. It says whether the lineage changed.
func (p *Plan) Announce(f *File, now time.Time) (bool, error) {
	if p.known() {
		return false, nil
	}
	from, err := f.reader(0)
	if err != nil {
		return false, err
	}
	defer from.Close()
	p.Stream.Path, p.Stream.Stat, p.Stream.Updated = f.Path, f.Stat, now.UTC()
	for scanner := newScanner(from, Pos{}); len(p.Stream.Head) < headLines; {
		line, err := scanner.Next()
		if err != nil || line.Partial {
			break // what is wrong with the file is found again when it is read
		}
		p.Stream.Head = append(p.Stream.Head, markOf(line.End))
	}
	p.lineage.add(p.Stream)
	return true, nil
}

// Commit moves the stream on in the lineage, for Store.Save.
func (p *Plan) Commit(f *File, g Progress, mapping string) error {
	s := p.Stream
	if !p.known() {
		p.lineage.add(s)
	}
	for _, mark := range g.Head {
		if mark.Offset <= g.Pos.Offset && len(s.Head) < headLines && (len(s.Head) == 0 || s.Head[len(s.Head)-1].Offset < mark.Offset) {
			s.Head = append(s.Head, mark)
		}
	}
	s.Path, s.Stat, s.Whole, s.Mapping, s.NotCounted = f.Path, f.Stat, g.Whole, mapping, g.NotCounted
	s.Pos, s.Probes, s.Updated, s.Tail = g.Pos, g.Probes, g.Now.UTC(), ""
	if f.Compressed() {
		return nil
	}
	tail, err := f.tail(g.Pos.Offset)
	if errors.Is(err, io.EOF) {
		return nil // truncated meanwhile: the next run compares from the start
	}
	s.Tail = tail
	return err
}

func (p *Plan) known() bool { return slices.Contains(p.lineage.Streams, p.Stream) }
