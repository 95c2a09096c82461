package native

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPeriods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/api/v1/periods"
	w.want(w.call("POST", "/api/v1/catalog", `{"customers":[{"id":"acme"},{"id":"a/b"},{"id":"zeta"}]}`), 200)
	w.want(w.call("GET", path+"/acme/2026-09", ""), 200, `{"customer":"acme","month":"2026-09","status":"COLLECTING"}`)
	created := w.want(w.call("POST", path, `{"customer":"a/b","month":"2026-09"}`), 201, `{"periods":[{"customer":"a/b","month":"2026-09","status":"FINALIZED","closed":`)
	if got := created.Header.Get("Location"); got != path+"/a%2Fb/2026-09" {
		t.Error(got)
	}
	w.want(w.call("GET", path+"/a%2Fb/2026-09", ""), 200, `"status":"FINALIZED"`, `"kept":0,"warning":"nothing is kept: `, `"figures":{"native":{"lines":[]}}`)
	w.want(w.call("POST", path, `{"customer":"a/b","month":"2026-09"}`), 409, "is closed")
	begun := w.want(w.call("POST", path, `{"month":"2026-09"}`), 202, `"id":"1","month":"2026-09","status":"`)
	if got := begun.Header.Get("Location"); got != "/api/v1/closings/1" {
		t.Error(got)
	}
	w.closed("1", `"status":"DONE","customers":2,"closed":2,"failed":0,`, `"begun":`, `"ended":`)
	w.want(w.call("GET", path+"/zeta/2026-09", ""), 200, `"status":"FINALIZED"`)
	w.want(w.call("POST", path, `{"month":"2026-09"}`), 202, `"id":"2"`)
	w.closed("2", `"status":"DONE","customers":0,"closed":0`)
	w.want(w.call("GET", "/api/v1/closings?limit=1", ""), 200, `{"closings":[{"id":"2",`, `"next_cursor":"2"`)
	w.want(w.call("GET", "/api/v1/closings?cursor=2", ""), 200, `{"closings":[{"id":"1",`, `"next_cursor":null`)
	w.want(w.call("GET", "/api/v1/closings?cursor=x", ""), 400)
	w.want(w.call("GET", "/api/v1/closings/3", ""), 404, "no closing")
	w.want(w.call("POST", path, `{"customer":"acme","month":"2026-08"}`), 201)
	w.want(w.call("GET", path+"?customer=acme&limit=1", ""), 200, `"month":"2026-08"`, `"next_cursor":"2026-08"`)
	w.want(w.call("GET", path+"?customer=acme&cursor=2026-08", ""), 200, `"month":"2026-09"`, `"next_cursor":null`)
	for body, status := range map[string]int{
		`{"customer":"acme","month":"2026-13"}`: 400, `{"customer":"acme","month":"2999-01"}`: 400, `{"customer":"acme"}`: 400, `{}`: 400,
		`{"customer":"acme","month":"2026-1"}`: 400, `{"customer":"","month":"2026-09"}`: 400, `{"customer":null,"month":"2026-09"}`: 400, `{"customer":"x","month":"2026-09"}`: 404, `{"kind":1}`: 400,
	} {
		w.want(w.call("POST", path, body), status)
	}
	w.want(w.call("GET", path, ""), 400, "customer is missing")
	w.want(w.call("GET", path+"?customer=x", ""), 404)
	w.want(w.call("GET", path+"/x/2026-09", ""), 404)
	w.want(w.call("GET", path+"/acme/2026-9", ""), 400)

	bound := []string{"Authorization", "Bearer " + w.key("read", "acme")}
	w.want(w.call("GET", path, "", bound...), 200, `"month":"2026-09"`)
	w.want(w.call("GET", path+"?customer=zeta", "", bound...), 404, "no customer")
	w.want(w.call("GET", path+"/zeta/2026-09", "", bound...), 404, "no customer")
	w.want(w.call("POST", path, `{"customer":"acme","month":"2026-07"}`, bound...), http.StatusForbidden)
	w.want(w.call("POST", path, `{"month":"2026-07"}`, bound...), http.StatusForbidden)
	w.want(w.call("GET", "/api/v1/closings", "", bound...), http.StatusForbidden)
	w.want(w.call("GET", "/api/v1/closings/1", "", bound...), http.StatusForbidden)
}

// closed waits until a closing of all customers has ended, and says what it answers then.
func (w *world) closed(id string, parts ...string) {
	w.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		a := w.want(w.call("GET", "/api/v1/closings/"+id, ""), 200)
		if strings.Contains(a.Body, `"ended"`) {
			for _, part := range parts {
				if !strings.Contains(a.Body, part) {
					w.Errorf("%s is not in %s", part, a.Body)
				}
			}
			return
		}
		<-tick.C
	}
}

// callPeriods makes the calls of periods, after acme came into the catalog.
func callPeriods(call func(method, route, path, body string, header ...string)) {
	const path = "/api/v1/periods"
	call("POST", path, path, `{"customer":"acme","month":"2026-09"}`)
	call("POST", path, path, `{"customer":"acme","month":"2026-09"}`)
	call("POST", path, path, `{"customer":"nobody","month":"2026-09"}`)
	call("POST", path, path, `{"month":"2026-13"}`)
	call("POST", path, path, `{"month":"2026-09"}`)
	const closings = "/api/v1/closings"
	call("GET", closings, closings+"?limit=1", "")
	call("GET", closings, closings+"?cursor=x", "")
	call("GET", closings+"/{id}", closings+"/1", "")
	call("GET", closings+"/{id}", closings+"/2", "")
	call("GET", path, path+"?customer=acme&limit=1", "")
	call("GET", path, path+"?customer=nobody", "")
	call("GET", path, path, "")
	const one = path + "/{customer}/{month}"
	call("GET", one, path+"/acme/2026-09", "")
	call("GET", one, path+"/acme/2026-10", "")
	call("GET", one, path+"/acme/october", "")
	call("GET", one, path+"/nobody/2026-09", "")
	const unattributed = "/api/v1/unattributed"
	call("GET", unattributed, unattributed+"?"+today, "")
	call("GET", unattributed, unattributed+"?from=2026-11-22T00:00:00Z", "")
}
