package meter

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of these tests, whatever the machine has

	"odometer/internal/fixedtest"
)

var rewriteFlag = flag.Bool("rewrite", false, "write the answers in testdata instead of checking them")

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// ruledZone makes a location whose file lists one change, to offset at the Unix
// second when, and says the rest by a rule, as slim zone files do.
func ruledZone(t testing.TB, name string, when int64, offset int32, rule string) *time.Location {
	t.Helper()
	block := func(version byte, size int) []byte {
		b := append([]byte("TZif"), version)
		b = append(b, make([]byte, 15)...)
		for _, n := range []uint32{0, 0, 0, 1, 2, 4} { // isutc, isstd, leap, times, types, name bytes
			b = binary.BigEndian.AppendUint32(b, n)
		}
		if size == 4 {
			b = binary.BigEndian.AppendUint32(b, uint32(when))
		} else {
			b = binary.BigEndian.AppendUint64(b, uint64(when))
		}
		b = append(b, 1) // the change is to the second type
		for _, o := range []int32{0, offset} {
			b = binary.BigEndian.AppendUint32(b, uint32(o))
			b = append(b, 0, 0)
		}
		return append(b, "XXX\x00"...)
	}
	file := append(block('2', 4), block('2', 8)...)
	loc, err := time.LoadLocationFromTZData(name, append(file, "\n"+rule+"\n"...))
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// testZones returns the zones that the tests below look at.
func testZones(t testing.TB) []*time.Location {
	t.Helper()
	zones := []*time.Location{
		time.FixedZone("fixed", -(3*3600 + 25*60 + 45)),
		// In both, the listed change lies within a year of the rule.
		ruledZone(t, "ruled/North", 1_190_000_000, -4*3600, "EST5EDT,M3.2.0,M11.1.0"),
		ruledZone(t, "ruled/South", 1_330_000_000, 11*3600, "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"),
		// Changes within an hour that stay in it: forward, which leaves one
		// window, and back, which makes two.
		ruledZone(t, "ruled/Forward", 1_600_000_000-1_600_000_000%3600+1200, 600, "<+0010>-0:10"),
		ruledZone(t, "ruled/Back", 1_600_000_000-1_600_000_000%3600+1200, -600, "<-0010>0:10"),
	}
	for _, name := range oddZones {
		zones = append(zones, mustZone(t, name))
	}
	return zones
}

func mustTime(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// answer lists the windows of one case of testdata/windows.txt.
func answer(t *testing.T, line string) string {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) != 4 {
		t.Fatalf("%q: want a zone, a window and a range", line)
	}
	loc := mustZone(t, fields[0])
	w, err := ParseWindow(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	from, to := mustTime(t, fields[2]), mustTime(t, fields[3])
	var b strings.Builder
	at := w.Start(from, loc)
	if at.Before(from) {
		at = w.Next(at, loc)
	}
	for at.Before(to) {
		next := w.Next(at, loc)
		fmt.Fprintf(&b, "  %s  %s\n", at.Format("Mon 2006-01-02 15:04:05 -07:00:00"), next.Sub(at))
		at = next
	}
	return b.String()
}

func TestWindowScript(t *testing.T) {
	t.Parallel()
	const file = "testdata/windows.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out, want, got strings.Builder
	var input string
	check := func() {
		if want.String() != got.String() && !*rewriteFlag {
			t.Errorf("%s\nhas\n%swant\n%s", input, got.String(), want.String())
		}
		want.Reset()
		got.Reset()
	}
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "  "):
			want.WriteString(line)
			continue
		case strings.HasPrefix(line, "#") || line == "\n":
			out.WriteString(line)
			continue
		}
		check()
		input = strings.TrimSpace(line)
		got.WriteString(answer(t, input))
		out.WriteString(line + got.String())
	}
	check()
	if *rewriteFlag {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// oddZones are the zones whose clocks did what others' did not.
var oddZones = []string{
	"UTC", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Australia/Eucla", "Pacific/Chatham", "America/St_Johns",
	"America/New_York", "Europe/London", "Europe/Dublin", "Europe/Amsterdam", "Europe/Paris", "America/Sao_Paulo", "America/Asuncion",
	"Asia/Beirut", "Asia/Gaza", "Asia/Tehran", "Africa/Cairo", "Africa/Casablanca", "Africa/Monrovia", "Pacific/Apia", "Pacific/Kwajalein",
	"Pacific/Kiritimati", "Asia/Manila", "America/Juneau", "America/Caracas", "Asia/Pyongyang", "Antarctica/Troll", "Atlantic/Azores",
	"America/Havana", "Asia/Hong_Kong", "Asia/Singapore", "Europe/Moscow", "America/Scoresbysund", "Pacific/Norfolk", "Asia/Amman",
}

// changes lists instants at which a zone's clock was changed, up to 2050, by
// comparing its offset week by week.
func changes(loc *time.Location) []time.Time {
	var out []time.Time
	at := time.Date(1840, 1, 1, 0, 0, 0, 0, time.UTC).In(loc)
	for at.Year() < 2050 {
		next := at.AddDate(0, 0, 7)
		if _, before := at.Zone(); before != offsetAt(next) {
			low, high := at.Unix(), next.Unix()
			for high-low > 1 {
				if middle := (low + high) / 2; offsetAt(time.Unix(middle, 0).In(loc)) == before {
					low = middle
				} else {
					high = middle
				}
			}
			out = append(out, time.Unix(high, 0).In(loc))
		}
		at = next
	}
	return out
}

func offsetAt(t time.Time) int {
	_, offset := t.Zone()
	return offset
}

// reading is what a wall clock shows, truncated to a window: its fields, the
// year first, so that a later reading is greater.
type reading int64

// show truncates the local time t to the window w, field by field.
func show(w Window, t time.Time) reading {
	year, month, day := t.Date()
	hour, minute, _ := t.Clock()
	switch w {
	case Window5m:
		minute -= minute % 5
	case Window15m:
		minute -= minute % 15
	case WindowHour:
		minute = 0
	case WindowDay:
		hour, minute = 0, 0
	case WindowWeek:
		monday := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		for monday.Weekday() != time.Monday {
			monday = monday.AddDate(0, 0, -1)
		}
		year, month, day = monday.Date()
		hour, minute = 0, 0
	case WindowMonth:
		day, hour, minute = 0, 0, 0
	case WindowYear:
		month, day, hour, minute = 0, 0, 0, 0
	}
	return reading((((int64(year)*100+int64(month))*100+int64(day))*100+int64(hour))*100 + int64(minute))
}

// walker finds the starts of windows by looking at the clock second by second,
// straight from the definition of Window.
type walker struct {
	window Window
	shown  reading // by the window that is open
	starts []time.Time
}

// walk looks at every instant after from up to and including to, but jumps over
// stretches in which the clock simply ran on within one window.
func (k *walker) walk(from, to time.Time, step time.Duration) {
	finer := map[time.Duration]time.Duration{time.Hour: 5 * time.Minute, 5 * time.Minute: time.Minute, time.Minute: time.Second}
	label, offset := show(k.window, from), offsetAt(from)
	for at := from; at.Before(to); at = at.Add(step) {
		next := at.Add(step)
		labelBefore, offsetBefore := label, offset
		label, offset = show(k.window, next), offsetAt(next)
		if label == labelBefore && offset == offsetBefore {
			continue
		}
		if step > time.Second {
			k.walk(at, next, finer[step])
			continue
		}
		begins := label != k.shown || offset < offsetBefore
		if k.window.seconds() == 0 {
			begins = label > k.shown
		}
		if begins {
			k.starts = append(k.starts, next)
			k.shown = label
		}
	}
}

// checkWindows compares w with a walk from from to to, but only three days
// after from: until then a walk may not know of a clock set back before.
func checkWindows(t *testing.T, w Window, loc *time.Location, from, to time.Time) {
	t.Helper()
	from = from.In(loc)
	k := walker{window: w, shown: show(w, from)}
	k.walk(from, to.In(loc), time.Hour)
	for i := 1; i < len(k.starts); i++ {
		begin, end := k.starts[i-1], k.starts[i]
		if begin.Before(from.AddDate(0, 0, 3)) {
			continue
		}
		for _, at := range []time.Time{begin, begin.Add(time.Nanosecond), begin.Add(end.Sub(begin) / 2), end.Add(-time.Nanosecond)} {
			if got := w.Start(at, loc); !got.Equal(begin) {
				t.Fatalf("%s in %s: the window of %s begins %s; want %s", w, loc, at, got, begin)
			}
			if got := w.Next(at, loc); !got.Equal(end) {
				t.Fatalf("%s in %s: the window of %s ends %s; want %s", w, loc, at, got, end)
			}
		}
	}
	if w.seconds() != 0 && len(k.starts) < 24 {
		t.Fatalf("%s in %s: a walk of days found %d windows", w, loc, len(k.starts))
	}
}

func TestWindowsAgainstWalk(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for _, loc := range testZones(t) {
		all := changes(loc)
		for _, w := range windows {
			around := time.Date(1900+r.IntN(140), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
			if len(all) > 0 && r.IntN(10) > 0 {
				around = all[r.IntN(len(all))].UTC().Truncate(time.Hour)
			}
			days := map[Window]int{WindowWeek: 20, WindowMonth: 70}[w]
			if w == WindowYear {
				if r.IntN(4) > 0 {
					continue // long to walk
				}
				days = 400
			}
			checkWindows(t, w, loc, around.AddDate(0, 0, -5-days), around.AddDate(0, 0, 4+days))
		}
	}
}

// TestWindowsTile checks that windows follow each other without gap or overlap
// and that longer ones begin where shorter ones do.
func TestWindowsTile(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for _, loc := range testZones(t) {
		for range 200 {
			at := time.Unix(-4_000_000_000+r.Int64N(8_000_000_000), r.Int64N(1e9))
			for i, w := range windows {
				start, next := w.Start(at, loc), w.Next(at, loc)
				if start.After(at) || !next.After(at) {
					t.Fatalf("%s in %s: %s lies outside its window, %s to %s", w, loc, at.UTC(), start, next)
				}
				if !w.Start(start, loc).Equal(start) || !w.Next(start, loc).Equal(next) || !w.Start(next, loc).Equal(next) ||
					!w.Start(next.Add(-time.Nanosecond), loc).Equal(start) {
					t.Fatalf("%s in %s: the window %s to %s does not hold together", w, loc, start, next)
				}
				for _, shorter := range windows[:i] {
					if shorter != WindowWeek && !shorter.Start(start, loc).Equal(start) {
						t.Fatalf("%s in %s: no window of %s begins at %s", w, loc, shorter, start)
					}
				}
			}
		}
	}
}

func TestWindowAligned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone   string
		w      Window
		from   string
		to     string
		slot   time.Duration
		answer bool
	}{
		{"UTC", WindowDay, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 15 * time.Minute, true},
		{"UTC", WindowDay, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 24 * time.Hour, true},
		{"UTC", WindowHour, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 24 * time.Hour, false},
		{"UTC", Window5m, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 15 * time.Minute, false},
		{"UTC", Window5m, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 5 * time.Minute, true},
		{"UTC", WindowDay, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 7 * time.Minute, false},
		{"UTC", WindowDay, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 1500 * time.Millisecond, false},
		{"UTC", WindowDay, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 0, false},
		{"Asia/Kolkata", WindowHour, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 15 * time.Minute, true},
		{"Asia/Kolkata", WindowDay, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", time.Hour, false},
		{"Asia/Kolkata", WindowDay, "2024-01-01T00:00:00Z", "2024-01-01T18:30:00Z", time.Hour, true},
		{"Asia/Kolkata", WindowDay, "2024-01-01T00:00:00Z", "2024-01-01T18:30:00.1Z", time.Hour, false},
		{"Asia/Kathmandu", WindowMonth, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 15 * time.Minute, true},
		{"Asia/Kathmandu", WindowMonth, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 30 * time.Minute, false},
		{"Asia/Kathmandu", WindowYear, "2024-01-01T00:00:00Z", "2024-12-01T00:00:00Z", 30 * time.Minute, true},
		{"Australia/Lord_Howe", WindowHour, "2015-01-01T00:00:00Z", "2025-01-01T00:00:00Z", 15 * time.Minute, true},
		{"Australia/Lord_Howe", WindowDay, "2024-01-01T00:00:00Z", "2024-04-06T00:00:00Z", time.Hour, true},
		{"Australia/Lord_Howe", WindowDay, "2024-01-01T00:00:00Z", "2024-05-01T00:00:00Z", time.Hour, false},
		{"America/New_York", WindowDay, "2015-01-01T00:00:00Z", "2025-01-01T00:00:00Z", time.Hour, true},
		{"America/New_York", WindowDay, "1880-01-01T00:00:00Z", "1890-01-01T00:00:00Z", 15 * time.Minute, false},
	} {
		if got := c.w.Aligned(mustTime(t, c.from), mustTime(t, c.to), mustZone(t, c.zone), c.slot); got != c.answer {
			t.Errorf("%s in %s from %s to %s on %s: %t", c.w, c.zone, c.from, c.to, c.slot, got)
		}
	}
}

// TestWindowAlignedAgainstStarts checks the promise of Aligned on every start.
func TestWindowAlignedAgainstStarts(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	slots := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}
	missed, cases := 0, 0
	for _, loc := range testZones(t) {
		for range 30 {
			w, slot := windows[r.IntN(len(windows))], slots[r.IntN(len(slots))]
			from := time.Unix(-2_500_000_000+r.Int64N(4_500_000_000), 0)
			to := from.Add(time.Duration(r.Int64N(int64(200 * w.length()))))
			every := true
			for at := w.Next(from, loc); every && at.Before(to); at = w.Next(at, loc) {
				every = floorMod(at.Unix(), int64(slot/time.Second)) == 0
			}
			got := w.Aligned(from, to, loc, slot)
			if got && !every {
				t.Fatalf("%s in %s from %s to %s on %s is not aligned", w, loc, from.UTC(), to.UTC(), slot)
			}
			cases++
			if !got && every {
				missed++
			}
		}
	}
	if missed*10 > cases {
		t.Errorf("Aligned missed %d of %d aligned ranges", missed, cases)
	}
}

// length is about how long w is.
func (w Window) length() time.Duration {
	if s := w.seconds(); s != 0 {
		return time.Duration(s) * time.Second
	}
	days := map[Window]time.Duration{WindowDay: 1, WindowWeek: 7, WindowMonth: 10, WindowYear: 20}[w]
	return days * 24 * time.Hour
}

func TestParseWindow(t *testing.T) {
	t.Parallel()
	for _, w := range windows {
		if got, err := ParseWindow(string(w)); err != nil || got != w {
			t.Errorf("%s reads as %s, %v", w, got, err)
		}
	}
	for _, s := range []string{"", "Hour", "10m", "quarter"} {
		_, err := ParseWindow(s)
		checkError(t, s, err, "want one of 5m, 15m, hour, day, week, month, year")
	}
}

// TestWindowChangeWithinHour looks at an hour in which the clock jumps from
// :20 to :30, and at one in which it goes back from :20 to :10.
func TestWindowChangeWithinHour(t *testing.T) {
	t.Parallel()
	hour := time.Unix(1_600_000_000-1_600_000_000%3600, 0)
	minute := func(n int) time.Time { return hour.Add(time.Duration(n) * time.Minute) }
	forward := ruledZone(t, "ruled/Forward", minute(20).Unix(), 600, "<+0010>-0:10")
	back := ruledZone(t, "ruled/Back", minute(20).Unix(), -600, "<-0010>0:10")
	for _, c := range []struct {
		loc             *time.Location
		at, begin, next int
	}{
		{forward, 10, 0, 50}, {forward, 20, 0, 50}, {forward, 49, 0, 50}, {forward, 50, 50, 110},
		{back, 10, 0, 20}, {back, 20, 20, 70}, {back, 69, 20, 70}, {back, 70, 70, 130},
	} {
		begin, next := WindowHour.Start(minute(c.at), c.loc), WindowHour.Next(minute(c.at), c.loc)
		if !begin.Equal(minute(c.begin)) || !next.Equal(minute(c.next)) {
			t.Errorf("%s: minute %d lies in [%s, %s)", c.loc, c.at, begin.Sub(hour), next.Sub(hour))
		}
	}
}

func TestWindowNilLocation(t *testing.T) {
	t.Parallel()
	at := mustTime(t, "2024-02-29T12:34:56.7+05:30")
	if got := WindowDay.Start(at, nil); got != time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC) {
		t.Errorf("the day begins %s", got)
	}
	fixed := time.FixedZone("", -(3*3600 + 25*60))
	if got := WindowHour.Next(at, fixed); !got.Equal(mustTime(t, "2024-02-29T07:25:00Z")) {
		t.Errorf("the hour ends %s", got.UTC())
	}
}
