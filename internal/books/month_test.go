package books

import (
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
)

// closed are months by name, in order.
func closed(t *testing.T, names ...string) Months {
	t.Helper()
	var out Months
	for _, name := range names {
		out = append(out, Month{Period: month(t, name), Name: name, Late: true})
	}
	return out
}

func month(t *testing.T, name string) meter.Period {
	t.Helper()
	in, ok := meter.ParseMonth(name)
	if !ok {
		t.Fatal(name)
	}
	return in
}

// between is a range of days.
func between(t *testing.T, from, to string) meter.Period {
	t.Helper()
	var in meter.Period
	for text, at := range map[string]*time.Time{from: &in.From, to: &in.To} {
		var err error
		if *at, err = time.Parse(time.DateOnly, text); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

func (c Months) names() string {
	var out []string
	for _, m := range c {
		out = append(out, m.Name)
	}
	return strings.Join(out, " ")
}

func TestMonths(t *testing.T) {
	t.Parallel()
	c := closed(t, "2025-11", "2025-12", "2026-02")
	for name, want := range map[string]bool{"2025-10": false, "2025-11": true, "2026-01": false, "2026-02": true, "2026-03": false} {
		if m, found := c.Month(month(t, name)); found != want || found && m.Name != name {
			t.Errorf("%s: %v %v", name, m, found)
		}
	}
	for _, test := range []struct {
		from, to string
		in       string // those that lie in it
		cut      string // days on which a piece begins, with the month that is closed
		begun    string
		hold     bool
	}{
		{"2025-11-01", "2026-01-01", "2025-11 2025-12", "11-01=2025-11 12-01=2025-12", "2025-11 2025-12", true},
		{"2025-11-02", "2025-12-31", "2025-11 2025-12", "11-02~2025-11 12-01~2025-12", "2025-12", true},
		{"2025-10-15", "2025-11-15", "2025-11", "10-15 11-01~2025-11", "2025-11", false},
		{"2025-12-15", "2026-02-02", "2025-12 2026-02", "12-15~2025-12 01-01 02-01~2026-02", "2026-01 2026-02", false},
		{"2026-01-01", "2026-02-01", "", "01-01", "2026-01", false},
		{"2026-02-01", "2026-06-01", "2026-02", "02-01=2026-02 03-01", "2026-02 2026-03", false},
		{"2025-06-01", "2025-08-01", "", "06-01", "", false},
		{"2026-06-01", "2026-08-01", "", "06-01", "", false},
	} {
		in := between(t, test.from, test.to)
		if got := c.In(in).names(); got != test.in {
			t.Errorf("%v holds %q", in, got)
		}
		var cut, begun []string
		at := in.From
		for _, p := range c.Cut(in) {
			text := p.From.Format("01-02")
			if p.Whole() {
				text += "=" + p.Closed.Name
			} else if p.Closed != nil {
				text += "~" + p.Closed.Name
			}
			cut = append(cut, text)
			if !p.From.Equal(at) || !p.From.Before(p.To) {
				t.Errorf("%v: a piece is %v, want it from %v", in, p.Period, at)
			}
			at = p.To
		}
		if got := strings.Join(cut, " "); got != test.cut || !at.Equal(in.To) {
			t.Errorf("%v is cut into %q, until %v", in, got, at)
		}
		for _, k := range c.Begun(in) {
			begun = append(begun, k.MonthName())
		}
		if got := strings.Join(begun, " "); got != test.begun {
			t.Errorf("%v has begun %q", in, got)
		}
		if got := c.Hold(in); got != test.hold {
			t.Errorf("%v is held: %v", in, got)
		}
	}
	if got := (Months)(nil).Begun(month(t, "2026-01")); got != nil {
		t.Errorf("begun without closed months: %v", got)
	}
}

func TestKnownAt(t *testing.T) {
	t.Parallel()
	c := closed(t, "2025-11", "2025-12", "2026-01")
	day := month(t, "2026-02").From
	for i, at := range []time.Time{day.AddDate(0, 0, 2), day, day.AddDate(0, 0, 1)} {
		c[i].At = at
	}
	for at, want := range map[time.Time]string{
		{}: "2025-11 2025-12 2026-01", day.Add(-1): "", day: "2025-12", day.AddDate(0, 0, 1): "2025-12 2026-01", day.AddDate(0, 0, 2): "2025-11 2025-12 2026-01",
	} {
		if got := c.KnownAt(at).names(); got != want {
			t.Errorf("at %v: %q", at, got)
		}
	}
	if got := c.names(); got != "2025-11 2025-12 2026-01" {
		t.Errorf("afterwards there are %q", got)
	}
}

// Late usage is booked to the first open month after, whichever are closed.
func TestBookedTo(t *testing.T) {
	t.Parallel()
	c := closed(t, "2025-11", "2025-12", "2026-02", "2026-04", "2026-05")
	for open, want := range map[string]string{
		"2025-10": "", "2025-11": "", "2026-01": "2025-11 2025-12", "2026-03": "2026-02", "2026-05": "",
		"2026-06": "2026-04 2026-05", "2026-07": "",
	} {
		if got := c.BookedTo(month(t, open)).names(); got != want {
			t.Errorf("booked to %s: %q, want %q", open, got, want)
		}
	}
}

// What is due says which months may have billed some of it.
func TestDueIn(t *testing.T) {
	t.Parallel()
	c := closed(t, "2025-11", "2026-01", "2026-02", "2026-03", "2026-05")
	c[2].Late = false
	var got []string
	for _, due := range c.DueIn(month(t, "2026-04")) {
		got = append(got, due.Name+": "+due.Between.names())
	}
	if want := []string{"2026-01: 2026-02 2026-03", "2026-03: "}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if due := c.DueIn(month(t, "2026-03")); due != nil {
		t.Errorf("due in a closed month: %v", due)
	}
}
