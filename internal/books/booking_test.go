package books

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// closings are months in the order of their closings, each at the next sequence.
func closings(t *testing.T, names ...string) Months {
	t.Helper()
	c := closed(t, names...)
	for i := range c {
		c[i].Sequence = uint64(i + 1)
	}
	slices.SortFunc(c, func(a, b Month) int { return a.From.Compare(b.From) })
	return c
}

// TestBookingsFollowTheClosings closes months after later ones.
func TestBookingsFollowTheClosings(t *testing.T) {
	t.Parallel()
	c := closings(t, "2026-03", "2026-01", "2026-02", "2026-04")
	bookings := c.Bookings()
	var got []string
	for _, name := range []string{"2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"} {
		for _, b := range bookings.In(month(t, name)) {
			got = append(got, fmt.Sprintf("%s in %s since %d after %q", b.Of.Name, name, b.Since, bookings.Before(b).names()))
		}
	}
	want := []string{
		`2026-01 in 2026-02 since 2 after ""`,
		`2026-01 in 2026-04 since 3 after "2026-02"`, `2026-02 in 2026-04 since 3 after ""`, `2026-03 in 2026-04 since 1 after ""`,
		`2026-01 in 2026-05 since 4 after "2026-02 2026-04"`, `2026-02 in 2026-05 since 4 after "2026-04"`,
		`2026-03 in 2026-05 since 4 after "2026-04"`, `2026-04 in 2026-05 since 4 after ""`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

// Where nothing came between two closings, the earlier one comes first all the same.
func TestClosingsAtOneSequence(t *testing.T) {
	t.Parallel()
	c := closed(t, "2026-01", "2026-02")
	c[0].At, c[1].At = c[1].To.AddDate(0, 1, 0), c[1].To
	if shown := c.Bookings().In(c[1].Period); shown != nil {
		t.Errorf("February shows of January, which was closed after it: %v", shown)
	}
}

// A caller may change what it is given.
func TestBookingsAreTheCallers(t *testing.T) {
	t.Parallel()
	c := closings(t, "2026-01", "2026-02")
	bookings := c.Bookings()
	february := month(t, "2026-02")
	bookings.In(february)[0].Since = 7
	if got := bookings.In(february)[0].Since; got != 1 {
		t.Errorf("January was billed until %d", got)
	}
}
