package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"odometer/internal/intake"
)

const (
	// followInterval is the time between two looks at followed files.
	followInterval = time.Second
	// followQuietRounds is how many looks in a row must find nothing new in a file
	// that lost its name before it is closed: a web server writes to it until it
	// is told to open its logs again.
	followQuietRounds = 60
)

// followed is one name that is followed, with every file that it was found to
// name and that may still be written to; the last is the current one.
type followed struct {
	path    string
	files   []*followedFile
	missing bool
}

type followedFile struct {
	*intake.File
	seen  intake.Stat // when it was last read
	quiet int         // looks in a row without anything new
}

// Follow reads the files again and again until ctx ends.
func (r *Run) Follow(ctx context.Context) error {
	wait := r.Wait
	if wait == nil {
		wait = waitInterval
	}
	names := make([]followed, len(r.Files))
	for i, path := range r.Files {
		names[i].path = path
		defer names[i].close()
	}
	for ctx.Err() == nil {
		for i := range names {
			r.look(ctx, &names[i])
		}
		r.Observer.Update()
		if err := wait(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func waitInterval(ctx context.Context) error {
	timer := time.NewTimer(followInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// look reads what is new under one name. A file that was renamed stays open
// and is read on beside the one that has its name now.
func (r *Run) look(ctx context.Context, name *followed) {
	out := r.Totals.start(name.path)
	if err := name.open(); err != nil {
		if !name.missing {
			r.Observer.Note(name.path, "waiting for it: "+err.Error())
		}
		name.missing = true
	} else {
		name.missing = false
	}
	kept := name.files[:0]
	for i, f := range name.files {
		r.lookAt(ctx, f, out)
		if i < len(name.files)-1 && f.quiet >= followQuietRounds {
			_ = f.Close()
			continue
		}
		kept = append(kept, f)
	}
	name.files = kept
}

// lookAt reads one file if it changed since the last look.
func (r *Run) lookAt(ctx context.Context, f *followedFile, out *FileTotals) {
	err := f.Refresh()
	if err == nil {
		if f.Stat.Same(f.seen) {
			f.quiet++
			return
		}
		if f.Stat.Size < f.seen.Size && !f.Compressed() {
			r.Observer.Note(out.File, "was truncated; lines written to it just before are in its copy only: send that too")
		}
		f.quiet = 0
		err = r.file(ctx, f.File, out)
	}
	if err == nil {
		f.seen = f.Stat
	}
	r.finish(ctx, out, err)
}

// open opens the file that has the name now, if it is another one than before.
func (n *followed) open() error {
	stat, err := intake.StatPath(n.path)
	if err != nil {
		return plainPathError(err)
	}
	if len(n.files) > 0 && n.files[len(n.files)-1].Stat.FileID == stat.FileID {
		return nil
	}
	f, err := intake.Open(n.path)
	if err != nil {
		return plainPathError(err)
	}
	n.files = append(n.files, &followedFile{File: f})
	return nil
}

// plainPathError leaves out the name, which the message has already.
func plainPathError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	return err
}

func (n *followed) close() {
	for _, f := range n.files {
		_ = f.Close()
	}
}
