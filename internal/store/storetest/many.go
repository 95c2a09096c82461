package storetest

import (
	"fmt"
	"strings"
	"time"

	"odometer/internal/catalog"
)

// manyNouns changes more nouns than one statement writes or ends.
func manyNouns(b *bench) {
	const n = 150
	b.organization("a")
	text := func(name string, from int) string {
		var s strings.Builder
		s.WriteString("customers: [{id: acme, services: [")
		for i := from; i < n; i++ {
			fmt.Fprintf(&s, "{id: s%03d, name: %s}, ", i, name)
		}
		return s.String() + "]}]"
	}
	start := b.clock.Now()
	b.apply("a", text("old", 0), catalog.ApplyOptions{Actor: actor}, n+1)
	b.clock.Advance(time.Hour)
	b.apply("a", text("new", 0), catalog.ApplyOptions{Actor: actor}, n)
	renamed := b.clock.Now()
	b.clock.Advance(time.Hour)
	b.apply("a", text("new", 100), catalog.ApplyOptions{Actor: actor, Prune: true}, 100)
	removed := b.clock.Now()

	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("s%03d old until %s", i, renamed.Format(time.TimeOnly)))
		until := start.AddDate(1, 0, 0)
		if i < 100 {
			until = removed
		}
		want = append(want, fmt.Sprintf("s%03d new until %s", i, until.Format(time.TimeOnly)))
	}
	var got []string
	for _, s := range b.view("a").ServicesIn("acme", start.AddDate(-1, 0, 0), start.AddDate(1, 0, 0)) {
		got = append(got, fmt.Sprintf("%s %s until %s", s.Noun.ID, s.Noun.Name, s.To.UTC().Format(time.TimeOnly)))
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		b.Errorf("services:\n%s\nwant:\n%s", g, w)
	}
	if left := len(b.view("a").Customers()[0].Services); left != n-100 {
		b.Errorf("%d services are left, want %d", left, n-100)
	}
}
