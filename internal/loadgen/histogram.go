package loadgen

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets of at most 1/16 of their value.
type histogram struct {
	counts [64 * 16]uint64
	total  uint64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

// quantile returns the upper bound of the bucket in which the sample of rank
// ceil(perMille/1000 * total) lies, and at most the largest sample.
func (h *histogram) quantile(perMille uint64) time.Duration {
	rank := (h.total*perMille + 999) / 1000
	var seen uint64
	for i, n := range h.counts {
		seen += n
		if seen >= rank && n > 0 {
			return min(time.Duration(bucketTop(i)), h.max)
		}
	}
	return h.max
}

// bucket is the value's power of two and its next four bits.
func bucket(v uint64) int {
	if v < 16 {
		return int(v)
	}
	shift := bits.Len64(v) - 5
	return shift*16 + int(v>>shift)
}

func bucketTop(i int) uint64 {
	if i < 32 {
		return uint64(i)
	}
	shift := i/16 - 1
	return (uint64(i-shift*16)+1)<<shift - 1
}
