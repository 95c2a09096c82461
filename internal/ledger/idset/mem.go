package idset

import "unsafe"

// heapBytes returns n zeroed bytes aligned to 8.
func heapBytes(n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(make([]uint64, n/8+1)))), n)
}

// sliceOf views the memory as values of T, which must hold no pointers.
func sliceOf[T any](m *memory) []T {
	var t T
	n := len(m.data) / int(unsafe.Sizeof(t))
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(m.data))), n)
}
