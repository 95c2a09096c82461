// Package intake reads usage out of files: it splits a file into lines, turns
// each line into a CloudEvent, and decides which lines of which file were
// counted before.
//
//	file ── Open ──▶ bytes (gzip, zstd unpacked) ── Scanner ──▶ lines, each with
//	its offset and the chain hash of everything up to it ── Decoder ──▶ events
//
//	first line ──▶ lineage ── Resolve(file, lineage) ──▶ Plan: where to start,
//	and how the lines are named
//
// A log has no event ids, so they are made from where a line stands in its
// stream (see ID). docs/ingest.md has the reasoning and the guarantees. The
// package reads files and keeps its own state files; it knows no server.
package intake

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Named limits of this package.
const (
	// maxLineBytes is the longest line, and the longest CSV record, that is
	// decoded. A longer one is rejected; the rest of the file goes on.
	maxLineBytes = 1 << 20
	// headLines is how many first lines of a stream the state remembers one by
	// one. Two streams that start alike are told apart within these lines.
	headLines = 64
	// maxStreams is how many streams with one and the same first line the state
	// remembers; the one not touched for longest is forgotten first.
	maxStreams = 256
	// tailBytes is how much text before the resume point is compared before
	// reading goes on in a file that is still in its place.
	tailBytes = 4096
)

// Format names how the lines of a file are read.
type Format string

// The formats.
const (
	NDJSON   Format = "ndjson"   // one CloudEvent in JSON a line, sent as it is
	CSV      Format = "csv"      // a header row, then one event a record
	Combined Format = "combined" // access log of nginx or Apache
)

// Identity names one event: the source and the id it is sent with. Either is
// empty where the line itself carries it.
type Identity struct {
	Source, ID string
}

// Decoder turns records into events.
type Decoder interface {
	// Header is given the first record of a file that has one (see HasHeader),
	// before any other. An error means that the whole file cannot be read.
	Header(record []byte) error
	// HasHeader says whether the first record holds names instead of an event.
	HasHeader() bool
	// Derived says that the events carry no identity of their own, so that
	// Append is given one.
	Derived() bool
	// Append appends the event of one record to dst, in JSON without a newline.
	// The error says in a few words what is wrong with the record.
	Append(dst, record []byte, id Identity) ([]byte, error)
	// Fingerprint changes whenever the same record could become another event.
	Fingerprint() string
}

var rotatedSuffix = regexp.MustCompile(`(?i)(\.(gz|zst)|[.-][0-9]+)+$`)

// DetectLines is how many lines, blank ones aside, decide what a file holds.
const DetectLines = 32

// Detect names the format of a file from its name and its first lines, of
// which one may be cut, a comment, or whatever else a log may begin with.
// Suffixes that rotation adds (".1", "-20260101", ".gz") are ignored.
func Detect(name string, lines [][]byte) (Format, error) {
	switch extension(name) {
	case ".ndjson", ".jsonl":
		return NDJSON, nil
	case ".csv", ".tsv":
		return CSV, nil
	}
	var objects, accesses int
	for _, line := range lines {
		line = bytes.TrimPrefix(line, utf8BOM)
		if text := bytes.TrimLeft(line, " \t"); len(text) > 0 && text[0] == '{' {
			objects++
		} else if _, err := parseCombined(trimEnd(line)); err == nil {
			accesses++
		}
	}
	switch {
	case objects > accesses:
		return NDJSON, nil
	case accesses > 0:
		return Combined, nil
	}
	return "", fmt.Errorf("the format cannot be told from the name or the first %d lines; give --format", max(len(lines), 1))
}

// extension is that of a file's name without what rotation adds.
func extension(name string) string {
	return strings.ToLower(filepath.Ext(rotatedSuffix.ReplaceAllString(filepath.Base(name), "")))
}

// Comma is what stands between the fields of a CSV file, by its name: a tab in
// a .tsv, else a comma.
func Comma(name string) byte {
	if extension(name) == ".tsv" {
		return '\t'
	}
	return ','
}

var utf8BOM = []byte("\xef\xbb\xbf")

// trimEnd takes off the carriage return of a line written on Windows.
func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// blank says whether a line holds no record: such lines are passed over.
func blank(line []byte) bool {
	return len(bytes.TrimSpace(line)) == 0
}
