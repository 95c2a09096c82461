package suger

import "testing"

// TestAggregate adds up groups by day or month and dimension.
func TestAggregate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = orgPath + "/usageRecordGroup/aggregate"
	w.want("GET", path+"?partner=AWS&granularity=daily&startDate=2026-11-01&endDate=2026-11-30", "", 200, "[]")
	w.report(v1("a", `{"gb":1.5,"seat":1}`))
	w.report(v1("b", `{"gb":2}`))
	w.report(v1("gone", `{"gb":64}`))
	w.want("DELETE", orgPath+"/usageRecordGroup/gone", "", 200)
	const want = `{"date":"2026-11-22","dimensionKey":"gb","quantity":3.5},{"date":"2026-11-22","dimensionKey":"seat","quantity":1}`
	w.want("GET", path+"?partner=AWS&granularity=DAY&startDate=2026-11-22&endDate=2026-11-22", "", 200, "["+want+"]")
	w.want("GET", path+"?partner=AWS&granularity=MONTHLY&startDate=2026-11-01&endDate=2026-11-30", "", 200, `{"date":"2026-11","dimensionKey":"gb","quantity":3.5}`)
	w.want("GET", path+"?partner=GCP&granularity=DAY", "", 200, "[]")
	w.want("GET", path+"?granularity=week", "", 400, "granularity")
	w.want("GET", path+"?granularity=DAY&startDate=yesterday", "", 400, "startDate")
	w.want("GET", orgPath+"/usageRecordReport/aggregate?partner=AWS&granularity=DAY", "", 200, "[]")
}
