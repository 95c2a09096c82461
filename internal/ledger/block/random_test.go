package block

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"odometer/internal/meter"
)

var testKey = Key{0x0706050403020100, 0x0f0e0d0c0b0a0908}

// attribute is one attribute of a generated event.
type attribute struct {
	path  string
	value meter.Value
}

// generated is an event as the tests know it, apart from the code under test.
type generated struct {
	env  Envelope
	data []attribute
}

// profile bends what is generated, so that every form of a section occurs.
type profile struct {
	uuids     bool
	attrs     int
	presence  float64
	kinds     int // how many kinds a column mixes
	texts     int // distinct texts a column draws from; 0: all distinct
	numbers   int
	longTexts bool
	noSubject float64
	times     int64 // unit of the times
	untimed   float64
}

// testAccepted is when the blocks of the tests were accepted.
const testAccepted = 1_800_000_000_123_456_789

func randomProfile(r *rand.Rand) profile {
	return profile{
		uuids: r.IntN(2) == 0, attrs: r.IntN(6), presence: []float64{1, 0.9, 0.5, 0.02}[r.IntN(4)],
		kinds: 1 + r.IntN(3), texts: []int{0, 1, 2, 30, 300}[r.IntN(5)], numbers: r.IntN(6), longTexts: r.IntN(4) == 0,
		noSubject: []float64{0, 0.3, 1}[r.IntN(3)], times: []int64{1, 1000, 1_000_000, 1_000_000_000}[r.IntN(4)],
		untimed: []float64{0, 0, 0.2, 1}[r.IntN(4)],
	}
}

func (p profile) event(r *rand.Rand, i int) generated {
	g := generated{env: Envelope{
		Source: fmt.Appendf(nil, "source/%d", r.IntN(3)),
		Type:   fmt.Appendf(nil, "type.%d", r.IntN(2)),
		Time:   1_700_000_000_000_000_000 + r.Int64N(600_000)*p.times,
	}}
	if r.Float64() < p.untimed {
		g.env.Time, g.env.Untimed = 0, true
	}
	if p.uuids {
		g.env.ID = randomUUID(r)
	} else {
		g.env.ID = fmt.Appendf(nil, "id-%06d-%d", i, r.IntN(1000))
	}
	if r.Float64() >= p.noSubject {
		g.env.HasSubject = true
		g.env.Subject = fmt.Appendf(nil, "customer-%03d", r.IntN(200))
	}
	for a := range p.attrs {
		if r.Float64() < p.presence {
			path := fmt.Sprintf("attr%d", a)
			if a == 4 {
				path = meter.ExtensionPrefix + "extension"
			}
			g.data = append(g.data, attribute{path, p.value(r, a, i)})
		}
	}
	r.Shuffle(len(g.data), func(i, j int) { g.data[i], g.data[j] = g.data[j], g.data[i] })
	return g
}

func (p profile) value(r *rand.Rand, a, i int) meter.Value {
	n := i
	if p.texts > 0 {
		n = r.IntN(p.texts)
	}
	switch (a + r.IntN(p.kinds)) % 7 {
	case 0:
		if p.longTexts {
			return meter.StringValue(fmt.Sprintf("https://api.example.com/v1/customers/%d/résumé?page=%d", n, n%7))
		}
		return meter.StringValue(fmt.Sprintf("svc-%04d", n))
	case 1:
		return meter.NumberValue(p.number(r))
	case 2:
		return meter.BoolValue(r.IntN(2) == 0)
	case 3:
		return meter.Value{Kind: meter.JSON, Str: fmt.Sprintf("[%d]", n)}
	case 4:
		return meter.StringValue(fmt.Sprintf("[%d]", n))
	case 5:
		v, err := meter.ParseNumber(fmt.Sprintf("-%d.%013de%d", n, 1+n, r.IntN(3)*100_000_000))
		if err != nil {
			panic(err)
		}
		return v
	default:
		return meter.Value{Kind: meter.Null}
	}
}

func (p profile) number(r *rand.Rand) meter.Quantity {
	parse := func(format string, args ...any) meter.Quantity {
		q, err := meter.ParseQuantity(fmt.Sprintf(format, args...))
		if err != nil {
			panic(err)
		}
		return q
	}
	switch p.numbers {
	case 0:
		return meter.QuantityFromInt64(r.Int64N(1_000_000))
	case 1:
		return meter.QuantityFromInt64([]int64{200, 404, 500, -1}[r.IntN(4)])
	case 2:
		return parse("%d.%02d", r.IntN(1000)-500, r.IntN(100))
	case 3:
		return meter.QuantityFromInt64(r.Int64() - 1<<62)
	case 4:
		return parse("-%d%018d.%012d", 1+r.IntN(99_999_999), r.Int64N(1e18), r.Int64N(1e12))
	default:
		return meter.QuantityFromInt64(1_700_000_000_000 + 1000*r.Int64N(5000))
	}
}

func randomUUID(r *rand.Rand) []byte {
	var u [16]byte
	for i := range u {
		u[i] = byte(r.Uint32())
	}
	return appendUUID(nil, u[:])
}

// stage puts generated events into a builder.
func stage(t testing.TB, b *Builder, events []generated) {
	t.Helper()
	for i := range events {
		stageOne(t, b, &events[i])
	}
}

func stageOne(t testing.TB, b *Builder, g *generated) {
	b.Begin()
	g.put(b)
	if err := b.Commit(&g.env); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func (g *generated) put(b *Builder) {
	for _, a := range g.data {
		at := b.Attr([]byte(a.path))
		switch v := a.value; v.Kind {
		case meter.String:
			b.PutString(at, []byte(v.Str))
		case meter.JSON:
			b.PutJSON(at, []byte(v.Str))
		case meter.Number:
			b.PutNumber(at, v.Num)
		case meter.Excess:
			b.PutExcess(at, []byte(v.Str))
		default:
			b.PutLiteral(at, v.Kind)
		}
	}
}

func randomEvents(r *rand.Rand, p profile, n int) []generated {
	events := make([]generated, n)
	for i := range events {
		events[i] = p.event(r, i)
	}
	return events
}
