package thousandeyes

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

func decimal(t testing.TB, text string) meter.Decimal {
	t.Helper()
	d, err := meter.ParseDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func httpServer(t testing.TB) Rate {
	return Rate{Cloud: decimal(t, "1"), Enterprise: decimal(t, "0.5"), PerTimeout: true}
}

func agentToServer(t testing.TB) Rate {
	return Rate{Cloud: decimal(t, "5"), Enterprise: decimal(t, "2.5")}
}

func TestUnitsOfOneHour(t *testing.T) {
	t.Parallel()
	web, net, bgp := httpServer(t), agentToServer(t), Rate{Cloud: decimal(t, "8")}
	for _, c := range []struct {
		name     string
		run      meter.Decimal
		interval int
		want     string
	}{
		{"an HTTP server of 5 s every minute on 2 cloud agents", web.CloudRun(5, 2), 60, "600"},
		{"the same on an enterprise agent", web.EnterpriseRun(5), 60, "150"},
		{"without a timeout", web.CloudRun(0, 2), 60, "0"},
		{"agent to server every 5 minutes on 3 cloud agents", net.CloudRun(5, 3), 300, "180"},
		{"the same on an enterprise agent", net.EnterpriseRun(5), 300, "30"},
		{"BGP every 15 minutes", bgp.CloudRun(0, 1), 900, "32"},
		{"BGP on an enterprise agent", bgp.EnterpriseRun(0), 900, "0"},
		{"every 7 minutes", net.CloudRun(0, 1), 420, "300/7"},
	} {
		var l Load
		l.Add(c.run, c.interval)
		if got := l.Projected(meter.Decimal{}, time.Hour).RatString(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	// Page load with its own HTTP server interval: 30 s every 15 minutes, 5 s
	// for each of the 8 additional runs an hour.
	var l Load
	l.Add(web.CloudRun(30, 1), 900)
	l.Add(web.CloudRun(5, 1), 450)
	if got := l.Projected(meter.Decimal{}, time.Hour).RatString(); got != "160" {
		t.Errorf("page load: %s, want 160", got)
	}
}

func TestProjected(t *testing.T) {
	t.Parallel()
	var hourly Load // 150 units an hour
	hourly.Add(httpServer(t).EnterpriseRun(5), 60)
	cycle := meter.Cycle(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), 5) // 5 November to 5 December
	next := meter.Cycle(cycle.To, 5)
	for _, c := range []struct {
		name string
		used string
		load Load
		left time.Duration
		want string
	}{
		{"an hour before the end", "1000", hourly, time.Hour, "1150"},
		{"half an hour", "1000", hourly, 30 * time.Minute, "1075"},
		{"inside a run", "0", hourly, 90 * time.Second, "4"}, // 3.75
		{"a half unit", "0.5", Load{}, time.Hour, "1"},
		{"two half units", "0.5", hourly, 12 * time.Second, "1"},     // 0.5 + 0.5
		{"just below a half", "0.499999999999", Load{}, 0, "0"},      //
		{"thirds that make a half", "0.5", hourly, time.Second, "1"}, // 0.5 + 1/24
		{"nothing left", "1000", hourly, 0, "1000"},
		{"past the end", "1000", hourly, -time.Hour, "1000"},
		{"nothing runs", "1000.5", Load{}, time.Hour, "1001"},
		{"voided", "-2.5", Load{}, time.Hour, "-3"},
		{"from 22 November, 12 o'clock, to the cycle's end", "10000", hourly, cycle.To.Sub(cycle.From.Add(17*24*time.Hour + 12*time.Hour)), "55000"},
		{"the next cycle, of 31 days", "0", hourly, next.To.Sub(next.From), "111600"},
	} {
		if got := roundUnits(c.load.Projected(decimal(t, c.used), c.left)).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRoundingIsThatOfTheWire(t *testing.T) {
	t.Parallel()
	for i := int64(-1000); i <= 1000; i++ {
		d := meter.NewDecimal(i).Mul(decimal(t, "0.05"))
		if got, want := roundUnits(big.NewRat(i, 20)).String(), wire.RoundUnits(d).String(); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestLoadsAdd(t *testing.T) {
	t.Parallel()
	var a, b Load
	a.Add(decimal(t, "2.5"), 300)
	a.Add(decimal(t, "1"), 60)
	a.Add(decimal(t, "2.5"), 300)
	b.Add(decimal(t, "3"), 60)
	b.AddLoad(a)
	if got := fmt.Sprintln(len(b.parts), b.Projected(meter.Decimal{}, 5*time.Minute).RatString()); got != "2 25\n" {
		t.Errorf("%s, want 2 25", got)
	}
	if a.Projected(meter.Decimal{}, 5*time.Minute).RatString() != "10" {
		t.Error("adding a load changed it")
	}
	var zero Load
	zero.Add(meter.Decimal{}, 60)
	if !zero.IsZero() || b.IsZero() || !(Load{}).IsZero() {
		t.Error("what is zero")
	}
}

// at is a time of day of November 2026; "" is no time.
func at(t testing.TB, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	when, err := time.Parse("2 15:04:05", text)
	if err != nil {
		t.Fatal(err)
	}
	return when.AddDate(2026, 10, 0)
}

func TestHourlyMaximum(t *testing.T) {
	t.Parallel()
	cycle := meter.Period{From: at(t, "5 00:00:00"), To: at(t, "25 00:00:00")}
	for _, c := range []struct {
		name   string
		now    string
		agents [][]string // from, to, from, to
		want   int
	}{
		{"no agents", "22 12:30:00", nil, 0},
		{"two that stay", "22 12:30:00", [][]string{{"", ""}, {"10 00:00:00", ""}}, 2},
		{"never at once, but in one hour", "22 12:30:00", [][]string{{"10 10:00:00", "10 10:10:00"}, {"10 10:50:00", "10 10:55:00"}}, 2},
		{"in two hours that touch", "22 12:30:00", [][]string{{"10 10:00:00", "10 11:00:00"}, {"10 11:00:00", "10 12:00:00"}}, 1},
		{"an instant into the next hour", "22 12:30:00", [][]string{{"10 10:00:00", "10 11:00:01"}, {"10 11:30:00", "10 12:00:00"}}, 2},
		{"one agent twice in an hour", "22 12:30:00", [][]string{{"10 10:00:00", "10 10:10:00", "10 10:20:00", "10 10:30:00"}}, 1},
		{"one agent, intervals that overlap and are out of order", "22 12:30:00", [][]string{{"12 10:20:00", "13 10:30:00", "10 10:00:00", "12 10:30:00"}}, 1},
		{"a maximum in the past", "22 12:30:00", [][]string{{"", ""}, {"", "6 00:00:00"}, {"", "6 00:00:00"}, {"7 00:00:00", ""}}, 3},
		{"before the cycle", "22 12:30:00", [][]string{{"", "5 00:00:00"}, {"", "4 00:00:00"}}, 0},
		{"the first instant of the cycle", "22 12:30:00", [][]string{{"", "5 00:00:01"}}, 1},
		{"after the cycle", "26 12:30:00", [][]string{{"25 00:00:00", ""}}, 0},
		{"after now, in the same hour", "22 12:30:00", [][]string{{"22 12:30:01", ""}}, 0},
		{"from now on", "22 12:30:00", [][]string{{"22 12:30:00", ""}}, 1},
		{"enabled and disabled at once", "22 12:30:00", [][]string{{"10 10:00:00", "10 10:00:00"}}, 0},
		{"disabled in the future", "22 12:30:00", [][]string{{"10 10:00:00", "30 10:00:00"}}, 1},
	} {
		var agents [][]meter.Period
		for _, texts := range c.agents {
			var periods []meter.Period
			for i := 0; i < len(texts); i += 2 {
				periods = append(periods, meter.Period{From: at(t, texts[i]), To: at(t, texts[i+1])})
			}
			agents = append(agents, periods)
		}
		if got := hourlyMaximum(agents, cycle, at(t, c.now)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestHourlyMaximumNaive counts every hour by itself.
func TestHourlyMaximumNaive(t *testing.T) {
	t.Parallel()
	random := fixedtest.Rand(t)
	cycle := meter.Period{From: at(t, "5 00:00:00"), To: at(t, "7 00:00:00")}
	for range 300 {
		now := cycle.From.Add(time.Duration(random.IntN(60*60)) * time.Minute)
		agents := make([][]meter.Period, random.IntN(6))
		for i := range agents {
			for range random.IntN(4) {
				from := cycle.From.Add(time.Duration(random.IntN(72*60)-12*60) * time.Minute)
				p := meter.Period{From: from, To: from.Add(time.Duration(random.IntN(300)) * time.Minute)}
				if random.IntN(5) == 0 {
					p.To = time.Time{}
				}
				agents[i] = append(agents[i], p)
			}
		}
		want := 0
		for hour := cycle.From; hour.Before(cycle.To) && !hour.After(now); hour = hour.Add(time.Hour) {
			n := 0
			for _, periods := range agents {
				for minute := hour; ; minute = minute.Add(time.Minute) {
					if !minute.Before(hour.Add(time.Hour)) || minute.After(now) {
						break
					}
					enabled := false
					for _, p := range periods {
						enabled = enabled || !minute.Before(p.From) && (p.To.IsZero() || minute.Before(p.To))
					}
					if enabled {
						n++
						break
					}
				}
			}
			want = max(want, n)
		}
		if got := hourlyMaximum(agents, cycle, now); got != want {
			t.Fatalf("%d, want %d: %v at %v", got, want, agents, now)
		}
	}
}
