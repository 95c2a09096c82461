package ledger

import (
	"context"
	"slices"
	"time"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// A page of many groups reads what it shows. The state has the texts of an
// organization in their order, and a meter's cells in order of the numbers of
// texts, the first attribute's first:
//
//	texts from the cursor on ─► some more than the page has rows ─► their cells ─► rows
//	too few of them are groups of this meter ─► the same with more texts
//	again too few ─► the same with those texts only that groups begin with ─► ... ─► all groups
//
// Texts are listed, and stored cells read, without the lock. What no checkpoint
// holds is added under it, and only then it is known of which moment the page
// is; a checkpoint that ended in between makes the page begin again.
type keyPage struct {
	l     *Ledger
	qu    *question
	now   time.Time
	limit int
	most  int       // texts looked at
	only  bool      // those that groups begin with
	rows  *cellRead // of the groups
	total *cellRead // of the range

	list     []orderedText // in order
	complete bool          // there are no texts behind them
	texts    map[uint64]string
	filter   *leadFilter // of the list, nil unless only
}

// What a page looks at before all groups are read instead: texts of other
// attributes and meters lie among those of its groups.
const (
	textsPerRow   = 8
	textsPerPage  = 10_000
	mostFiltered  = 2_000_000 // groups, about: finding out with which texts more of them begin would cost as much as a walk
	keyPageGrowth = 4
	keyPageTries  = 3 // checkpoints and the like that end meanwhile
)

// pageByKey answers a question whose page has few of a meter's groups; false if
// it has to be answered from all of them.
func (l *Ledger) pageByKey(ctx context.Context, qu *question, u *meter.Usage) (bool, error) {
	p := &keyPage{l: l, qu: qu, now: l.now(), limit: qu.limit(l.limits)}
	if qu.q.All || qu.q.ByValue || len(qu.q.GroupBy) == 0 || len(qu.filters) > 0 || len(qu.bounds) != 2 {
		return false, nil
	}
	held := qu.room.held
	first := p.limit + p.limit/8 + 16
	p.most = first
	for tries := 0; tries < keyPageTries && p.most <= p.limit*textsPerRow+textsPerPage; {
		again, ok, err := p.read(ctx, u)
		switch {
		case err != nil:
			return false, err
		case again:
			tries++
		case !ok:
			return false, nil
		case u.NextCursor != "" || p.complete:
			qu.cells = p.rows.cells + p.total.cells
			return true, nil
		case !p.only && p.most > first && qu.m.groups.estimate() <= mostFiltered:
			p.only, p.most = true, first
		default:
			p.most *= keyPageGrowth
		}
		qu.room.shrink(qu.room.held - held)
	}
	return false, nil
}

// limit returns how many rows the page has at most.
func (qu *question) limit(lim Limits) int {
	switch {
	case qu.q.Limit != 0:
		return qu.q.Limit
	case qu.q.ByValue:
		return min(defaultLargest, lim.UsageLargest)
	}
	return lim.UsageRows
}

// defaultLargest is how many rows an answer sorted by value has if nobody says.
const defaultLargest = 100

// read makes the page of the first texts. again says that what it read is out
// of date, ok that it could read.
func (p *keyPage) read(ctx context.Context, u *meter.Usage) (again, ok bool, err error) {
	view, pending, ok, err := p.begin(ctx)
	if err != nil || !ok {
		return false, false, err
	}
	defer view.release()
	if err := p.stored(ctx, view, &pending); err != nil {
		return false, false, err
	}
	now, again, ok, err := p.recent(view, &pending)
	if now == nil {
		return again, ok, err
	}
	defer now.release()
	if err != nil || again || !ok || p.rows.dirty || p.total.dirty {
		return again, false, err
	}
	if changed, err := p.l.changedSince(p.qu, now); err != nil || changed {
		return false, false, err
	}
	u.Sequence = now.applied
	u.Total, u.HasTotal = p.total.c.totalFigure()
	p.qu.texts = p.text
	return false, true, p.qu.rows(u, p.rows.c, p.l.limits)
}

// begin finds out whether the cells can answer, and takes a view.
func (p *keyPage) begin(ctx context.Context) (v *view, pending pendingTexts, ok bool, err error) {
	l, qu := p.l, p.qu
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !qu.current(l.peekOrg(qu.m.Org)) {
		return nil, pending, false, errMoved
	}
	p.rows = &cellRead{qu: qu, width: int64(qu.m.Width), stop: ctx.Err}
	if _, err := p.rows.plan(l); err != nil {
		return nil, pending, false, err
	}
	if !p.rows.complete(l) || p.rows.take[0] != 0 || !qu.def.Sampled() && len(p.rows.edgeParts()) > 0 || qu.m.groups.estimate() <= uint64(p.limit) {
		return nil, pending, false, nil
	}
	p.rows.c = newCollector(qu, p.now, l.limits)
	p.rows.c.expect(min(p.limit, textsPerPage))
	if qu.def.Sampled() && p.most*p.rows.c.samples > maxSamplesHeld {
		return nil, pending, false, nil
	}
	p.total = &cellRead{qu: qu, width: p.rows.width, stop: ctx.Err, leading: [][]uint64{nil}, scope: p.rows.scope, c: newCollector(qu, p.now, l.limits)}
	p.total.scope.Projection = cell.Projection{ID: cell.ProjectionTotal}
	p.total.c.width = 0
	if p.filter = nil; p.only {
		p.filter = l.newLeadFilter(&p.rows.scope)
	}
	return l.viewLocked(), l.texts.pending(), true, nil
}

// stored lists the first texts, and reads what checkpoints have of them.
func (p *keyPage) stored(ctx context.Context, view *view, pending *pendingTexts) (err error) {
	if p.only {
		if p.filter.stored, err = p.l.leads.of(view.base, &p.rows.scope, ctx.Err); err != nil {
			return err
		}
	}
	in := textRange{}
	if after := p.qu.after; after != nil {
		in = textRange{from: after.Group[0], after: len(after.Group) == 1}
	}
	if p.list, p.complete, err = firstTexts(view.base.snap, pending, p.qu.q.Organization, in, p.most, p.filter, ctx.Err); err != nil {
		return err
	}
	p.texts = make(map[uint64]string, len(p.list))
	ids := make([]uint64, len(p.list))
	room := int64(0)
	for i, t := range p.list {
		ids[i] = t.id
		p.texts[t.id] = t.text
		room += addedTextBytes + int64(len(t.text))
	}
	if err := p.qu.room.grow(room); err != nil {
		return err
	}
	slices.Sort(ids)
	if err := p.rows.scope.ChunksOf(view.base.snap, ids, p.rows.add); err != nil {
		return err
	}
	return p.total.scope.Chunks(view.base.snap, p.total.add)
}

// recent adds what no checkpoint holds, as of the moment that it returns.
func (p *keyPage) recent(before *view, pending *pendingTexts) (now *view, again, ok bool, err error) {
	l, qu := p.l, p.qu
	l.mu.RLock()
	defer l.mu.RUnlock()
	lo, hi, scope := qu.lo, qu.hi, p.rows.scope
	if !qu.current(l.peekOrg(qu.m.Org)) {
		return nil, false, false, errMoved
	}
	p.rows.slots(&l.peekOrg(qu.m.Org).record)
	if l.base != before.base || lo != qu.lo || hi != qu.hi || scope.From != p.rows.scope.From || scope.To != p.rows.scope.To {
		return nil, true, false, nil
	}
	if !p.rows.complete(l) {
		return nil, false, false, nil
	}
	p.addTexts(pending.next)
	if again, err := p.addLeads(); again || err != nil {
		return nil, again, false, err
	}
	p.rows.leading = p.rows.leading[:0]
	for id := range p.texts {
		p.rows.leading = append(p.rows.leading, []uint64{id})
	}
	if err = p.rows.tables(l); err == nil {
		err = p.total.tables(l)
	}
	return l.viewLocked(), false, err == nil, err
}

// addTexts adds texts from a number on, which came while the others were read.
func (p *keyPage) addTexts(from uint64) {
	pending := p.l.texts.pending()
	pending.from(string(state.AppendOrg(nil, p.qu.q.Organization)), from, func(text []byte, id uint64) {
		if p.complete || string(text) < p.list[len(p.list)-1].text {
			p.texts[id] = string(text)
		}
	})
}

// addLeads adds texts with which groups begin that came while the others were
// read; again says that there may be more of them. l.mu is held.
func (p *keyPage) addLeads() (again bool, err error) {
	if p.filter == nil {
		return false, nil
	}
	ids, ok := p.filter.since(p.l, &p.rows.scope)
	for _, id := range ids {
		if _, listed := p.texts[id]; listed || !ok {
			continue
		}
		text, err := p.l.texts.text(id)
		if err != nil {
			return false, err
		}
		if p.complete || text < p.list[len(p.list)-1].text {
			p.texts[id] = text
		}
	}
	return !ok, nil
}

func (p *keyPage) text(id uint64) (string, error) {
	if text, ok := p.texts[id]; ok {
		return text, nil
	}
	return p.l.texts.text(id)
}
