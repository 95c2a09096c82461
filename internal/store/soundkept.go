package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
)

// soundBy is what stands beside a stored finding that nouns are sound: the
// build whose rules they follow, and the meters that they were checked with. ""
// is a build that does not know which it is: it stores none.
func (s *Store) soundBy(copies []MeterCopy) string {
	if s.build == "" {
		return ""
	}
	h := sha256.New()
	for _, c := range copies {
		fmt.Fprintf(h, "%d %d %s%s", len(c.Key), len(c.Definition), c.Key, c.Definition) // a hash takes everything
	}
	return s.build + " " + hex.EncodeToString(h.Sum(nil)[:16])
}

// keepSound stores that an organization's nouns are sound, in the transaction
// of the change that leaves them so. Any other change makes it out of date.
func (s *Store) keepSound(ctx context.Context, tx *sql.Tx, organization string, sound *soundNouns) error {
	if sound.by == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, stmt.NounsSound, organization, sound.by)
	return err
}

// recallSound takes over what is stored of an organization's nouns, unless it is
// known, so that the first change after a start need not read them all to check
// them. It only spares time: the change looks itself whether it is still so, and
// what goes wrong here it meets again, and tells.
func (s *Store) recallSound(ctx context.Context, organization string) {
	var version, at int64
	var by string
	err := s.reader.QueryRowContext(ctx, stmt.NounsSoundGet, organization).Scan(&version, &at, &by)
	if err != nil {
		return
	}
	s.viewsMu.Lock()
	sound := s.sound[organization]
	s.viewsMu.Unlock()
	if sound != nil && sound.number >= version || at != version || by == "" {
		return
	}
	copies, err := List(ctx, s.reader, scanMeter, stmt.MeterList, organization, "", math.MaxInt)
	if err != nil || s.soundBy(copies) != by {
		return
	}
	meters, err := definitions(copies)
	if err != nil {
		return
	}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	if sound = s.sound[organization]; sound == nil || sound.number < version {
		s.sound[organization] = &soundNouns{version, copies, meters, by}
	}
}

// recallView reads the view of an organization's nouns, unless they are many,
// for a change that then need not read them all. It only spares time, like recallSound.
func (s *Store) recallView(ctx context.Context, organization string) {
	s.viewsMu.Lock()
	known := s.sound[organization] != nil
	s.viewsMu.Unlock()
	if number, err := s.nounsVersion(ctx, organization); err == nil && known {
		_, _ = s.wholeView(ctx, organization, number)
	}
}
