package block

import (
	"sync"
)

// Pool keeps builders of one key between requests. Safe for concurrent use.
type Pool struct {
	key  Key
	pool sync.Pool
}

// NewPool makes an empty pool.
func NewPool(key Key) *Pool { return &Pool{key: key} }

// Get returns an empty builder, as NewBuilder does.
func (p *Pool) Get(org, customerAttribute string) *Builder {
	if b, ok := p.pool.Get().(*Builder); ok {
		b.Reset(org, customerAttribute)
		return b
	}
	return NewBuilder(p.key, org, customerAttribute)
}

// Put gives a builder back. Neither it nor its Rows may be used afterwards.
func (p *Pool) Put(b *Builder) {
	if b != nil {
		p.pool.Put(b)
	}
}
