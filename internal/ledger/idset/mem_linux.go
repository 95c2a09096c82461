//go:build linux && !race

package idset

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

// hugePage is the size and alignment at which the kernel can map one large
// page; tables and filters are read at random, and with small pages half of
// the time of a look-up goes to page walks.
const hugePage = 2 << 20

// memory is a zeroed, pointer-free area outside the Go heap, so that it
// neither counts towards the collector's goal nor is ever scanned.
type memory struct {
	data   []byte // 64-byte aligned
	mapped []byte // what to unmap; nil when data is on the heap
	total  *atomic.Int64
}

// allocate returns n zeroed bytes and adds them to total until freed.
func allocate(n int, total *atomic.Int64) *memory {
	m := &memory{total: total}
	size := n
	if n >= hugePage {
		size += hugePage
	}
	if n > 0 {
		mapped, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err == nil {
			m.mapped, m.data = mapped, mapped
		} else {
			m.data = heapBytes(n)
		}
	}
	if m.mapped != nil && n >= hugePage {
		skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(m.mapped)))) & (hugePage - 1)
		m.data = m.mapped[skip:]
		// Advice only: without large pages everything works, more slowly.
		_ = syscall.Madvise(m.data[:n&^(hugePage-1)], syscall.MADV_HUGEPAGE)
	}
	m.data = m.data[:n:n]
	total.Add(int64(n))
	return m
}

// free returns the memory. Nothing may use it afterwards.
func (m *memory) free() {
	if m.data == nil {
		return
	}
	m.total.Add(-int64(len(m.data)))
	m.data = nil
	if m.mapped != nil {
		_ = syscall.Munmap(m.mapped)
		m.mapped = nil
	}
}
