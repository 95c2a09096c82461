package ledger

import "sync"

// progress is how far the checkpoint under way is. It slows the fold evenly: one
// that goes on at full speed fills the active delta and then stands still until
// the checkpoint is done, for a second or more. So the part of the delta that is
// filled is kept from running ahead of the part of the checkpoint that is done,
// and both reach their ends together. A fold that is slower than the checkpoint
// never waits. No clock is read.
//
// The checkpoint tells steps of about 0.4 us.
type progress struct {
	mu   sync.Mutex
	told sync.Cond
	done int64 // steps
	all  int64 // that the checkpoint is thought to take, at least 1
	over bool  // it is written, or has failed

	waits int // of the fold, since the start

	// Steps that the cells took for so many bytes of memory in the last
	// checkpoint that had many: that is not known before.
	cellSteps, cellBytes int64
}

// What parts of a checkpoint take, in steps.
const (
	identitySteps = 1
	textSteps     = 3 // by number, and twice that by text
	rowSteps      = 1
	cellRowSteps  = 2 // each time it is read
	chunkSteps    = 2
)

// stepsTold is about how many steps are told at once.
const stepsTold = 1 << 10

// manyCellBytes is the memory of cells from which a checkpoint tells how many steps the next will take.
const manyCellBytes = 4 << 20

// A delta's part that is filled is told in 1/filledParts. filledSlack is what
// may be filled ahead of the checkpoint, which is never quite even.
const (
	filledParts = 1 << 10
	filledSlack = filledParts / 16
)

// begin is called before the first step of a checkpoint of d.
func (p *progress) begin(d *delta) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told.L == nil {
		p.told.L = &p.mu
		p.cellSteps, p.cellBytes = cellRowSteps+chunkSteps, 96
	}
	p.done, p.over = 0, false
	p.all = 1 + int64(d.ids.Len())*identitySteps + int64(len(d.texts.texts))*textSteps + d.table.Bytes()*p.cellSteps/p.cellBytes
}

// step tells that n more steps are done.
func (p *progress) step(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = min(p.all, p.done+n)
	p.told.Broadcast()
}

// wrote tells how many steps the cells of the checkpoint took.
func (p *progress) wrote(steps, cellBytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if steps > 0 && cellBytes >= manyCellBytes {
		p.cellSteps, p.cellBytes = steps, cellBytes
	}
}

// end lets the fold go on, whatever was told.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.told.Broadcast()
}

// behind says whether the checkpoint is behind a delta of which so much is filled.
func (p *progress) behind(filled int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isBehind(filled)
}

func (p *progress) isBehind(filled int64) bool {
	return !p.over && (filled-filledSlack)*p.all > p.done*(filledParts-filledSlack)
}

// await waits until the checkpoint is no more behind.
func (p *progress) await(filled int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits++
	for p.isBehind(filled) {
		p.told.Wait()
	}
}
