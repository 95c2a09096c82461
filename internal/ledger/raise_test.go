package ledger

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"odometer/internal/meter"
)

// unpackFormat unpacks a data directory that a program of an older format left when
// it was killed, with events, voids, a backfill, and a tail that no checkpoint
// holds. In the one of format 2, two meters were crowded at 60 groups.
func unpackFormat(t *testing.T, format int) string {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("testdata/format%d.tar.gz", format))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A directory of an older format is raised: it answers as the program answered that
// wrote it, takes usage as one of today, and is refused by that program.
func TestDirectoryOfOlderFormat(t *testing.T) {
	t.Parallel()
	for _, format := range []int{2, 3} {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			t.Parallel()
			raiseDirectory(t, format)
		})
	}
}

func raiseDirectory(t *testing.T, format int) {
	text, err := os.ReadFile(fmt.Sprintf("testdata/format%d.json", format))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]map[string]string
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	now := testStart.AddDate(0, 0, 40)
	o := Options{Dir: unpackFormat(t, format), Clock: func() time.Time { return now }, Fatal: func(m string) { t.Error(m) }}
	for life := range 3 {
		l, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := l.log.Meta(metaFormat); err != nil || len(v) != 1 || v[0] != storedFormat {
			t.Errorf("format %v, %v", v, err)
		}
		compareWithExpected(t, l, expected, life == 0)
		if life == 0 {
			verifyClean(t, l) // before and after the first checkpoint of this program
		}
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		compareWithExpected(t, l, expected, life == 0)
		verifyClean(t, l)
		again := []testEvent{{id: "e5", subject: "cust-5", at: testStart.Add(5 * 17 * time.Minute), data: map[string]any{"service": "svc-5", "region": "r2", "bytes": 1005}}}
		if r := appendAll(t, l, "default", again); r.Duplicates != 1 {
			t.Errorf("an event of before is %+v", r)
		}
		// Usage of another month, of known and of new groups; some of it is voided.
		var events []testEvent
		for i := range 40 {
			events = append(events, testEvent{id: fmt.Sprint("n", life, "-", i), subject: fmt.Sprint("cust-", i), at: testStart.AddDate(0, 0, 30),
				data: map[string]any{"service": fmt.Sprint("svc-", i), "region": "r1", "bytes": i}})
		}
		appendAll(t, l, "default", events)
		if _, err := l.Void(t.Context(), "default", []meter.Identity{{Source: "test", ID: fmt.Sprint("n", life, "-7")}, {Source: "test", ID: fmt.Sprint("n", life, "-39")}}, "tester", "wrong"); err != nil {
			t.Fatal(err)
		}
		for _, m := range testMeters() {
			compareWithScan(t, l, meter.UsageQuery{Meter: m.Key, Window: "day"})
		}
		flushDirty(t, l, 20)
		verifyClean(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func compareWithExpected(t *testing.T, l *Ledger, expected map[string]map[string]string, first bool) {
	t.Helper()
	for _, m := range testMeters() {
		for _, by := range [][]string{nil, {"customer"}} {
			want := expected[fmt.Sprint(m.Key, by)]
			if want == nil {
				continue
			}
			u, err := l.Usage(t.Context(), meter.UsageQuery{Organization: "default", Meter: m.Key, From: testStart.Truncate(24 * time.Hour), To: testStart.AddDate(0, 0, 8).Truncate(24 * time.Hour), GroupBy: by, Window: "day"})
			if err != nil {
				t.Fatal(err)
			}
			if len(u.Rows) != len(want) || len(want) == 0 {
				t.Errorf("%s by %v: %d rows, want %d", m.Key, by, len(u.Rows), len(want))
			}
			for _, r := range u.Rows {
				if at := fmt.Sprint(r.Start.Format("01-02"), r.Group); want[at] != r.Value.String() {
					t.Errorf("%s by %v, %s: %s, want %s", m.Key, by, at, r.Value, want[at])
				}
			}
		}
		st, _ := l.Meter("default", m.Key)
		if want := expected["groups "+m.Key]; fmt.Sprint(st.Crowded) != want["crowded"] || first && fmt.Sprint(st.Groups) != want["groups"] {
			t.Errorf("%s: %d groups, crowded %v, want %v", m.Key, st.Groups, st.Crowded, want)
		}
	}
}
