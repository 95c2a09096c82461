package akamai

import (
	"strings"
	"testing"

	"odometer/compat/harness"
)

// difference is a difference, the request that shows it, and what our answer
// has to say.
type difference struct {
	harness.Difference
	call   call
	status int
	has    string // in the body
}

var differences = []difference{
	{harness.Difference{What: "`type` of a problem", Vendor: "begins with `https://problems.luna.akamaiapis.net/-/`", Evidence: "vendor's documentation; seen in clients",
		Ours: "begins with `urn:odometer:problem:akamai/` and ends as the vendor's"},
		call{As: "wrong secret", Path: site + "daily?month=LAST"}, 401, `"type":"urn:odometer:problem:akamai/pep-authn/deny"`},
	{harness.Difference{What: "`status` in a problem", Vendor: "a text in a sibling API, `httpStatus` in others", Evidence: "vendor's documentation", Ours: "an integer"},
		call{As: "shop", Path: site + "daily"}, 400, `"status":400`},
	{harness.Difference{What: "no usage in the whole range", Vendor: "204, at times 503", Evidence: "seen in clients", Ours: "204, always"},
		call{As: "shop", Path: site + "monthly-summary?start=BEFORE&end=LAST"}, 204, ""},
	{harness.Difference{What: "`start` equal to `end`", Vendor: "400 or 204: a client ends its loop with either", Evidence: "seen in clients", Ours: "400"},
		call{As: "shop", Path: site + "monthly-summary?start=LAST&end=LAST"}, 400, "not before end"},
	{harness.Difference{What: "a month before the contract, or more than 18 months ago", Vendor: "400 or 204: a client skips such months", Evidence: "seen in clients", Ours: "400"},
		call{As: "shop", Path: site + "monthly-summary?start=OLDER&end=THIS"}, 400, "months ago"},
	{harness.Difference{What: "a nonce that was used", Vendor: "not known", Evidence: "no source", Ours: "401 `Nonce already used`"},
		call{As: "shop", Twice: true, Path: site + "daily?month=LAST"}, 401, `"detail":"Nonce already used"`},
	{harness.Difference{What: "no Authorization header, or a malformed one", Vendor: "400; its words are not known", Evidence: "no source", Ours: "400 `Invalid authorization header`"},
		call{Path: site + "daily?month=LAST"}, 400, `"detail":"Invalid authorization header"`},
	{harness.Difference{What: "a contract, product or group that the key may not see", Vendor: "403 or 404", Evidence: "no source", Ours: "404, in the words of what does not exist"},
		call{As: "blog", Path: site + "daily?month=LAST"}, 404, "there is no such contract, product or reporting group"},
	{harness.Difference{What: "statistics by CP code", Vendor: "`GB` and `Hits` in samples; a client looks for `Bytes`", Evidence: "vendor's documentation; seen in a client", Ours: "`GB` and `Hits`"},
		call{As: "shop", Path: site + "by-cp-code/monthly-summary?start=LAST&end=THIS"}, 200, `"stats":[{"statType":"GB"`},
	{harness.Difference{What: "regions", Vendor: "only `GLOBAL` is shown anywhere", Evidence: "vendor's documentation", Ours: "one entry for each value of the attribute that the contract's term names, `UNKNOWN` where there is none, and no `GLOBAL` beside them"},
		call{As: "shop", Path: site + "monthly-summary?start=LAST&end=THIS"}, 200, `"region":"UNKNOWN"`},
	{harness.Difference{What: "sub-periods", Vendor: "a month may have several; when is not documented", Evidence: "vendor's documentation", Ours: "one for each term of the contract, with statistics of its own samples"},
		call{As: "shop", Path: site + "monthly-summary?start=LAST&end=THIS"}, 200, `"start":"LAST-01","end":"LAST-15"`},
	{harness.Difference{What: "a reporting group over several contracts", Vendor: "one `contractId`; which is not known", Evidence: "no source", Ours: "the first contract, and statistics of all traffic over the whole month"},
		call{As: "shop", Path: group + "125" + product + "monthly-summary?start=LAST&end=THIS"}, 200, `"contractId":"K-0N7RAK7"`},
	{harness.Difference{What: "`compute-customers`", Vendor: "answered", Evidence: "vendor's documentation", Ours: "404"},
		call{As: "shop", Path: "/billing/v1/contracts/K-0N7RAK7/compute-customers"}, 404, ""},
}

// TestDifferences states both answers where they differ, by the Python client.
func TestDifferences(t *testing.T) {
	t.Parallel()
	var list []harness.Difference
	var calls []call
	for _, d := range differences {
		list, calls = append(list, d.Difference), append(calls, d.call)
	}
	harness.Mirrored(t, "akamai", append(list, lateUsage))
	if harness.Short(t) {
		return
	}
	c, ok := clients("")["python"](t)
	if !ok {
		return
	}
	s := startServer(t, nil)
	for i, r := range s.calls(t, c, calls) {
		d := differences[i]
		status := r.Status
		if d.call.Twice {
			status = r.Again
		}
		if status != d.status || !strings.Contains(r.Body, s.names.Replace(d.has)) {
			t.Errorf("%s: %d %s, want %d with %s", d.What, status, r.Body, d.status, d.has)
		}
	}
}
