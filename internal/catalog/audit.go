package catalog

import (
	"encoding/json"
	"time"

	"odometer/internal/meter"
)

// MaxActorBytes bounds the text that says who made a change.
const MaxActorBytes = 256

// AuditAction is what a change did.
type AuditAction string

// The actions of audit entries.
const (
	AuditCreate AuditAction = "create"
	AuditUpdate AuditAction = "update"
	AuditRevoke AuditAction = "revoke"
	AuditDelete AuditAction = "delete"
)

// AuditEntry records one change. It is written with the change, in one
// transaction, and never changed after.
type AuditEntry struct {
	Organization string          `json:"organization"`
	Number       int64           `json:"number"` // 1, 2, 3, ... within the organization
	Time         time.Time       `json:"time"`
	Actor        string          `json:"actor"`
	Action       AuditAction     `json:"action"`
	Noun         string          `json:"noun"` // organization, key, meter
	ID           string          `json:"id"`   // which of them
	Before       json.RawMessage `json:"before,omitempty"`
	After        json.RawMessage `json:"after,omitempty"`
}

// AuditPage is a part of an organization's audit entries, the newest first.
type AuditPage struct {
	Items []AuditEntry
	Next  string // Page.Cursor of what follows; "" at the end
}

// CheckActor refuses a text that cannot stand for who makes a change.
func CheckActor(actor string) error {
	if !meter.PlainText(actor, MaxActorBytes) {
		return meter.Errorf(meter.KindInvalid, "an actor is 1 to %d bytes of UTF-8 without control characters", MaxActorBytes)
	}
	return nil
}
