package meter

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestLocalTimes is the one rule for local times that come twice or not at
// all, over zones that change their clocks in awkward ways. Each window that
// begins where a date does begins at the same instant.
func TestLocalTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, local, want string }{
		{"America/Santiago", "2026-09-06", "2026-09-06T01:00:00-03:00"}, // midnight is skipped
		{"America/Santiago", "2026-09-06T00:30:00", "2026-09-06T01:00:00-03:00"},
		{"America/Santiago", "2026-09-06T00:59:59.999999999", "2026-09-06T01:00:00-03:00"},
		{"America/Santiago", "2026-09-06T01:00:00", "2026-09-06T01:00:00-03:00"},
		{"America/Santiago", "2026-04-04T23:30:00", "2026-04-04T23:30:00-03:00"}, // twice
		{"America/Santiago", "2026-04-05", "2026-04-05T00:00:00-04:00"},
		{"Africa/Cairo", "2026-04-24", "2026-04-24T01:00:00+03:00"}, // midnight is skipped
		{"Africa/Cairo", "2026-04-24T00:00:00.5", "2026-04-24T01:00:00+03:00"},
		{"Africa/Cairo", "2026-10-29T23:30:00", "2026-10-29T23:30:00+03:00"}, // twice
		{"Africa/Cairo", "2026-10-30", "2026-10-30T00:00:00+02:00"},
		{"Asia/Beirut", "2026-03-29", "2026-03-29T01:00:00+03:00"},
		{"Asia/Beirut", "2026-10-24T23:15", "2026-10-24T23:15:00+03:00"},
		{"Asia/Gaza", "2023-04-29T02:30:00", "2023-04-29T03:00:00+03:00"},
		{"America/Havana", "2026-03-08", "2026-03-08T01:00:00-04:00"},
		{"America/Havana", "2026-11-01T00:30:00", "2026-11-01T00:30:00-04:00"}, // twice, in one date
		{"America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00"},
		{"America/Asuncion", "2023-10-01", "2023-10-01T01:00:00-03:00"},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00"},
		{"Asia/Tehran", "2022-03-22", "2022-03-22T01:00:00+04:30"},
		{"Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00"}, // a date that never was
		{"Pacific/Apia", "2011-12-30T12:34:56", "2011-12-31T00:00:00+14:00"},
		{"Pacific/Apia", "2011-12-29T23:59:59.9", "2011-12-29T23:59:59.9-10:00"},
		{"Pacific/Kwajalein", "1993-08-21", "1993-08-22T00:00:00+12:00"},
		{"Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-04T02:30:00+11:00"}, // half an hour
		{"Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-05T01:45:00+11:00"},
		{"Australia/Lord_Howe", "2026-04-05T02:00:00", "2026-04-05T02:00:00+10:30"},
		{"Antarctica/Troll", "2026-03-29T02:00:00", "2026-03-29T03:00:00+02:00"}, // two hours
		{"America/New_York", "2026-03-08T02:30:00", "2026-03-08T03:00:00-04:00"},
		{"America/New_York", "2026-11-01T01:30:00.25", "2026-11-01T01:30:00.25-04:00"},
		{"America/New_York", "2026-11-01T02:00:00", "2026-11-01T02:00:00-05:00"},
		{"Europe/Dublin", "2026-10-25T01:30:00", "2026-10-25T01:30:00+01:00"}, // whose summer is the standard
		{"Africa/Casablanca", "2026-02-15T02:30:00", "2026-02-15T02:30:00+01:00"},
		{"Asia/Kathmandu", "2026-01-01", "2026-01-01T00:00:00+05:45"},
		{"Africa/Monrovia", "1972-01-07", "1972-01-07T00:44:30Z"}, // seconds
		{"America/Santiago", "2100-09-05", "2100-09-05T01:00:00-03:00"},
		{"UTC", "2026-02-28", "2026-02-28T00:00:00Z"},
		{"UTC", "2026-02-28 07:08:09.5", "2026-02-28T07:08:09.5Z"},
		{"America/New_York", "2026-11-01T01:30:00-05:00", "2026-11-01T01:30:00-05:00"}, // names its offset
		{"America/New_York", "2026-02-29", ""},
		{"America/New_York", "2026-02-28T24:00:00", ""},
		{"America/New_York", "2026-02-28T10:00:00,5", ""},
		{"America/New_York", "2026-02", ""},
		{"America/New_York", "", ""},
	} {
		loc, err := LoadZone(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, ok := ParseTime(c.local, loc)
		got := ""
		if ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != c.want {
			t.Errorf("%s in %s is %q, want %q", c.local, c.zone, got, c.want)
		}
		if ok && len(c.local) == len(time.DateOnly) && !WindowDay.Start(at, loc).Equal(at) {
			t.Errorf("the day of %s in %s begins at %s", c.local, c.zone, WindowDay.Start(at, loc))
		}
	}
}

// TestLocalTimesOfEveryZone compares with a search of every second around
// every change of the clock in the zones' last years.
func TestLocalTimesOfEveryZone(t *testing.T) {
	t.Parallel()
	files, err := zoneFiles()
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
	if testing.Short() {
		from = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	changes := 0
	for name := range files {
		loc, err := LoadZone(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for at := from.In(loc); at.Year() < 2027; {
			_, end := at.ZoneBounds()
			if end.IsZero() {
				break
			}
			if !end.After(at) { // Go ends a year's rule a day early in leap years, and goes no further
				at = at.Add(24 * time.Hour)
				continue
			}
			at = end
			_, before := at.Add(-1).Zone()
			if _, after := at.Zone(); before == after {
				continue // only the name changes, or a rule's year ends
			}
			changes++
			shows := map[string]time.Time{} // the first instant of each minute's reading
			begin := at.Add(-26 * time.Hour)
			for s := range 52 * 60 {
				i := begin.Add(time.Duration(s) * time.Minute)
				text := i.Format("2006-01-02T15:04")
				if _, seen := shows[text]; !seen {
					shows[text] = i
				}
			}
			for minute := -90; minute <= 90; minute += 15 {
				reading := time.Unix(at.Unix(), 0).UTC().Add(time.Duration(minute) * time.Minute)
				_, offset := at.Add(-1).Zone()
				reading = reading.Add(time.Duration(offset) * time.Second)
				got := LocalTime(reading, loc)
				want, shown := shows[reading.Format("2006-01-02T15:04")]
				if shown && reading.Second() == 0 && !got.Equal(want) || !shown && !got.Equal(at) {
					t.Errorf("%s in %s is %s, shown %v at %s; the clock changes at %s", reading.Format("2006-01-02T15:04:05"), name, got, shown, want, at)
				}
			}
		}
	}
	if changes < 100 {
		t.Errorf("%d changes were looked at", changes)
	}
}

// TestZonesAreEmbedded looks no further than into the program.
func TestZonesAreEmbedded(t *testing.T) {
	t.Parallel()
	if !regexp.MustCompile(`^20[2-9][0-9][a-z]$`).MatchString(ZoneVersion()) {
		t.Errorf("version %q", ZoneVersion())
	}
	for name, ok := range map[string]bool{"Europe/Oslo": true, "UTC": true, "Etc/UTC": true, "Asia/Kolkata": true, "Asia/Calcutta": true, "America/Argentina/Ushuaia": true,
		"": false, "Local": false, "local": false, "europe/oslo": false, "Europe/": false, "Europe": false, "../etc/passwd": false, "posixrules": false, "CEST": false} {
		if _, err := LoadZone(name); (err == nil) != ok || err != nil && KindOf(err) != KindInvalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestZonesAreGos compares the embedded zones with those of the Go release
// that builds the program, so that they are brought up to date with it.
func TestZonesAreGos(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(goroot(t), "lib", "time")
	theirs, err := os.ReadFile(filepath.Join(folder, "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(folder, "update.bash"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(script), "\nDATA=")
	version, _, _ := strings.Cut(after, "\n")
	if version == ZoneVersion() && !bytes.Equal(theirs, zoneArchive) || version < ZoneVersion() || version == "" {
		t.Errorf("the zones embedded as %s are not those of %s, which has %s", ZoneVersion(), folder, version)
	}
	if version > ZoneVersion() {
		t.Errorf("internal/meter/zoneinfo is not of %s: copy zoneinfo.zip from there, and the DATA of update.bash into VERSION", folder)
	}
}

// goroot asks the go command where it lives.
func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
