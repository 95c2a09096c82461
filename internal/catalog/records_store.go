package catalog

// Records are the usage record groups of a catalogue and what becomes of them.
// Its methods may be called concurrently.
type Records struct{ db *Store }

// NewRecords returns those of an open catalogue.
func NewRecords(db *Store) *Records { return &Records{db} }
