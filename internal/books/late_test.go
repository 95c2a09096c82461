package books

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

func decimal(t *testing.T, text string) meter.Decimal {
	t.Helper()
	d, err := meter.ParseDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// figures reads "name=value" for each figure.
func figures(t *testing.T, text string) Figures[string] {
	t.Helper()
	out := Figures[string]{}
	for _, field := range strings.Fields(text) {
		name, value, _ := strings.Cut(field, "=")
		out.Add(name, decimal(t, value))
	}
	return out
}

func (f Figures[K]) String() string {
	var out []string
	for of, v := range f {
		out = append(out, fmt.Sprintf("%v=%s", of, v))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, now, own string
		since          []Page[string]
		want           string
	}{
		{"nothing came", "a=1 b=2.50", "a=1 b=2.5", nil, ""},
		{"more of one", "a=3 b=2", "a=1 b=2", nil, "a=2"},
		{"a new figure", "a=1 b=0.1", "a=1", nil, "b=0.1"},
		{"corrected away", "", "a=1", nil, "a=-1"},
		{"no book", "a=1", "", nil, "a=1"},
		{"billed since", "a=10", "a=1", []Page[string]{{"m": figures(t, "a=2")}, {"m": figures(t, "a=3")}}, "a=4"},
		{"all billed since", "a=3", "a=1", []Page[string]{{"m": figures(t, "a=2")}}, ""},
		{"of other months", "a=3", "a=1", []Page[string]{{"": figures(t, "a=2"), "k": figures(t, "a=2")}, nil}, "a=2"},
		{"a known nothing", "a=0", "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now, own := figures(t, c.now), Page[string]{"": figures(t, c.own), "m": figures(t, "a=100")}
			if got := Late("m", now, own, c.since...).String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if now.String() != figures(t, c.now).String() || own.Own().String() != figures(t, c.own).String() {
				t.Errorf("changed to %v and %v", now, own)
			}
		})
	}
	if got := Late[string]("m", nil, nil); got == nil || len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	p := Page[string]{}
	p.Add("m", "a", decimal(t, "1"))
	p.Own()["b"] = decimal(t, "2")
	p.Add("", "b", decimal(t, "0.5"))
	p.Add("m", "a", decimal(t, "-3"))
	if got := fmt.Sprint(p[""], p["m"], len(p)); got != "b=2.5 a=-2 2" {
		t.Error(got)
	}
}

// event is what the naive model keeps of one.
type event struct {
	of, month string
	value     meter.Decimal
	billed    bool
}

// history is a random order of events and closings, with the naive model beside
// the books: a list of events, each billed once by the first book that can.
type history struct {
	t      *testing.T
	rand   *rand.Rand
	events []*event // their places are the log's sequences
	closed Months
	pages  map[string]Page[string]
	naive  map[string]Page[string]
}

// read adds up a month's events as of a sequence.
func (h *history) read(month string, sequence uint64) Figures[string] {
	out := Figures[string]{}
	for _, e := range h.events[:sequence] {
		if e.month == month {
			out.Add(e.of, e.value)
		}
	}
	return out
}

func (h *history) now() uint64 { return uint64(len(h.events)) }

// late is what the books say is due in an open month, by the calendar.
func (h *history) late(open meter.Period) map[string]Figures[string] {
	months := slices.Clone(h.closed)
	for i, m := range months {
		months[i].Late = slices.ContainsFunc(h.events[m.Sequence:], func(e *event) bool { return e.month == m.Name })
	}
	out := map[string]Figures[string]{}
	for _, due := range months.DueIn(open) {
		var since []Page[string]
		for _, m := range due.Between {
			since = append(since, h.pages[m.Name])
		}
		out[due.Name] = Late(due.Name, h.read(due.Name, h.now()), h.pages[due.Name], since...)
	}
	return out
}

// unbilled are the events of a month that no book has.
func (h *history) unbilled(month string) (out []*event) {
	for _, e := range h.events {
		if e.month == month && !e.billed {
			out = append(out, e)
		}
	}
	return out
}

// close closes a month, and bills what is due in it.
func (h *history) close(in meter.Period) {
	name := in.MonthName()
	page := Page[string]{"": h.read(name, h.now())}
	maps.Copy(page, h.late(in))
	naive := Page[string]{}
	of := append(slices.Clone(h.closed.BookedTo(in)), Month{Name: name})
	for _, m := range of {
		for _, e := range h.unbilled(m.Name) {
			late := m.Name
			if late == name {
				late = ""
			}
			naive.Add(late, e.of, e.value)
			e.billed = true
		}
	}
	h.pages[name], h.naive[name] = page, naive
	i, _ := h.closed.search(in)
	h.closed = slices.Insert(h.closed, i, Month{Period: in, Name: name, Sequence: h.now(), At: in.To.AddDate(1, len(h.closed), 0)})
}

// check compares what each month shows, by both meanings, with the lists.
func (h *history) check(months []meter.Period) {
	bookings := h.closed.Bookings()
	for _, in := range months {
		shown, closed := h.closed.Month(in)
		until, want, late := h.now(), Page[string]{}, h.late(in)
		if closed {
			until, want, late = shown.Sequence, h.naive[shown.Name], h.pages[shown.Name]
		} else {
			for _, m := range h.closed.BookedTo(in) {
				for _, e := range h.unbilled(m.Name) {
					want.Add(m.Name, e.of, e.value)
				}
			}
		}
		got := map[string]Figures[string]{}
		for _, b := range bookings.In(in) {
			then := Page[string]{"": h.read(b.Of.Name, b.Since)}
			got[b.Of.Name] = Late(b.Of.Name, h.read(b.Of.Name, until), then)
			var since []Page[string]
			for _, m := range bookings.Before(b) {
				since = append(since, h.pages[m.Name])
			}
			if by := Late(b.Of.Name, h.read(b.Of.Name, until), h.pages[b.Of.Name], since...); by.String() != got[b.Of.Name].String() {
				h.t.Errorf("%s shows of %s by its books %v, by the log %v", in.MonthName(), b.Of.Name, by, got[b.Of.Name])
			}
		}
		for _, m := range h.closed {
			expect := Late(m.Name, want[m.Name], nil).String() // without zeros
			if a, b := late[m.Name].String(), got[m.Name].String(); a != expect || b != expect {
				h.t.Errorf("%s shows of %s by the calendar %q, by the closings %q, want %q", in.MonthName(), m.Name, a, b, expect)
			}
		}
	}
}

// TestLateOfRandomHistories closes months in any order while events arrive for all.
func TestLateOfRandomHistories(t *testing.T) {
	t.Parallel()
	random := fixedtest.Rand(t)
	first := month(t, "2026-01")
	rounds := 50
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		h := &history{t: t, rand: random, pages: map[string]Page[string]{}, naive: map[string]Page[string]{}}
		months := []meter.Period{first}
		for len(months) < 7 {
			months = append(months, meter.Month(months[len(months)-1].To))
		}
		left := slices.Clone(months[:5])
		for range 60 {
			if random.IntN(6) > 0 {
				value := decimal(t, fmt.Sprint(cmp.Or(random.IntN(9)-3, 5))+".25")
				h.events = append(h.events, &event{of: []string{"", "a", "b"}[random.IntN(3)], month: months[random.IntN(5)].MonthName(), value: value})
			} else if len(left) > 0 {
				i := random.IntN(len(left))
				h.close(left[i])
				left = slices.Delete(left, i, i+1)
			}
			h.check(months)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}
