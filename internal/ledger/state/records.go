package state

import (
	"odometer/internal/ledger/idset"
	"odometer/internal/meter"
)

// CheckpointRecord is the state's place in the log. It commits together with
// everything folded up to it.
type CheckpointRecord struct {
	Applied     uint64          `json:"applied"`
	AcceptedAt  int64           `json:"accepted_at"`
	Sum         string          `json:"sum"` // of the header of block Applied, hex
	NextText    uint64          `json:"next_text"`
	NextVersion uint32          `json:"next_version"`
	Runs        []idset.RunInfo `json:"runs"`
}

// OrgRecord is what the fold keeps of one organization, stored at every checkpoint.
type OrgRecord struct {
	CustomerAttribute string    `json:"customer_attribute,omitempty"` // "" = the subject
	RequireTime       bool      `json:"require_time,omitempty"`       // events without a time are rejected
	Accepted          uint64    `json:"accepted"`
	Duplicates        uint64    `json:"duplicates"`
	Conflicts         uint64    `json:"conflicts"`
	Rejected          uint64    `json:"rejected"`
	KeptRejections    uint64    `json:"kept_rejections"`
	Voided            uint64    `json:"voided"`
	MinTime           int64     `json:"min_time"` // of accepted events, unix nanoseconds; valid once Accepted > 0
	MaxTime           int64     `json:"max_time"`
	Reached           Reach     `json:"reached,omitempty"`
	Stopped           *StopNote `json:"stopped,omitempty"`
}

// StopNote says why an organization's usage is no longer served.
type StopNote struct {
	Sequence uint64 `json:"sequence"`
	Reason   string `json:"reason"`
}

// MeterRecord is what the fold keeps of one meter.
type MeterRecord struct {
	Meter     meter.Meter `json:"meter"`
	Version   uint32      `json:"version"`
	Store     uint32      `json:"store,omitempty"`  // the version in the keys of its cells, 0 = its own: meters of one family may share keys
	Column    int         `json:"column,omitempty"` // its place among those that share the keys; some have one together
	Created   uint64      `json:"created"`          // sequence of the definition
	CreatedAt int64       `json:"created_at"`
	Cursor    uint64      `json:"cursor"`          // backfilled up to and including; done when == Created
	Ahead     uint64      `json:"ahead,omitempty"` // a block that is counted here already, though the checkpoint ends before it
	Skipped   uint64      `json:"skipped"`
	Groups    uint64      `json:"groups,omitempty"`  // that an older program listed; others are counted under KeyGroupCount
	Crowded   bool        `json:"crowded,omitempty"` // an older program had no room for more groups: those that it does not list share a group, see overflow
}

// VoidNote is what the state keeps of one voided event.
type VoidNote struct {
	Sequence uint64 `json:"sequence"`
	At       int64  `json:"at"`
	Actor    string `json:"actor,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Backfilled says whether the meter's cells hold what came before its definition.
func (r *MeterRecord) Backfilled() bool { return r.Cursor >= r.Created }

// Listed says whether an older program listed the meter's groups.
func (r *MeterRecord) Listed() bool { return r.Groups > 0 }

// StoreVersion returns the version in the keys of the meter's cells.
func (r *MeterRecord) StoreVersion() uint32 {
	if r.Store != 0 {
		return r.Store
	}
	return r.Version
}
