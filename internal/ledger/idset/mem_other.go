//go:build !linux || race

package idset

import "sync/atomic"

// memory is a zeroed, pointer-free area. Here it is on the Go heap: the
// portable form, and the one whose accesses the race detector sees.
type memory struct {
	data  []byte
	total *atomic.Int64
}

// allocate returns n zeroed bytes and adds them to total until freed.
func allocate(n int, total *atomic.Int64) *memory {
	total.Add(int64(n))
	return &memory{data: heapBytes(n), total: total}
}

// free returns the memory. Nothing may use it afterwards.
func (m *memory) free() {
	if m.data == nil {
		return
	}
	m.total.Add(-int64(len(m.data)))
	m.data = nil
}
