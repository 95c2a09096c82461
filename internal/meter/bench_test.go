package meter

import (
	"testing"
	"time"
)

var (
	sinkQuantity Quantity
	sinkTime     time.Time
	sinkBool     bool
	sinkDecimal  Decimal
)

func BenchmarkParseQuantityBytes(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"5", "48213"}, {"8", "10485760"}, {"18", "123456789012345678"}, {"fraction", "1234.5678"}, {"26.12", "12345678901234567890123456.123456789012"},
		{"exponent", "1.5e3"},
	} {
		text := []byte(c.text)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sinkQuantity, _ = ParseQuantityBytes(text)
			}
		})
	}
}

func BenchmarkQuantityAppendText(b *testing.B) {
	for _, text := range []string{"48213", "1234.5678", "12345678901234567890123456.123456789012"} {
		q := mustQuantity(b, text)
		buf := make([]byte, 0, 64)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = q.AppendText(buf[:0])
			}
		})
	}
}

func BenchmarkSumAdd(b *testing.B) {
	q := mustQuantity(b, "48213.5")
	var s Sum
	for b.Loop() {
		s.Add(q)
	}
	sinkDecimal = s.Decimal()
}

func BenchmarkSumDecimal(b *testing.B) {
	for _, text := range []string{"48213", "48213.123456789"} {
		var s Sum
		s.Add(mustQuantity(b, text))
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sinkDecimal = s.Decimal()
			}
		})
	}
}

func BenchmarkFilterMatch(b *testing.B) {
	f := Filter{Attribute: "status", Op: OpGTE, Value: NumberValue(QuantityFromInt64(500))}
	v := NumberValue(QuantityFromInt64(503))
	for b.Loop() {
		sinkBool = f.Match(v)
	}
}

func BenchmarkWindowNext(b *testing.B) {
	at := time.Date(2026, 10, 7, 12, 34, 56, 0, time.UTC)
	for _, zone := range []string{"UTC", "Europe/Berlin", "Asia/Kolkata"} {
		loc := mustZone(b, zone)
		for _, w := range []Window{WindowHour, WindowDay, WindowMonth} {
			b.Run(zone+"/"+string(w), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					sinkTime = w.Next(at, loc)
				}
			})
		}
	}
}

func BenchmarkWindowAligned(b *testing.B) {
	loc := mustZone(b, "Europe/Berlin")
	from, to := day(2025, 1, 1), day(2026, 1, 1)
	for b.Loop() {
		sinkBool = WindowHour.Aligned(from, to, loc, defaultSlot)
	}
}
