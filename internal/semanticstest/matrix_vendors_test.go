package semanticstest

import (
	"context"
	"strings"

	"odometer/internal/access"
)

// vendorPaths are the names of objects as the paths of the vendors' reading
// APIs have them; the same names mean something else in Suger's.
var vendorPaths = map[string]*strings.Replacer{
	"fastly": strings.NewReplacer("{customer_id}", "$customer"),
	"akamai": strings.NewReplacer("{contract}", "K-$n", "{group}", "$n$n", "{product}", "p-$n"),
}

// vendorRows adds the operations of Fastly, Akamai and ThousandEyes. Beside the
// object alone they ask about a part of it together with what is the asker's
// own, which is the first owner's.
func vendorRows(rows map[string][]ask) {
	mine := func(path string) string { return own.fill(path, "") }
	for _, part := range []struct{ path, query string }{
		{"/usage/monthly-summary", "start=2026-10&end=2026-11"}, {"/usage/by-cp-code/monthly-summary", "start=2026-10&end=2026-11"}, {"/usage/daily", "month=2026-10"},
	} {
		asksOf := func(whose string) []ask {
			return []ask{{query: part.query}, {query: part.query + "&accountSwitchKey=A-$n"},
				{query: part.query, path: mine(whose) + "/products/p-$n" + part.path}, {query: part.query, path: whose + "/products/" + mine("p-$n") + part.path},
				{query: part.query + "&accountSwitchKey=A-$n", path: mine(whose) + "/products/" + mine("p-$n") + part.path}}
		}
		rows["GET /billing/v1/contracts/{contract}/products/{product}"+part.path] = asksOf("/billing/v1/contracts/K-$n")
		if !strings.Contains(part.path, "cp-code") {
			rows["GET /billing/v1/reporting-groups/{group}/products/{product}"+part.path] = asksOf("/billing/v1/reporting-groups/$n$n")
		}
	}
	rows["GET /billing/v1/contracts/{contract}/products"] = []ask{{query: "start=2026-10&end=2026-11"}, {query: "start=2026-10&end=2026-11&accountSwitchKey=A-$n"}}

	metrics := "time_granularity=month&start_month=2026-10&end_month=2026-10"
	v2 := "/billing/v2/account_customers/{customer_id}/service-usage-"
	rows["GET "+v2+"metrics"] = []ask{{query: metrics + "&product_id=p-$n&usage_type_name=u-$n"}, {query: metrics + "&product_id=p-$n&usage_type_name=u-$n&service=S$n"},
		{query: metrics + "&product_id=p-$n&usage_type_name=u-$n", path: mine("/billing/v2/account_customers/$customer/service-usage-metrics")},
		{query: metrics + "&product_id=p-$n&usage_type_name=u-$n&cursor=x", path: mine("/billing/v2/account_customers/$customer/service-usage-metrics")},
		{query: metrics + "&service=S$n&" + mine("product_id=p-$n&usage_type_name=u-$n"), path: mine("/billing/v2/account_customers/$customer/service-usage-metrics")}}
	rows["GET "+v2+"types"] = []ask{{}}
	rows["GET /billing/v3/service-usage-metrics"] = []ask{{query: metrics}, {query: metrics + "&product_id=p-$n"}, {query: metrics + "&service=S$n"}, {query: metrics + "&usage_type_name=u-$n"},
		{query: metrics + "&customer_id=$customer"}}
	rows["GET /billing/v3/usage-metrics"] = []ask{{query: "start_month=2026-10&end_month=2026-10"}, {query: "start_month=2026-10&end_month=2026-10&customer_id=$customer"}}

	whole := "startDate=2026-10-01T00:00:00Z&endDate=2026-10-30T00:00:00Z"
	rows["GET /v7/usage"] = []ask{{}, {query: "aid=$n$n$n"}, {query: "aid=$n$n$n&expand=test,enterprise-agent,enterprise-agent-unit,endpoint-agent"}}
	rows["GET /v7/usage/units/tests"] = []ask{{}, {query: "aid=$n$n$n"}, {query: "aid=$n$n$n&" + whole}}
	rows["GET /v7/usage/units/enterprise-agents"] = []ask{{}, {query: "aid=$n$n$n"}, {query: whole}}
}

// vendorAnswered are the vendors' operations that answer somebody of what is its own.
var vendorAnswered = []string{
	"GET /billing/v1/contracts/{contract}/products", "GET /billing/v1/contracts/{contract}/products/{product}/usage/daily",
	"GET /billing/v1/contracts/{contract}/products/{product}/usage/monthly-summary", "GET /billing/v1/contracts/{contract}/products/{product}/usage/by-cp-code/monthly-summary",
	"GET /billing/v1/reporting-groups/{group}/products/{product}/usage/daily", "GET /billing/v1/reporting-groups/{group}/products/{product}/usage/monthly-summary",
	"GET /billing/v2/account_customers/{customer_id}/service-usage-metrics", "GET /billing/v2/account_customers/{customer_id}/service-usage-types",
	"GET /billing/v3/service-usage-metrics", "GET /billing/v3/usage-metrics", "GET /v7/usage", "GET /v7/usage/units/tests", "GET /v7/usage/units/enterprise-agents",
}

// vendorKeys are further keys of kinds that only the vendors' APIs know, and
// keys that see every customer of the organization.
func (s *server) vendorKeys() []matrixKey {
	keys := []matrixKey{
		{name: "bound, that may switch", organization: "default", customer: own.customer,
			credential: s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: own.customer, Accounts: []string{own.fill("A-$n", "")}})},
		{name: "of a stranger, that may switch", organization: "strange",
			credential: s.key(access.NewKey{Organization: "strange", Role: access.RoleRead, DefaultAID: others.fill("$n$n$n", ""), Accounts: []string{others.fill("A-$n", "")}})},
	}
	for _, role := range []access.Role{access.RoleAdmin, access.RoleRead, access.RoleIngest, access.RoleReport} {
		keys = append(keys, matrixKey{name: "unbound, " + string(role), organization: "default", all: true, credential: s.key(access.NewKey{Organization: "default", Role: role})})
	}
	return keys
}

// keyOf makes the key that the object's owner has.
func (s *server) keyOf(o *object, organization string) {
	k, _, err := s.keys.CreateKey(context.Background(), access.NewKey{Organization: organization, Role: access.RoleRead, Customer: o.customer}, "test")
	s.check(err)
	o.key = k.ID
}
