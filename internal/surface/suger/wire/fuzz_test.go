package wire

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"
	"unicode/utf8"

	"odometer/internal/meter"
)

// sound fails unless an error is one that a caller may see.
func sound(t *testing.T, err error) {
	t.Helper()
	if k := meter.KindOf(err); err != nil && k != meter.KindInvalid && k != meter.KindTooLarge {
		t.Fatalf("%s: %v", k, err)
	}
}

func FuzzParseGroups(f *testing.F) {
	for _, seed := range []string{
		`[{"entitlementID":"e","records":{"gb":1.5e-7,"x":0}}]`,
		`[{"entitlementID":"e","records":null,"billableRecords":[{"key":"m","properties":{"a":[1,{"b":null}]},"quantity":1}],"timestamp":"2026-01-02T03:04:05.123456789+05:30"}]`,
		`[{"ENTITLEMENTID":"e","Records":{"a":1,"a":2}}]`, `[null]`, `{}`, `[{"entitlementID":"e","records":{"":1e400}}]`, `[{"timestamp":"0000-00-00 00:00:00"}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		groups, err := ParseGroups(body, "default")
		sound(t, err)
		if err != nil {
			return
		}
		for _, g := range groups {
			one := Group{Records: g.Records, MetaInfo: GroupMeta{Billable: g.Billable, Origin: g.Records, Timestamp: g.Timestamp}}
			text, err := one.Encode()
			if err != nil {
				t.Fatal(err)
			}
			var again Group
			if err := json.Unmarshal(text, &again); err != nil || len(again.Records) != len(g.Records) && utf8.Valid(body) {
				t.Fatalf("%s: %v", text, err)
			}
		}
	})
}

func FuzzParseGroup(f *testing.F) {
	f.Add([]byte(`{"id":"a","organizationID":"o","entitlementID":"e","records":{"gb":1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := ParseGroup(body, "o", "e")
		sound(t, err)
	})
}

func FuzzParseMetric(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","name":"Name","aggregationType":"SUM","info":{"filterGroups":[{"filters":[{"name":"a","operation":"IS","value":{"x":"y"}},{"name":"b","operation":"GT","value":1.5,"valueType":"FLOAT"}]}]}}`,
		`{"info":{"filterGroups":[{"filters":[{"name":"a","value":[1]}]}]}}`, `{"info":{"filterGroups":[{"filters":[{"name":"a","value":{"value":null}}]}]}}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := ParseMetric(body)
		sound(t, err)
		if err != nil {
			return
		}
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseMetric(text); err != nil {
			t.Fatalf("%s is answered, and refused: %v", text, err)
		}
		_, err = ParseMetricPatch(body)
		sound(t, err)
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"partnerUsageMeteringConfigs":[{"partner":"AWS","dimensionMapping":{"x":{"dimensionKey":"gb","convertionMultiplier":0.5}},"dimensionMappingV2":{"y":[{"mappingMode":"AMOUNT"}],"z":null}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		partners, err := ParseConfig(body)
		sound(t, err)
		if err != nil {
			return
		}
		text, err := EncodeConfig(partners)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseConfig(text); err != nil {
			t.Fatalf("%s is answered, and refused: %v", text, err)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"partner=AWS&limit=5&offset=1&startDate=2026-01-01&endDate=2026-02-01", "metaInfo=%7B%22a%22%3A1%7D", "limit=-1", "creationDate=9999-12-31", "source=&status=CREATED"} {
		f.Add(seed, `{"a":1,"b":{"c":["x"]}}`)
	}
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, query, meta string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q, err := ParseGroupQuery(values, now)
		sound(t, err)
		if err == nil && (q.Limit < 1 || q.Limit > maxLimit || q.Offset < 0 || !q.From.Before(q.To)) {
			t.Fatalf("%+v", q)
		}
		MetaInfoMatcher(q.MetaInfo)([]byte(meta))
		_, err = ParseCreationDate(values)
		sound(t, err)
	})
}

func FuzzExchange(f *testing.F) {
	f.Add("AWS", []byte(`{"ProductCode":"p","UsageRecords":[{"Dimension":"gb","Quantity":1,"Timestamp":"2026-01-02T03:04:05Z"}]}`), []byte(`{"results":[{"status":"Success","usageRecord":{"dimension":"gb","quantity":1}}]}`))
	f.Add("AZURE", []byte(`{"request":[{"dimension":"gb","quantity":1.5}]}`), []byte(`{"result":[{"status":"ResourceNotActive","quantity":1}]}`))
	f.Add("GCP", []byte(`{"metricValueSets":[{"metricName":"gb","metricValues":[{"int64Value":"4"}]}]}`), []byte(`{"reportErrors":[{"status":{"code":5,"details":[{"@type":"x"}]}}]}`))
	f.Fuzz(func(t *testing.T, partner string, request, response []byte) {
		info := ReportInfo{Partner: partner}
		info.Exchange(request, response)
		info.Exchange(response, request)
		if _, err := EncodeReportList([]Report{{Info: info}}, 0); err != nil {
			t.Fatal(err)
		}
	})
}
