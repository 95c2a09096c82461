package thousandeyes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

// text lists rows as AID/ID used projected, rounded.
func text(a accounts, remaining time.Duration) string {
	var rows []string
	for _, p := range a.positions() {
		rows = append(rows, fmt.Sprintf("%s/%s %s %s", p.AID, p.ID, wire.RoundUnits(a[p].used), roundUnits(a[p].projected(remaining))))
	}
	return strings.Join(rows, ", ")
}

// Agent 11 (Oslo) belongs to Web and runs tests of Web and of Network: 2.5
// units a run. In an hour, Web's test 901 ran once on it, and Network's 902 thrice.
func TestSharedAgent(t *testing.T) {
	t.Parallel()
	o := Owners{Tests: map[string]string{"901": "1234", "902": "5678"}, Agents: map[string]string{"11": "1234"},
		Groups: map[string]bool{"1234": true, "5678": true}}
	uses := []Use{{"1234", "901", "11", decimal(t, "2.5")}, {"1234", "902", "11", decimal(t, "7.5")}}
	used := []Stretch{{Owners: o, Enterprise: uses}}
	plans := []Plan{{"901", "11", decimal(t, "2.5"), 3600, false}, {"902", "11", decimal(t, "2.5"), 1200, false}}
	for _, c := range []struct {
		name string
		by   attribution
		want string
	}{
		{"by test", byTest, "1234/901 3 5, 5678/902 8 15"},
		{"by agent of a test", byAgentOfTest, "1234/11 3 5, 5678/11 8 15"},
		{"by agent", byAgent, "1234/11 10 20"},
	} {
		a := accounts{}
		a.use(c.by, used, enterpriseUnits)
		a.useCycle(c.by, used, enterpriseUnits)
		a.plan(o, c.by, plans)
		if got := text(a, time.Hour); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		// Half units are rounded in each number, so rows add up to 11 where the total is 10.
		total := a.total()
		if got := roundUnits(total.projected(time.Hour)).String() + " " + total.used.String(); got != "20 10" {
			t.Errorf("%s: total %s, want 20 10", c.name, got)
		}
	}
}

func TestUnknownIDs(t *testing.T) {
	t.Parallel()
	o := Owners{Tests: map[string]string{"901": "1234"}, Agents: map[string]string{"11": "1234"}, Groups: map[string]bool{"1234": true, "5678": true}}
	uses := []Use{
		{"5678", "901", "11", decimal(t, "1")}, // the catalog's owners win over the event's group
		{"5678", "950", "51", decimal(t, "2")}, // unknown: the event's group
		{"9999", "950", "51", decimal(t, "4")}, // another customer's group: none
		{"", "", "", decimal(t, "8")},
		{"", "901", "51", decimal(t, "16")},
		{"", "960", "60", meter.Decimal{}}, // zero rows are left out
	}
	for _, c := range []struct {
		by   attribution
		want string
	}{
		{byTest, "1234/901 17 17, 5678/950 2 2, /950 4 4, / 8 8"},
		{byAgentOfTest, "1234/11 1 1, 1234/51 16 16, 5678/51 2 2, /51 4 4, / 8 8"},
		{byAgent, "1234/11 1 1, 5678/51 2 2, /51 20 20, / 8 8"},
	} {
		a := accounts{}
		a.use(c.by, []Stretch{{Owners: o, Cloud: uses}}, cloudUnits)
		a.useCycle(c.by, []Stretch{{Owners: o, Cloud: uses}}, cloudUnits)
		if got := text(a, time.Hour); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// A test that moves to another account group takes nothing with it.
func TestOwnerChanges(t *testing.T) {
	t.Parallel()
	before := Owners{Tests: map[string]string{"901": "1234"}}
	after := Owners{Tests: map[string]string{"901": "5678"}}
	a := accounts{}
	a.use(byTest, []Stretch{{Owners: before, Cloud: []Use{{"", "901", "", decimal(t, "1.5")}}},
		{Owners: after, Cloud: []Use{{"", "901", "", decimal(t, "2.5")}}}}, cloudUnits)
	a.plan(after, byTest, []Plan{{"901", "", decimal(t, "3"), 3600, false}, {"950", "", meter.Decimal{}, 60, true}})
	if got, want := text(a, time.Hour), "1234/901 2 0, 5678/901 3 3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestTotalsAgree takes random uses and plans: whatever the ids, all three
// ways of attribution have the same totals before rounding.
func TestTotalsAgree(t *testing.T) {
	t.Parallel()
	random := fixedtest.Rand(t)
	half := decimal(t, "0.5")
	pick := func(n int) string { return fmt.Sprint(random.IntN(n)) }
	for range 100 {
		o := Owners{Tests: map[string]string{}, Agents: map[string]string{}, Groups: map[string]bool{"0": true, "1": true, "2": true}}
		for range 5 {
			o.Tests[pick(8)], o.Agents[pick(8)] = pick(3), pick(3)
		}
		var uses []Use
		var plans []Plan
		var used meter.Decimal
		for range random.IntN(30) {
			units := half.Mul(meter.NewDecimal(random.Int64N(100)))
			uses, used = append(uses, Use{pick(4), pick(8), pick(8), units}), used.Add(units)
			plans = append(plans, Plan{pick(8), pick(8), half.Mul(meter.NewDecimal(random.Int64N(9))), 1 + random.IntN(400), false})
		}
		var want string
		for i, by := range []attribution{byTest, byAgentOfTest, byAgent} {
			a := accounts{}
			a.use(by, []Stretch{{Owners: o, Enterprise: uses}}, enterpriseUnits)
			a.useCycle(by, []Stretch{{Owners: o, Enterprise: uses}}, enterpriseUnits)
			a.plan(o, by, plans)
			total := a.total()
			got := total.projected(77 * time.Hour).RatString()
			if total.used.Cmp(used) != 0 || i > 0 && got != want {
				t.Fatalf("attribution %d: %s and %s, want %s and %s", i, total.used, got, used, want)
			}
			want = got
		}
	}
}
