package wire

import (
	"encoding/json"
	"net/http"
	"testing"

	"odometer/internal/meter"
)

// TestStatuses: every kind of error has its status.
func TestStatuses(t *testing.T) {
	t.Parallel()
	want := map[meter.Kind]int{meter.KindInternal: 500, meter.KindInvalid: 400, meter.KindUnauthenticated: 401, meter.KindForbidden: 403, meter.KindNotFound: 404, meter.KindConflict: 409,
		meter.KindTooLarge: 413, meter.KindOverloaded: 429, meter.KindStorageFull: 507, meter.KindUnavailable: 503, meter.KindCorrupt: 500, meter.KindUnsupported: 415}
	for k := meter.KindInternal; k <= meter.KindUnsupported; k++ {
		if got := StatusOf(k); got != want[k] {
			t.Errorf("%s: %d, want %d", k, got, want[k])
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"Key a": "a", "key a": "a", "BEARER  a ": "a", "a": "a", "": "", "Key": "", "bearer": "", "Basic a": "", "Key a b": ""} {
		got, ok := Token(http.Header{"Authorization": {value}})
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
}

// TestExchangeKnowsBothClients: what they cannot decode is left out or told another way.
func TestExchangeKnowsBothClients(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ partner, request, response, want string }{
		{"AWS", "", `{"results":[{"status":"NewStatus","usageRecord":{"dimension":"gb","quantity":1,"timestamp":"2026-01-02T03:04:05Z"}}]}`,
			`"awsMeteringResponse":{"results":[{"usageRecord":{"dimension":"gb","quantity":1,"timestamp":"2026-01-02T03:04:05Z"}}]}`},
		{"AWS", `{"ProductCode":"p","UsageRecords":[{"CustomerAWSAccountId":"1","Dimension":"gb","Quantity":1,"Timestamp":"2026-01-02T03:04:05Z"}]}`, `{"__type":"ThrottlingException","message":"slow"}`,
			`"awsMeteringRequest":{"ProductCode":"p","UsageRecords":[{"Dimension":"gb","Quantity":1,"Timestamp":"2026-01-02T03:04:05Z"}]}`},
		{"AZURE", "", `{"count":1,"result":[{"status":"ResourceNotActive","dimension":"gb"}]}`,
			`"azureMeteringResponse":{"count":1,"result":[{"status":"Error","dimension":"gb","error":{"code":"ResourceNotActive"}}]}`},
		{"AZURE", `not JSON`, `{"error":"x"}`, ""},
		{"GCP", "", `{"serviceConfigId":"c","reportErrors":[{"operationId":"o","status":{"code":5,"message":"m","details":[{"@type":"x"}]}}]}`,
			`"gcpMeteringResponse":{"serviceConfigId":"c","reportErrors":[{"operationId":"o","status":{"code":5,"message":"m"}}]}`},
		{"OTHER", `{}`, `{}`, ""},
	} {
		info := ReportInfo{Partner: c.partner}
		info.Exchange(json.RawMessage(c.request), json.RawMessage(c.response))
		text, err := json.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"status":"","partner":"` + c.partner + `"}`
		if c.want != "" {
			want = `{"status":"","partner":"` + c.partner + `",` + c.want + `}`
		}
		if string(text) != want {
			t.Errorf("%s\nwant %s", text, want)
		}
	}
	// Several dimensions make one exchange.
	info := ReportInfo{Partner: "GCP"}
	for _, metric := range []string{"a", "b"} {
		info.Exchange(json.RawMessage(`{"operationId":"`+metric+`","metricValueSets":[{"metricName":"`+metric+`","metricValues":[{"int64Value":"1"}]}]}`), nil)
	}
	if info.GCPRequest.OperationID != "a" || len(info.GCPRequest.MetricValueSets) != 2 || info.GCPResponse != nil {
		t.Errorf("%+v", info.GCPRequest)
	}
}

func TestMetaInfoMatcher(t *testing.T) {
	t.Parallel()
	const meta = `{"originRecords":{"gb":2.5},"source":"API","billableRecords":[{"key":"m","properties":{"os":"linux","n":null}}]}`
	for text, want := range map[string]bool{
		"": true, "linux": true, "Linux": false, `"source":"API"`: true, `{}`: true, `{"source":"API"}`: true, `{"source":"ORB"}`: false, `{"originRecords":{"gb":2.50}}`: true,
		`{"originRecords":{"gb":"2.5"}}`: false, `{"billableRecords":[{"properties":{"os":"linux"}}]}`: true, `{"billableRecords":[{"key":"x"}]}`: false, `{"billableRecords":[]}`: true,
		`{"billableRecords":[{"properties":{"n":null}}]}`: true, `{"nothing":null}`: false, `{"source":"API"} x`: false, `[1]`: false, `{"source"`: false, `{"originRec`: true,
	} {
		if got := MetaInfoMatcher(text)([]byte(meta)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
