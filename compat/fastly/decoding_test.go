package fastly

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"odometer/compat/harness"
)

// The vendor's Go client, fastly-go, is not to be had from the module proxy, nor
// the releases of its JavaScript client that speak v2 from npm.
// These are its models by what is known of them: optional members, numbers of
// 32 bits, times with a zone; a row that does not fit is emptied silently.
type goMeta struct {
	NextCursor *string `json:"next_cursor"`
	Limit      *int32  `json:"limit"`
	Total      *int32  `json:"total"`
}

type goDetail struct {
	CustomerID  *string  `json:"customer_id"`
	ServiceID   *string  `json:"service_id"`
	ServiceName *string  `json:"service_name"`
	UsageUnits  *float32 `json:"usage_units"`
}

type goUsage struct {
	Data *struct {
		CustomerID *string    `json:"customer_id"`
		StartTime  *time.Time `json:"start_time"`
		EndTime    *time.Time `json:"end_time"`
		UsageType  *string    `json:"usage_type"`
		Unit       *string    `json:"unit"`
		Details    []goDetail `json:"details"`
		Meta       *goMeta    `json:"meta"`
	} `json:"data"`
}

type goTypes struct {
	Data []struct {
		ProductID *string `json:"product_id"`
		Name      *string `json:"name"`
	} `json:"data"`
}

type goError struct {
	Type   *string `json:"type"`
	Title  *string `json:"title"`
	Code   *string `json:"code"`
	Status *string `json:"status"`
}

// TestGoDecodes sends the requests of the Go client and decodes the answers as
// it does: nothing unknown, nothing missing, nothing out of 32 bits.
func TestGoDecodes(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t)
	get := func(target string, status int, into any) {
		t.Helper()
		a := s.Do(t, "GET", target, "", "Fastly-Key", s.bound, "Accept", "application/json", "User-Agent", "fastly-go/1.0.0-beta.36")
		d := json.NewDecoder(bytes.NewReader([]byte(a.Body)))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil || a.Status != status || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v, %d %v %s", target, err, a.Status, a.Header, a.Body)
		}
	}
	// Go's sorts parameters and sends spaces as +, JavaScript's as %20.
	month := "&start_month=" + s.month + "&time_granularity=month&usage_type_name="
	inMonths := inV3 + "?end_month=" + s.month + "&product_id=cdn_usage&start_month=" + s.month + "&usage_type_name="
	for _, target := range []string{v2 + "?end_month=" + s.month + "&product_id=cdn_usage" + month + "S%C3%B8k+%26+%2B1%2F2",
		v2 + "?product_id=cdn_usage&end_month=" + s.month + month + "S%C3%B8k%20%26%20%2B1%2F2", inMonths + "S%C3%B8k+%26+%2B1%2F2"} {
		var u goUsage
		get(target, 200, &u)
		d := u.Data
		if d == nil || d.Meta == nil || d.Meta.NextCursor == nil || *d.Meta.NextCursor != "" || d.Meta.Limit == nil || d.Meta.Total == nil || *d.Meta.Total != 3 || len(d.Details) != 3 {
			t.Fatalf("%+v", u)
		}
		if d.StartTime.Format(time.DateOnly) != s.month+"-01" || d.EndTime.Format(time.DateTime) != s.last+" 23:59:59" || *d.UsageType != "Søk & +1/2" || *d.Unit != "byte" || *d.CustomerID != shop {
			t.Errorf("%+v", d)
		}
		row := d.Details[2] // 123456789.25, of which 32 bits hold 123456790
		if *row.CustomerID != shop || *row.ServiceID != "SU3" || *row.ServiceName != "api" || *row.UsageUnits != 123456789.25 {
			t.Errorf("%+v", row)
		}
	}
	var types goTypes
	get("/billing/v2/account_customers/"+shop+"/service-usage-types", 200, &types)
	if len(types.Data) != 3 || *types.Data[0].ProductID != "cdn_usage" || *types.Data[0].Name != "North America Requests" {
		t.Errorf("%+v", types)
	}
	for target, status := range map[string]int{v2: 400, inV3 + "?limit=10001": 400, "/billing/v2/account_customers/nobody/service-usage-types": 401} {
		var e goError
		get(target, status, &e)
		if e.Type == nil || e.Title == nil || e.Code == nil || e.Status == nil {
			t.Errorf("%s: %+v", target, e)
		}
	}
}
