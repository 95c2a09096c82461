package suger

import "testing"

// TestTextIsUTF8: ids in paths and query strings are what they are, or 400.
func TestTextIsUTF8(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/org/default/entitlement/%FF/usageRecordGroup", `{}`}, {"DELETE", "/org/default/usageRecordGroup/a%FF", ""},
		{"POST", "/org/default/usageRecordGroup/%ED%A0%80/retry", ""}, {"GET", "/org/default/billableMetric/%C0%A0", ""}, {"PATCH", "/org/default/billableMetric/%FF", `{}`},
		{"GET", "/org/default/usageRecordGroup?buyerId=%FF", ""}, {"GET", "/org/default/usageRecordGroup?entitlementId=%FF", ""}, {"GET", "/org/default/usageRecordGroup?metaInfo=%FF", ""},
		{"GET", "/org/default/usageRecordGroup?buyerId=%zz", ""}, {"GET", "/org/default/usageRecordReport?buyerId=a;entitlementId=b", ""}, {"GET", "/org/default/billableMetric?status=%FF", ""},
	} {
		w.ask(c.method, c.path, c.body).want(t, c.method+" "+c.path, 400)
	}
}
