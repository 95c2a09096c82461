package loadgen

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fastjson"
)

// ParseCeiling parses the plan's own request bodies with fastjson on all
// cores for the given time and returns the events parsed per second: what a
// server that did nothing else could take in.
func ParseCeiling(plan Plan, d time.Duration) (eventsPerSecond uint64, err error) {
	var events atomic.Uint64
	var failed atomic.Value
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	streams := make([]*stream, workers)
	for i := range streams {
		streams[i] = newStream(plan, i, "")
	}
	start := time.Now()
	for _, s := range streams {
		group.Go(func() {
			var parser fastjson.Parser
			for n := uint64(0); time.Since(start) < d; n++ {
				b := &s.bodies[n%uint64(len(s.bodies))]
				if _, err := parser.ParseBytes(b.raw[b.header:]); err != nil {
					failed.Store(err)
					return
				}
				events.Add(uint64(len(b.ids)))
			}
		})
	}
	group.Wait()
	if err, ok := failed.Load().(error); ok {
		return 0, err
	}
	return events.Load() * uint64(time.Second) / uint64(time.Since(start)), nil
}
