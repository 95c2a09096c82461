package catalog

import (
	"encoding/json"
	"time"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
)

// Date is an instant that a catalog names: a day, which means its start in
// UTC, or an RFC 3339 time. The zero Date is none.
type Date struct{ time.Time }

const dayLayout = "2006-01-02"

// ParseDate reads a Date.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(dayLayout, text)
	if err != nil {
		t, err = time.Parse(time.RFC3339Nano, text)
	}
	if err != nil || t.Year() < 1 {
		return Date{}, meter.Errorf(meter.KindInvalid, "%q is not a date such as 2026-01-31 or a time such as 2026-01-31T15:00:00Z", meter.Clip(text))
	}
	return dateOf(t), nil
}

// dateOf is an instant as a Date, to the microsecond.
func dateOf(t time.Time) Date { return Date{t.UTC().Truncate(time.Microsecond)} }

// String is the day, or the time where it is not a day's start; "" for none.
func (d Date) String() string {
	switch {
	case d.IsZero():
		return ""
	case d.Truncate(24 * time.Hour).Equal(d.Time):
		return d.Format(dayLayout)
	}
	return d.Format(time.RFC3339Nano)
}

// MarshalText renders the date as String does.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDate; an empty text is no date.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d = Date{}
	if len(text) > 0 {
		*d, err = ParseDate(string(text))
	}
	return err
}

// MarshalJSON renders the date as a string.
func (d Date) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads a string.
func (d *Date) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	return d.UnmarshalText([]byte(s))
}

// MarshalYAML renders the date without quotes.
func (d Date) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!timestamp", Value: d.String()}, nil
}

// Regions says how a contract's statistics are split: "GLOBAL" is one
// statistic, {attribute: NAME} one for each value of an attribute.
type Regions struct {
	Attribute string // "" = global
}

const regionsGlobal = "GLOBAL"

// regionsSplit is Regions where they are split.
type regionsSplit struct {
	Attribute string `json:"attribute" yaml:"attribute"`
}

// Global says whether there is one statistic.
func (r Regions) Global() bool { return r.Attribute == "" }

// MarshalJSON renders GLOBAL, or an object.
func (r Regions) MarshalJSON() ([]byte, error) {
	if r.Global() {
		return json.Marshal(regionsGlobal)
	}
	return json.Marshal(regionsSplit(r))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Regions) UnmarshalJSON(text []byte) error {
	*r = Regions{}
	if string(text) == `"`+regionsGlobal+`"` {
		return nil
	}
	return json.Unmarshal(text, (*regionsSplit)(r))
}

// MarshalYAML renders GLOBAL, or a mapping.
func (r Regions) MarshalYAML() (any, error) {
	if r.Global() {
		return regionsGlobal, nil
	}
	return regionsSplit(r), nil
}
