package cloudevents

import (
	"strings"
	"testing"
	"time"

	"odometer/internal/fixedtest"
)

func TestTimeReasons(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"2025-06-15T12:00:00Z": "", "2025-06-15t12:00:00z": "", "2025-06-15T12:00:00.1Z": "", "2025-06-15T12:00:00.123456789Z": "",
		"2025-06-15T12:00:00+00:00": "", "2025-06-15T12:00:00-00:00": "", "2025-06-15T12:00:00.5+23:59": "", "2024-02-29T00:00:00Z": "", "2000-02-29T00:00:00Z": "",
		"1678-01-01T00:00:00Z": "", "2261-12-31T23:59:59.999999999Z": "",
		"2025-06-15T12:00:00.1234567890Z": timeFraction, "2025-06-15T12:00:00.0000000000Z": timeFraction,
		"2025-06-15T23:59:60Z": timeLeap, "2025-06-15T12:00:61Z": timeOfDay, "2025-06-15T24:00:00Z": timeOfDay, "2025-06-15T12:60:00Z": timeOfDay, "2025-06-15T24:00:60Z": timeOfDay,
		"2025-02-29T00:00:00Z": timeNoSuchDay, "1900-02-29T00:00:00Z": timeNoSuchDay, "2025-04-31T00:00:00Z": timeNoSuchDay, "2025-00-10T00:00:00Z": timeNoSuchDay,
		"2025-13-10T00:00:00Z": timeNoSuchDay, "2025-01-00T00:00:00Z": timeNoSuchDay, "2025-01-32T00:00:00Z": timeNoSuchDay,
		"2025-06-15T12:00:00+24:00": timeOffset, "2025-06-15T12:00:00+00:60": timeOffset,
		"": timeMalformed, "2025-06-15": timeMalformed, "2025-06-15 12:00:00Z": timeMalformed, "2025-06-15T12:00Z": timeMalformed, "2025-06-15T12:00:00": timeMalformed,
		"2025-06-15T12:00:00.Z": timeMalformed, "2025-06-15T12:00:00,5Z": timeMalformed, "2025-06-15T12:00:00+0000": timeMalformed, "2025-06-15T12:00:00+00:00x": timeMalformed,
		"2025-06-15T12:00:00Zx": timeMalformed, "2025-06-15T12:00:00 Z": timeMalformed, "2025/06/15T12:00:00Z": timeMalformed, "2o25-06-15T12:00:00Z": timeMalformed,
		"2025-06-15T1a:00:00Z": timeMalformed, "2025-06-15T12:00:00*00:00": timeMalformed, "2025-06-15T12:00:00+a0:00": timeMalformed, "+025-06-15T12:00:00Z": timeMalformed,
		"1677-01-01T00:00:00Z": timeRange, "2263-01-01T00:00:00Z": timeRange, "0000-01-01T00:00:00Z": timeRange, "9999-12-31T23:59:59Z": timeRange,
	} {
		var c dayCache
		nanos, reason := c.parse([]byte(s))
		if reason != want {
			t.Errorf("%q: %q, want %q", s, reason, want)
		}
		if want == "" {
			if at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s)); err != nil || at.UnixNano() != nanos {
				t.Errorf("%q: %d, want %v (%v)", s, nanos, at, err)
			}
		}
	}
}

func TestTimesSurvive(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	var c dayCache
	for range 20_000 {
		at := time.Unix(-9_000_000_000+r.Int64N(18_000_000_000), r.Int64N(1e9)).In(time.FixedZone("", (r.IntN(2*1439)-1439)*60))
		at = at.Truncate([]time.Duration{1, time.Microsecond, time.Millisecond, time.Second}[r.IntN(4)])
		s := at.Format(time.RFC3339Nano)
		if nanos, reason := c.parse([]byte(s)); nanos != at.UnixNano() || reason != "" {
			t.Fatalf("%s: %d %q, want %d", s, nanos, reason, at.UnixNano())
		}
	}
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"2025-06-15T12:00:00Z", "2025-06-15t12:00:00.123456789-23:59", "2024-02-29T23:59:60Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c dayCache
		nanos, reason := c.parse([]byte(s))
		if again, _ := c.parse([]byte(s)); again != nanos {
			t.Fatalf("%q: %d, then %d", s, nanos, again)
		}
		at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
		if reason == "" && (err != nil || at.UnixNano() != nanos) {
			t.Fatalf("%q: %d, want %v (%v)", s, nanos, at, err)
		}
	})
}
