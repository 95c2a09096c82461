package wire

import (
	"time"

	"odometer/internal/meter"
)

// The values of dataStatus.
const (
	Collecting = "COLLECTING_DATA" // the month is open: its figures still change
	Finalized  = "DATA_FINALIZED"  // the month is closed
)

// The regions that are no attribute's value.
const (
	Global  = "GLOBAL"  // of a product that is not billed by region
	Unknown = "UNKNOWN" // of usage that names no region
)

// places is how many decimals a number is written with at most.
const places = 6

// Number is a quantity, written as a JSON number rounded half-even to Places decimals.
type Number meter.Decimal

// MarshalJSON renders the shortest decimal text, without an exponent.
func (n Number) MarshalJSON() ([]byte, error) {
	return []byte(meter.Decimal(n).Round(places, meter.HalfEven).String()), nil
}

// Date is a day, written YYYY-MM-DD.
type Date time.Time

// MarshalText renders the UTC day.
func (d Date) MarshalText() ([]byte, error) {
	return time.Time(d).UTC().AppendFormat(nil, time.DateOnly), nil
}

// Days returns the first and the last day of a period.
func Days(p meter.Period) (first, last Date) { return Date(p.From), Date(p.To.Add(-1)) }

// Instant is a time to the second, written as RFC 3339 with Z.
type Instant time.Time

// MarshalText renders the instant in UTC.
func (i Instant) MarshalText() ([]byte, error) {
	return time.Time(i).UTC().AppendFormat(nil, "2006-01-02T15:04:05Z"), nil
}

// ReportingGroup is what the operations of reporting groups add.
type ReportingGroup struct {
	ReportingGroupID   int64  `json:"reportingGroupId"`
	ReportingGroupName string `json:"reportingGroupName"`
}

// Summary answers operations 1, 2 and 3.
type Summary struct {
	AccountID       string   `json:"accountId"`
	ContractID      string   `json:"contractId"`
	*ReportingGroup          // operation 2
	ProductID       string   `json:"productId"`
	ProductName     string   `json:"productName"`
	Start           Month    `json:"start"`
	End             Month    `json:"end"` // exclusive, as asked for
	RequestDate     Instant  `json:"requestDate"`
	UsagePeriods    []Period `json:"usagePeriods"`
}

// Period is one month or sub-period of one region.
type Period struct {
	Month       Month        `json:"month"`
	Start       Date         `json:"start"`
	End         Date         `json:"end"` // inclusive
	Region      string       `json:"region"`
	DataStatus  string       `json:"dataStatus"`
	CPCodes     []int64      `json:"cpCodes,omitzero"`     // operation 2
	Stats       []Stat       `json:"stats,omitzero"`       // operations 1 and 2
	CPCodeStats []CPCodeStat `json:"cpCodeStats,omitzero"` // operation 3
}

// Stat is one statistic of a period.
type Stat struct {
	StatType   string `json:"statType"`
	Unit       string `json:"unit"`
	IsBillable bool   `json:"isBillable"`
	Value      Number `json:"value"`
}

// CPCodeStat is the statistics of one CP code.
type CPCodeStat struct {
	CPCode int64  `json:"cpCode"`
	Stats  []Stat `json:"stats"`
}

// Daily answers operations 4 and 5.
type Daily struct {
	AccountID       string        `json:"accountId"`
	ContractID      string        `json:"contractId"`
	*ReportingGroup               // operation 5
	ProductID       string        `json:"productId"`
	ProductName     string        `json:"productName"`
	Month           Month         `json:"month"`
	DataStatus      string        `json:"dataStatus"`
	RequestDate     Instant       `json:"requestDate"`
	CPCodes         []int64       `json:"cpCodes,omitzero"` // operation 5
	UsagePeriods    []DailyPeriod `json:"usagePeriods"`
}

// DailyPeriod is one month or sub-period of one region, day by day.
type DailyPeriod struct {
	Month  Month       `json:"month"`
	Start  Date        `json:"start"`
	End    Date        `json:"end"` // inclusive
	Region string      `json:"region"`
	Stats  []DailyStat `json:"stats"`
}

// DailyStat is one statistic from the period's start to the end of each day.
type DailyStat struct {
	StatType string     `json:"statType"`
	Unit     string     `json:"unit"`
	Values   []DayValue `json:"values"`
}

// DayValue is a statistic at the end of a day.
type DayValue struct {
	Date  Date   `json:"date"`
	Value Number `json:"value"`
}

// Products answers operation 6.
type Products struct {
	AccountID    string           `json:"accountId"`
	ContractID   string           `json:"contractId"`
	Start        Month            `json:"start"`
	End          Month            `json:"end"` // exclusive, as asked for
	RequestDate  Instant          `json:"requestDate"`
	UsagePeriods []ProductsPeriod `json:"usagePeriods"`
}

// ProductsPeriod is the products with usage in one month.
type ProductsPeriod struct {
	Month         Month          `json:"month"`
	UsageProducts []UsageProduct `json:"usageProducts"`
}

// UsageProduct names a product.
type UsageProduct struct {
	ProductID   string `json:"productId"`
	ProductName string `json:"productName"`
}

// CPCodeName returns what operation 3 calls a statistic, as type and as unit:
// the vendor has names of its own there.
func CPCodeName(statType, unit string) (string, string) {
	switch statType {
	case "Total MB":
		return "GB", "GB"
	case "Total Hits":
		return "Hits", "Hits"
	}
	return statType, unit
}
