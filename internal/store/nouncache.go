package store

import (
	"container/list"

	"odometer/internal/catalog"
)

// nounCache holds what was read of organizations' nouns, as much as its room
// takes: what was used last stays. Of an organization with few nouns that is the
// view of all; of one with many what is no customer's, parts of customers, and
// who has something that was asked for by its id. That there is nothing is held
// like what there is. It is guarded by Store.viewsMu.
type nounCache struct {
	room  int64 // bytes of what is held, about
	bytes int64
	queue *list.List // of *cachedNouns, but for cores; the first leaves next
	of    map[string]*organizationNouns

	hits, misses uint64 // of what was asked for by key
}

// organizationNouns is what is held of one organization.
type organizationNouns struct {
	number int64  // of the change that all is as of, but for the view of all
	drops  uint64 // counts changes of number: what was read before one is not held after it
	items  map[nounKey]*cachedNouns
}

// nounKey names what is held of an organization.
type nounKey struct{ what, id string }

// What is held, beside who has something, which is held under its kind.
const (
	cachedView     = "all"  // *heldView
	cachedCore     = "core" // *catalog.View
	cachedCustomer = "part" // *catalog.CustomerPart, by id
)

type cachedNouns struct {
	organization string
	key          nounKey
	value        any
	size         int64
	place        *list.Element // in the queue; nil = it does not leave to make room
}

// What is held takes so many bytes beside the texts that were read, which
// become values of about twice their size.
const (
	cachedBytes = 400  // with its places in the map and the queue
	viewBytes   = 2500 // of a view or a part that has something
	nounBytes   = 400  // of each version
)

// sizeOf is what a view of versions takes, about.
func sizeOf(versions []catalog.Version) int64 {
	n := int64(cachedBytes)
	if len(versions) > 0 {
		n += viewBytes
	}
	for i := range versions {
		n += nounBytes + int64(2*len(versions[i].Body)+len(versions[i].ID)+len(versions[i].Customer))
	}
	return n
}

func newNounCache(room int64) *nounCache {
	return &nounCache{room: room, queue: list.New(), of: map[string]*organizationNouns{}}
}

// organization is what is held of one.
func (c *nounCache) organization(id string) *organizationNouns {
	o := c.of[id]
	if o == nil {
		o = &organizationNouns{items: map[nounKey]*cachedNouns{}}
		c.of[id] = o
	}
	return o
}

// get returns what is held under a key, nil if nothing is.
func (c *nounCache) get(organization string, key nounKey) any {
	o := c.of[organization]
	if o == nil || o.items[key] == nil {
		return nil
	}
	one := o.items[key]
	if one.place != nil {
		c.queue.MoveToBack(one.place)
	}
	return one.value
}

// put holds something and makes room for it. What is no customer's stays: each
// question asks for it.
func (c *nounCache) put(organization string, key nounKey, value any, size int64) {
	o := c.organization(organization)
	c.drop(o.items[key])
	one := &cachedNouns{organization: organization, key: key, value: value, size: size}
	if key.what != cachedCore {
		one.place = c.queue.PushBack(one)
	}
	o.items[key] = one
	c.bytes += size
	for c.bytes > c.room && c.queue.Len() > 0 {
		c.drop(c.queue.Front().Value.(*cachedNouns))
	}
}

func (c *nounCache) drop(one *cachedNouns) {
	if one == nil {
		return
	}
	if one.place != nil {
		c.queue.Remove(one.place)
	}
	delete(c.of[one.organization].items, one.key)
	c.bytes -= one.size
}

// at lets what is held of an organization be as of a change; what is not known
// to be as of it is dropped. It is for who has seen that number.
func (c *nounCache) at(organization string, number int64) *organizationNouns {
	o := c.organization(organization)
	if o.number < number {
		c.dropAll(o)
		o.number = number
		o.drops++
	}
	return o
}

// dropAll drops all of an organization but the view of all, which knows itself as of when it is.
func (c *nounCache) dropAll(o *organizationNouns) {
	for key, one := range o.items {
		if key.what != cachedView {
			c.drop(one)
		}
	}
}

// changed takes over a change of this process, which touched what keys name; all = it is not known what.
func (c *nounCache) changed(organization string, number int64, t *touched) {
	o := c.organization(organization)
	if o.number >= number {
		return // it was seen already, and all before it was dropped
	}
	if o.number != number-1 || t.all {
		c.dropAll(o)
	} else {
		for key := range t.keys {
			c.drop(o.items[key])
		}
	}
	o.number = number
	o.drops++
}

// heldView is a view of all nouns as of one change.
type heldView struct {
	number int64
	view   *catalog.View
	size   int64
}

// whole returns the view of all nouns of an organization that is held.
func (c *nounCache) whole(organization string) *heldView {
	v, _ := c.get(organization, nounKey{what: cachedView}).(*heldView)
	return v
}

// putWhole holds a view of all nouns, unless a newer one is held.
func (c *nounCache) putWhole(organization string, v *heldView) {
	if have := c.whole(organization); have == nil || have.number < v.number {
		c.put(organization, nounKey{what: cachedView}, v, v.size)
	}
}

// NounCacheStats tell of what is held of organizations' nouns.
type NounCacheStats struct {
	Bytes, Room  int64
	Hits, Misses uint64 // of what was asked for by key
}

// NounCache tells of what is held of organizations' nouns.
func (s *Store) NounCache() NounCacheStats {
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	return NounCacheStats{s.cache.bytes, s.cache.room, s.cache.hits, s.cache.misses}
}
