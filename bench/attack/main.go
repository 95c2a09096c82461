// Command attack sends a server the dearest events that an ingest key may
// send: see bench/attack.sh, which measures what they leave behind.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"odometer/client"
)

// attack is one kind of request, and what the organization has defined.
type attack struct {
	meters []client.Meter
	orgs   int // organizations that are attacked; 0 = the key's own
	// events is how many a body has, bodies how many are sent.
	events, bodies int
	event          func(dst []byte, n int) []byte // members of event n beside specversion, id and time
}

func text(dst []byte, name string, n, size int) []byte {
	return append(append(fmt.Appendf(dst, `,"%s":"%010d`, name, n), filler[:size-10]...), '"')
}

var filler = strings.Repeat("x", 32<<10)

func plain(dst []byte) []byte { return append(dst, `,"source":"s","type":"t"`...) }

func data(dst []byte, n, size int) []byte {
	return append(text(append(plain(dst), `,"data":{"n":1`...), "a", n, size), '}')
}

// meter takes an attribute and groups by others.
func meter(key, aggregation, value string, by ...string) client.Meter {
	return client.Meter{Key: key, EventType: "t", Aggregation: aggregation, Value: value, GroupBy: by}
}

func manyMeters(n int) (out []client.Meter) {
	for i := range n {
		out = append(out, meter(fmt.Sprint("m", i), "SUM", "n", "customer", "a"))
	}
	return out
}

var attacks = map[string]attack{
	"long-texts":  {meters: []client.Meter{meter("m", "COUNT", "", "a")}, events: 1900, bodies: 33, event: func(d []byte, n int) []byte { return data(d, n, 32<<10) }},
	"group-texts": {meters: []client.Meter{meter("m", "COUNT", "", "a"), meter("c", "SUM", "n", "customer", "a")}, events: 20000, bodies: 60, event: func(d []byte, n int) []byte { return data(d, n, 512) }},
	"values":      {meters: []client.Meter{meter("m", "UNIQUE_COUNT", "a")}, events: 20000, bodies: 60, event: func(d []byte, n int) []byte { return data(d, n, 512) }},
	"subjects": {meters: []client.Meter{meter("m", "COUNT", "", "customer")}, events: 20000, bodies: 60, event: func(d []byte, n int) []byte {
		return text(plain(d), "subject", n, 512)
	}},
	"sources": {meters: []client.Meter{meter("m", "LAST", "n", "customer", "a")}, events: 20000, bodies: 60, event: func(d []byte, n int) []byte {
		return append(text(fmt.Appendf(d, `,"type":"t","data":{"n":%d,"a":"%d"}`, n, n), "source", n, 512), ""...)
	}},
	"types": {meters: []client.Meter{meter("m", "COUNT", "", "a")}, events: 20000, bodies: 60, event: func(d []byte, n int) []byte {
		return text(append(d, `,"source":"s"`...), "type", n, 512)
	}},
	"names": {meters: []client.Meter{meter("m", "COUNT", "", "a")}, events: 32, bodies: 2000, event: func(d []byte, n int) []byte {
		d = append(plain(d), `,"data":{"a":1`...)
		for i := range 127 {
			d = fmt.Appendf(d, `,"%08d-%03d%s":1`, n, i, filler[:240])
		}
		return append(d, '}')
	}},
	"numbers": {meters: []client.Meter{meter("m", "SUM", "a0", "a1", "a2", "a3")}, events: 20000, bodies: 24, event: func(d []byte, n int) []byte {
		d = append(plain(d), `,"data":{"z":1`...)
		for i := range 127 {
			d = fmt.Appendf(d, `,"a%d":%d`, i, n+i)
		}
		return append(d, '}')
	}},
	"many-meters": {meters: manyMeters(999), events: 4000, bodies: 3, event: func(d []byte, n int) []byte {
		return append(fmt.Appendf(plain(d), `,"subject":"c%d","data":{"n":1,"a":"g%d"}`, n, n), ""...)
	}},
	"many-organizations": {meters: manyMeters(3), orgs: 300, events: 500, bodies: 3, event: func(d []byte, n int) []byte { return data(d, n, 512) }},
	"conflicts": {meters: []client.Meter{meter("m", "COUNT", "", "a")}, events: 20000, bodies: 60, event: func(d []byte, n int) []byte {
		return fmt.Appendf(plain(d), `,"id":"i%d","data":{"n":%d}`, n%20000, n)
	}},
	"rejections": {meters: []client.Meter{meter("m", "COUNT", "", "a")}, events: 20000, bodies: 30, event: func(d []byte, n int) []byte {
		return fmt.Appendf(d, `,"type":"t","data":{"a":"%s"}`, filler[:1024])
	}},
}

func main() {
	name := flag.String("attack", "", "one of "+strings.Join(slices.Sorted(maps.Keys(attacks)), ", "))
	parallel := flag.Int("parallel", 8, "requests at once")
	share := flag.Int("divide", 1, "send a part of the bodies only")
	flag.Parse()
	a, ok := attacks[*name]
	if !ok {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), *name, a, *parallel, *share); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func connect(organization, key string) (*client.Client, error) {
	return client.New(client.Options{URL: os.Getenv("ODOMETER_URL"), Key: key, Organization: organization, Compression: client.Gzip,
		Retry: client.Retry{Attempts: 1000, Longest: time.Second}})
}

func run(ctx context.Context, name string, a attack, parallel, share int) error {
	orgs := []string{""}
	for i := range a.orgs {
		orgs = append(orgs, fmt.Sprint(name, "-", i))
	}
	senders := make([]*client.Client, 0, len(orgs))
	for _, org := range orgs {
		s, err := prepare(ctx, org, a.meters)
		if err != nil {
			return err
		}
		senders = append(senders, s)
	}
	var next, sent, accepted atomic.Int64
	total := int64(max(1, a.bodies/share) * len(orgs))
	var group sync.WaitGroup
	errs := make(chan error, parallel)
	start := time.Now()
	for range parallel {
		group.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= total {
					return
				}
				body := pack(a, int(i))
				sent.Add(int64(len(body)))
				n, err := post(ctx, senders[int(i)%len(senders)], body)
				accepted.Add(int64(n))
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	fmt.Printf("%s: %d requests, %.0f MiB before compression, %d events accepted, %s\n", name, total, float64(sent.Load())/(1<<20), accepted.Load(), time.Since(start).Round(time.Millisecond))
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// prepare makes the organization, its meters and a key that may only ingest.
func prepare(ctx context.Context, org string, meters []client.Meter) (*client.Client, error) {
	admin, err := connect(org, os.Getenv("ODOMETER_KEY"))
	if err != nil {
		return nil, err
	}
	if org != "" {
		operator, err := connect("", os.Getenv("ODOMETER_KEY"))
		if err != nil {
			return nil, err
		}
		if _, err := operator.CreateOrganization(ctx, client.NewOrganization{ID: org}); err != nil {
			return nil, err
		}
	}
	for _, m := range meters {
		if _, err := admin.CreateMeter(ctx, m); err != nil {
			return nil, err
		}
	}
	key, err := admin.CreateKey(ctx, client.NewKey{Role: "ingest"})
	if err != nil {
		return nil, err
	}
	return connect("", key.Token)
}

// pack writes a body; the client compresses it.
func pack(a attack, body int) []byte {
	var out bytes.Buffer
	now := time.Now().UTC()
	var line []byte
	for i := range a.events {
		n := body*a.events + i
		line = append(line[:0], `{"specversion":"1.0","time":"`...)
		line = now.Add(-time.Duration(n%(30*86400))*time.Second).AppendFormat(line, time.RFC3339)
		line = append(line, '"')
		line = a.event(line, n)
		if !bytes.Contains(line, []byte(`,"id":`)) {
			line = fmt.Appendf(line, `,"id":"e%d"`, n)
		}
		out.Write(append(line, '}', '\n'))
	}
	return out.Bytes()
}

func post(ctx context.Context, c *client.Client, body []byte) (int, error) {
	r, err := c.IngestBody(ctx, "application/x-ndjson", body, false)
	return r.Accepted, err
}
