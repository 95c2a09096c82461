package wire

import (
	"bytes"
	"encoding/json"

	"odometer/internal/meter"
)

// places is how many decimals a number has at most on the wire.
const places = 12

// NoUnit is the unit of what is counted in no other, such as requests.
const NoUnit = "unit"

// Number is a quantity on the wire: a plain JSON number, rounded half-even.
type Number struct{ meter.Decimal }

// String returns the number's text, without an exponent.
func (n Number) String() string { return n.Round(places, meter.HalfEven).String() }

// MarshalJSON writes the number without quotes.
func (n Number) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

// ServiceUsage is the answer of service-usage-metrics.
type ServiceUsage struct {
	CustomerID string   `json:"customer_id"`
	StartTime  string   `json:"start_time"`
	EndTime    string   `json:"end_time"`
	UsageType  string   `json:"usage_type"` // "" where rows say theirs
	Unit       string   `json:"unit"`
	Details    []Detail `json:"details"`
	Meta       Meta     `json:"meta"`
}

// Detail is the usage of one service in the whole window.
type Detail struct {
	CustomerID  string `json:"customer_id"`
	ServiceID   string `json:"service_id"`
	ServiceName string `json:"service_name"`
	UsageUnits  Number `json:"usage_units"`
	// Only where a v3 request names no usage type; not of the vendor's schema.
	ProductID string `json:"product_id,omitempty"`
	UsageType string `json:"usage_type,omitempty"`
	Unit      string `json:"unit,omitempty"`
	// Only of usage that came after its month was closed; not of the vendor's schema.
	LateMonth string `json:"late_month,omitempty"`
}

// LateName is the name of a line that shows what came for a closed month after
// it was closed: the month is named where every client shows it. "" is no month.
func LateName(name, month string) string {
	if month == "" {
		return name
	}
	return name + " (late usage of " + month + ")"
}

// Meta says where a page stands.
type Meta struct {
	NextCursor string `json:"next_cursor"` // "" on the last page
	Limit      int    `json:"limit"`       // page size in force
	Total      int    `json:"total"`       // rows of all pages
}

// Encode returns the answer's body.
func (u ServiceUsage) Encode() ([]byte, error) {
	if u.Details == nil {
		u.Details = []Detail{}
	}
	return encode(struct {
		Data ServiceUsage `json:"data"`
	}{u})
}

// UsageType is one line of the answer of service-usage-types.
type UsageType struct {
	ProductID string `json:"product_id"`
	Name      string `json:"name"`
}

// EncodeUsageTypes returns the body of an answer of service-usage-types.
func EncodeUsageTypes(types []UsageType) ([]byte, error) { return encodeList(types) }

// UsageMetric is one line of the answer of v3 usage-metrics: one usage type in
// one month.
type UsageMetric struct {
	Month         string `json:"month"` // YYYY-MM
	UsageType     string `json:"usage_type"`
	Name          string `json:"name"`
	Region        string `json:"region"`
	Unit          string `json:"unit"`
	Quantity      Number `json:"quantity"`     // in Unit
	RawQuantity   Number `json:"raw_quantity"` // as measured
	ProductID     string `json:"product_id"`
	LastUpdatedAt string `json:"last_updated_at"` // RFC 3339
	// Only of usage that came after its month was closed; not of the vendor's schema.
	LateMonth string `json:"late_month,omitempty"`
}

// EncodeUsageMetrics returns the body of an answer of v3 usage-metrics.
func EncodeUsageMetrics(rows []UsageMetric) ([]byte, error) { return encodeList(rows) }

func encodeList[T any](rows []T) ([]byte, error) {
	if rows == nil {
		rows = []T{}
	}
	return encode(struct {
		Data []T `json:"data"`
	}{rows})
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
