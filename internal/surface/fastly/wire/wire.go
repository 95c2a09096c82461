// Package wire is the form of Fastly's billing usage metrics API: it reads
// requests of the v2 operations and of their v3 siblings, signs cursors, and
// encodes answers, CSV and errors. It knows no catalog and no usage.
//
//	GET /billing/v2/account_customers/{customer_id}/service-usage-metrics   ParseMetricsV2    ServiceUsage, CSV
//	GET /billing/v2/account_customers/{customer_id}/service-usage-types     (no parameters)   UsageTypes
//	GET /billing/v3/service-usage-metrics                                   ParseMetricsV3    ServiceUsage, CSV
//	GET /billing/v3/usage-metrics                                           ParseMonthly      UsageMetrics
//
// Answers never hold null, and every declared member is there with its exact
// type: the vendor's Python client refuses anything else.
package wire

import (
	"net/http"
	"strings"
)

// Page sizes in records, by version of the API.
const (
	defaultLimitV2 = 5
	maxLimitV2     = 100
	defaultLimitV3 = 1000
	maxLimitV3     = 10000
)

// maxMonths is how many calendar months one v3 usage-metrics request may span.
const maxMonths = 3

// Token returns the key that a request carries in the Fastly-Key header, bare
// or after "Bearer "; false if there is none, or more than one.
func Token(h http.Header) (string, bool) {
	values := h.Values("Fastly-Key")
	if len(values) != 1 {
		return "", false
	}
	token := strings.TrimSpace(values[0])
	if scheme, rest, found := strings.Cut(token, " "); found && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	return token, token != ""
}
