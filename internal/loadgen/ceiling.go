package loadgen

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fastjson"
)

// Ceiling is what parsing alone reaches on all cores, in events per second.
type Ceiling struct {
	Parse uint64 `json:"parse_events_per_second"` // fastjson finds the structure of the bytes and nothing else
	Read  uint64 `json:"read_events_per_second"`  // and every key and value is then read once
}

// measureCeiling parses the plan's own request bodies with fastjson on all
// cores, half of the given time without and half with reading the values: what
// a server that did nothing else could take in.
func measureCeiling(plan Plan, d time.Duration) (Ceiling, error) {
	streams := make([]*stream, runtime.GOMAXPROCS(0))
	for i := range streams {
		streams[i] = newStream(plan, i, Target{})
	}
	parse, err := parseFor(streams, d/2, func(*fastjson.Value) int { return 1 })
	if err != nil {
		return Ceiling{}, err
	}
	read, err := parseFor(streams, d/2, readAll)
	return Ceiling{parse, read}, err
}

// parseFor returns the events parsed per second by one goroutine per stream.
func parseFor(streams []*stream, d time.Duration, use func(*fastjson.Value) int) (uint64, error) {
	var events atomic.Uint64
	var failed atomic.Value
	var group sync.WaitGroup
	start := time.Now()
	for _, s := range streams {
		group.Go(func() {
			var parser fastjson.Parser
			// Once at least: a goroutine may first run when the time is over.
			for n := uint64(0); n == 0 || time.Since(start) < d; n++ {
				b := &s.bodies[n%uint64(len(s.bodies))]
				v, err := parser.ParseBytes(b.raw[b.header:])
				if err != nil {
					failed.Store(err)
					return
				}
				if use(v) > 0 {
					events.Add(uint64(len(b.ids)))
				}
			}
		})
	}
	group.Wait()
	if err, ok := failed.Load().(error); ok {
		return 0, err
	}
	return events.Load() * uint64(time.Second) / uint64(max(1, time.Since(start))), nil
}

// readAll visits every key and value and returns the number of bytes it saw.
func readAll(v *fastjson.Value) (seen int) {
	switch v.Type() {
	case fastjson.TypeArray:
		for _, item := range v.GetArray() {
			seen += readAll(item)
		}
	case fastjson.TypeObject:
		v.GetObject().Visit(func(key []byte, member *fastjson.Value) { seen += len(key) + readAll(member) })
	case fastjson.TypeString:
		seen = len(v.GetStringBytes())
	default:
		seen = 1
	}
	return seen
}
