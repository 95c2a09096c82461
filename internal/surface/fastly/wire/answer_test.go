package wire

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"odometer/internal/meter"
)

func number(t testing.TB, s string) Number {
	t.Helper()
	d, err := meter.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return Number{d}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for exact, want := range map[string]string{
		"0": "0", "-0": "0", "1520.50": "1520.5", "1e3": "1000", "-12.5": "-12.5",
		"99999999999999999999999999.999999999999": "99999999999999999999999999.999999999999",
		"0.0000000000005":                         "0", // half to even, down
		"0.0000000000015":                         "0.000000000002",
		"0.00000000000150001":                     "0.000000000002",
		"0.00000000000149999":                     "0.000000000001",
		"-0.0000000000005":                        "0",
		"-0.0000000000035":                        "-0.000000000004",
		"0.9999999999995":                         "1",
	} {
		n := number(t, exact)
		if b, err := json.Marshal(n); err != nil || string(b) != want || n.String() != want {
			t.Errorf("%s: %s %v, want %s", exact, b, err, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	w := metricsV3(t, "start_month=2023-01&end_month=2023-01").Window
	usage := ServiceUsage{CustomerID: "x4xCwxxJxGCx123Rx5xTx", StartTime: w.Start(), EndTime: w.End(), UsageType: "North America Requests", Unit: NoUnit,
		Details: []Detail{{CustomerID: "x4xCwxxJxGCx123Rx5xTx", ServiceID: "SU1Z0isxPaozGVKXdv0eY", ServiceName: "shop", UsageUnits: number(t, "1520.5")}},
		Meta:    Meta{Limit: 5, Total: 1}}
	for name, c := range map[string]struct {
		encode func() ([]byte, error)
		want   string
	}{
		"the example": {usage.Encode, `{"data":{"customer_id":"x4xCwxxJxGCx123Rx5xTx","start_time":"2023-01-01T00:00:00Z","end_time":"2023-01-31T23:59:59Z",` +
			`"usage_type":"North America Requests","unit":"unit","details":[{"customer_id":"x4xCwxxJxGCx123Rx5xTx","service_id":"SU1Z0isxPaozGVKXdv0eY",` +
			`"service_name":"shop","usage_units":1520.5}],"meta":{"next_cursor":"","limit":5,"total":1}}}`},
		"no usage": {ServiceUsage{}.Encode, `{"data":{"customer_id":"","start_time":"","end_time":"","usage_type":"","unit":"","details":[],` +
			`"meta":{"next_cursor":"","limit":0,"total":0}}}`},
		"all usage types": {ServiceUsage{Details: []Detail{{ServiceName: "<&\xff\u2028\">", ProductID: "p", UsageType: "u", Unit: "GB"}}}.Encode,
			`{"data":{"customer_id":"","start_time":"","end_time":"","usage_type":"","unit":"","details":[{"customer_id":"","service_id":"",` +
				`"service_name":"<&\ufffd\u2028\">","usage_units":0,"product_id":"p","usage_type":"u","unit":"GB"}],"meta":{"next_cursor":"","limit":0,"total":0}}}`},
		"usage types": {func() ([]byte, error) { return EncodeUsageTypes([]UsageType{{"cdn_usage", "North America Requests"}}) },
			`{"data":[{"product_id":"cdn_usage","name":"North America Requests"}]}`},
		"no usage types": {func() ([]byte, error) { return EncodeUsageTypes(nil) }, `{"data":[]}`},
		"monthly": {func() ([]byte, error) {
			return EncodeUsageMetrics([]UsageMetric{{"2023-01", "Total MB", "Total MB", "", "GB", number(t, "1.5"), number(t, "1500000000"), "cdn_usage", "2023-02-01T00:00:00Z", ""}})
		}, `{"data":[{"month":"2023-01","usage_type":"Total MB","name":"Total MB","region":"","unit":"GB","quantity":1.5,"raw_quantity":1500000000,` +
			`"product_id":"cdn_usage","last_updated_at":"2023-02-01T00:00:00Z"}]}`},
		"no months": {func() ([]byte, error) { return EncodeUsageMetrics(nil) }, `{"data":[]}`},
	} {
		b, err := c.encode()
		if err != nil || string(b) != c.want+"\n" {
			t.Errorf("%s:\n%s%v, want\n%s", name, b, err, c.want)
		}
		if strings.Contains(string(b), "null") {
			t.Errorf("%s has a null", name)
		}
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	w := metricsV3(t, "start_month=2023-01&end_month=2023-03").Window
	const period = ",2023-01-01T00:00:00Z,2023-03-31T23:59:59Z,"
	out := AppendCSVHeader(nil)
	want := "customer_id,product_id,usage_type,unit,service_id,service_name,start_time,end_time,usage_units\r\n"
	for name, cell := range map[string]string{
		"shop":           "shop",
		"":               "",
		"a, b":           `"a, b"`,
		`a "b"`:          `"a ""b"""`,
		"a\r\nb":         "\"a\r\nb\"",
		"a\nb":           "\"a\nb\"",
		"=1+1":           "'=1+1",
		"+1":             "'+1",
		"-1":             "'-1",
		"@SUM(A1)":       "'@SUM(A1)",
		"\t=1":           "'\t=1",
		"\r=1":           "\"'\r=1\"",
		`=HYPERLINK("x"`: `"'=HYPERLINK(""x"""`,
		" =1":            " =1",
		"øl":             "øl",
		"'x":             "'x",
	} {
		out = CSVRow{"c", "p", "u", "GB", "s", name, w, number(t, "-1.5")}.Append(out)
		want += "c,p,u,GB,s," + cell + period + "-1.5\r\n"
	}
	if string(out) != want {
		t.Errorf("%q, want\n%q", out, want)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) != 17 {
		t.Errorf("%d rows %v", len(rows), err)
	}
	formulas := CSVRow{"=c", "+p", "-u", "@GB", "=s", "=n", w, number(t, "-2")}.Append(nil)
	if want := "'=c,'+p,'-u,'@GB,'=s,'=n" + period + "-2\r\n"; string(formulas) != want {
		t.Errorf("%q, want %q", formulas, want)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	const (
		token    = `{"type":"unauthorized","title":"provided credentials are missing or invalid","code":"invalid_token","status":"401"}`
		internal = `{"type":"internal_server_error","title":"the request could not be answered","code":"internal_error","status":"500"}`
	)
	for kind, want := range map[meter.Kind]string{
		meter.KindInvalid:         `{"type":"bad_request","title":"m","code":"invalid_parameter","status":"400"}`,
		meter.KindUnauthenticated: token,
		meter.KindForbidden:       token,
		meter.KindNotFound:        token,
		meter.KindConflict:        `{"type":"bad_request","title":"m","code":"invalid_request","status":"400"}`,
		meter.KindTooLarge:        `{"type":"bad_request","title":"m","code":"invalid_request","status":"400"}`,
		meter.KindUnsupported:     `{"type":"bad_request","title":"m","code":"invalid_request","status":"400"}`,
		meter.KindOverloaded:      `{"type":"service_unavailable","title":"m","code":"overloaded","status":"503"}`,
		meter.KindStorageFull:     `{"type":"service_unavailable","title":"m","code":"unavailable","status":"503"}`,
		meter.KindUnavailable:     `{"type":"service_unavailable","title":"m","code":"unavailable","status":"503"}`,
		meter.KindInternal:        internal,
		meter.KindCorrupt:         internal,
		meter.Kind(200):           internal,
	} {
		p := ProblemOf(kind, "m")
		if got := string(p.Encode()); got != want+"\n" || p.Status < 400 {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
	if got := string(Refusal(405, "this path answers GET").Encode()); got != `{"type":"method_not_allowed","title":"this path answers GET","code":"method_not_allowed","status":"405"}`+"\n" ||
		Refusal(405, "this path answers GET").Status != http.StatusMethodNotAllowed {
		t.Error(got)
	}
}
