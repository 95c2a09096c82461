package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/log"
)

// Stop is an organization that is not served since a block of its own could not be read.
type Stop struct {
	Organization string
	Sequence     uint64 // of the block
	Reason       string // as it was then
	Now          string // why it still cannot be served; "" = all its blocks can be read now
}

// Stops lists the organizations that damage has stopped, and reads each block
// of theirs to say whether that is still so.
func (l *Ledger) Stops(ctx context.Context) ([]Stop, error) {
	byOrg := map[string]*Stop{}
	l.orgsMu.RLock()
	for name, o := range l.orgs {
		if note := o.stopped.Load(); note != nil {
			byOrg[name] = &Stop{Organization: name, Sequence: note.Sequence, Reason: note.Reason}
		}
	}
	l.orgsMu.RUnlock()
	if len(byOrg) == 0 {
		return nil, nil
	}
	last, _, err := l.log.Last()
	if err != nil {
		return nil, err
	}
	for seq := uint64(1); seq <= last; seq++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := l.header(seq)
		if err != nil {
			return nil, err
		}
		if stop := byOrg[h.Org]; stop != nil && stop.Now == "" {
			if err := l.readable(&h); err != nil {
				stop.Now = fmt.Sprintf("block %d: %v", seq, err)
			}
		}
	}
	var stops []Stop
	for _, s := range byOrg {
		stops = append(stops, *s)
	}
	slices.SortFunc(stops, func(a, b Stop) int { return strings.Compare(a.Organization, b.Organization) })
	return stops, nil
}

func (l *Ledger) readable(h *block.Header) error {
	body, err := log.ReadBody(l.log, h)
	if err == nil && h.Kind == block.KindEvents {
		_, err = block.Decode(body, l.key, false, h.Accepted.UnixNano())
	}
	return err
}

// replacedSuffix ends the names of what Refold has put aside.
const replacedSuffix = ".replaced"

// Refold puts the folded state of a closed ledger in dir aside, so that the
// next Open folds the whole log anew: an organization whose blocks can be read
// again is then served again. done removes what was put aside.
func Refold(dir string) (done func() error, err error) {
	folders := []string{stateFolder, runFolder}
	done = func() error {
		for _, f := range folders {
			if err := os.RemoveAll(filepath.Join(dir, f+replacedSuffix)); err != nil {
				return fmt.Errorf("remove the state of before: %w", err)
			}
		}
		return nil
	}
	if err := done(); err != nil { // of a repair that was interrupted
		return nil, err
	}
	for _, f := range folders {
		path := filepath.Join(dir, f)
		if err := os.Rename(path, path+replacedSuffix); err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("put the state aside: %w", err)
		}
	}
	return done, nil
}
