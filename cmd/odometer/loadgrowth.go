package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"odometer/internal/loadgen"
)

// loadGrowth makes a profile larger.
type loadGrowth struct {
	Customers     int  `help:"Draw customer and service of every event anew, from so many customers."`
	Services      int  `help:"And from so many services, each customer having as many. Default: one each, or without --customers those of the profile."`
	Meters        int  `help:"Number of meters that see every event, by customer and service: COUNT, SUM, MAX, MIN, AVG, LAST of one value after another. Without it, a load that draws customers has 3."`
	Organizations int  `help:"Create so many organizations, and spread the customers and connections over them. The key needs the operator right."`
	Span          days `placeholder:"TIME" help:"Spread the events' times over this long before now, as 24h or 31d, and not over the profile's time."`
}

func (g loadGrowth) growth() loadgen.Growth {
	return loadgen.Growth{Customers: g.Customers, Services: g.Services, Meters: g.Meters, Organizations: g.Organizations, Span: time.Duration(g.Span)}
}

// days is a duration that may be written in days.
type days time.Duration

// UnmarshalText reads 31d, or what time.ParseDuration takes.
func (d *days) UnmarshalText(text []byte) error {
	if number, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n > math.MaxInt64/uint64(24*time.Hour) {
			return fmt.Errorf("%q is not a time: want 31d or 24h", text)
		}
		*d = days(n) * days(24*time.Hour)
		return nil
	}
	plain, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time: want 31d or 24h", text)
	}
	*d = days(plain)
	return nil
}

// String writes whole days as days.
func (d days) String() string {
	const day = days(24 * time.Hour)
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return time.Duration(d).String()
}
