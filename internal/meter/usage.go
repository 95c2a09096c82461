package meter

import (
	"encoding/json"
	"fmt"
	"time"
)

// Result answers one Append: Accepted+Duplicates+Conflicts+Rejected is the
// number of events sent.
type Result struct {
	Sequence   uint64 // of the block that holds the request; reads at or after it see it
	Accepted   int
	Duplicates int
	Conflicts  int
	Rejected   int
	Errors     []EventError // conflicts and rejections in order of index
	Truncated  int          // further errors left out, past Limits.ErrorsPerAnswer

	TimeAssigned    int       // accepted events that were sent without a time: theirs is when they were accepted
	Warnings        []Warning // accepted events that a meter skipped, by meter
	WarningsLeftOut int       // further ones, past Limits.WarningsPerAnswer
}

// Warning says why a meter skipped an event that was accepted: its value, or a
// group, cannot be taken.
type Warning struct {
	Index  int // position in the request, from 0
	ID     string
	Source string
	Meter  string
	Reason string
}

// EventError says why one event of a request was not counted.
type EventError struct {
	Index   int // position in the request, from 0
	ID      string
	Source  string
	Verdict Verdict // Conflict or Rejected
	Reason  string  // of what was sent, and of nothing that is stored

	// What the event conflicts with, which may be another customer's: where it
	// is, if Sequence is not 0, and what differs, if that was read.
	First      Place
	Difference string
}

// Place is where an event is in the log.
type Place struct {
	Sequence uint64
	Ordinal  uint32
}

// Text is the whole reason, with what the event conflicts with.
func (e *EventError) Text() string {
	text := e.Reason
	if e.First.Sequence != 0 {
		text += fmt.Sprintf(" (sequence %d, event %d)", e.First.Sequence, e.First.Ordinal)
	}
	if e.Difference != "" {
		text += ": " + e.Difference
	}
	return text
}

// BackfillState tells how far a meter has been folded over the blocks that
// precede its definition. Cells answer only when it is done.
type BackfillState struct {
	Done   bool
	Cursor uint64 // last sequence folded
	Target uint64 // sequence of the definition
}

// MeterState is a meter's definition and its standing in the fold.
type MeterState struct {
	Meter
	Version         uint32 // never reused
	CreatedSequence uint64
	CreatedAt       time.Time
	Backfill        BackfillState
	Skipped         uint64 // events whose value could not be taken, see LookupResult.Skipped
	Groups          uint64 // distinct groups seen: exact up to 128, an estimate beyond
	Crowded         bool   // an older program kept no more apart: questions by group are answered from the events
}

// MeterPatch changes the parts of a meter that are not its definition; nil leaves a part alone.
type MeterPatch struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
	Unit        *string `json:"unit,omitempty"`
	Status      *string `json:"status,omitempty"`
}

// AttrFilter keeps events whose attribute has one of Values (as group text).
type AttrFilter struct {
	Attribute string
	Values    []string
}

// UsageQuery asks one meter for its usage in [From, To).
type UsageQuery struct {
	Organization string
	Meter        string
	From, To     time.Time
	Window       Window         // "" = one row for the whole range
	Location     *time.Location // nil = UTC
	GroupBy      []string
	Filters      []AttrFilter
	Customer     *string   // set for a key bound to one customer
	AsOf         time.Time // zero = now
	AsOfSequence uint64    // as the log stood at this entry; 0 = now; not together with AsOf
	FillZero     bool      // emit empty windows too
	Undivided    bool      // of a rate: the sums behind its figures, before they are divided by the sample's seconds
	Limit        int       // rows a page at most; 0 = Limits.UsageRows
	All          bool      // every row in one answer, of one view; bounded by Limits.ReadBytes. No Limit, no Cursor
	Cursor       string
	After        []string // rows after this group, in place of a Cursor; without windows
	ByValue      bool     // the rows of the largest values, those first, in place of pages by group
}

// UsageRow is one window of one group. Group holds a text per GroupBy attribute.
type UsageRow struct {
	Start, End time.Time
	Group      []string // in the order of UsageQuery.GroupBy
	Value      Decimal
	Clipped    bool // the window reaches beyond the asked range
}

// Usage is the answer to a UsageQuery. Rows are ordered by start, then group.
type Usage struct {
	Rows       []UsageRow
	Total      Decimal // over the whole range, ungrouped
	HasTotal   bool    // false when nothing was there to aggregate (MIN, MAX, LAST, AVG)
	Source     string  // "cells" or "events"
	Sequence   uint64  // the log position the answer reflects
	NextCursor string
}

// EventsQuery lists stored events in order of sequence.
type EventsQuery struct {
	Organization string
	From, To     time.Time // event time, half-open; zero = unbounded
	Type         string
	Subject      *string
	Source       string
	Customer     *string // set for a key bound to one customer
	Verdict      *Verdict
	Limit        int // 0 = 100, at most 1000
	Cursor       string
}

// EventRecord is one stored event.
type EventRecord struct {
	ID, Source, Type string
	Subject          *string
	Customer         string
	Time             time.Time       // zero for a rejection
	TimeAssigned     bool            // no time was sent: it is AcceptedAt
	Extensions       json.RawMessage // the extension attributes as a JSON object; nil if there are none
	Data             json.RawMessage // for a rejection: what was sent, up to 1 KiB, as a JSON string
	Verdict          Verdict
	Reason           string
	Sequence         uint64
	Ordinal          uint32
	AcceptedAt       time.Time
	Voided           *VoidRecord
}

// VoidRecord says when, by whom and why an event was voided.
type VoidRecord struct {
	Sequence uint64
	At       time.Time
	Actor    string
	Reason   string
}

// EventsPage is one page of events.
type EventsPage struct {
	Events     []EventRecord
	NextCursor string
}

// Counted says what one event added to one meter.
type Counted struct {
	Meter string
	Slot  time.Time // start of the slot it was folded into
	Group map[string]string
	Value string
}

// SkippedMeter says why a meter of the event's type did not count it.
type SkippedMeter struct {
	Meter  string
	Reason string
}

// LookupResult is everything known about one identity.
type LookupResult struct {
	Event     EventRecord
	Counted   []Counted
	Skipped   []SkippedMeter
	Conflicts []EventRecord // later events of the same identity with other content
}

// VoidResult answers a Void.
type VoidResult struct {
	Sequence   uint64
	Voided     int
	Duplicates int // already voided
	Rejected   []EventError
}

// Sample says what a definition makes of the latest events.
type Sample struct {
	Events   int  // looked at: accepted ones, voided or not
	Complete bool // there are no older ones
	From, To time.Time
	OfType   int            // of the meter's event type
	LeftOut  int            // of these by its filters
	Skipped  map[string]int // by reason
	Counted  int
	Sum      Decimal        // of the counted values, where the meter takes numbers
	Types    map[string]int // events by type, of the first that were met
	// Of events of the meter's type, whatever its filters say:
	Present map[string]int      // events that have an attribute
	Names   []string            // the attributes that they have, the first of them
	Unmet   []AttrFilter        // values of the query's filters that none of them has
	Known   map[string][]string // and values that they have in these attributes, the first of them
}
