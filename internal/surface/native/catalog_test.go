package native

import (
	"testing"
)

// smallCatalog has a meter, a product and a customer.
const smallCatalog = `{"meters":[{"key":"hits","event_type":"edge.request","aggregation":"COUNT","group_by":["customer","service"]}],
"products":[{"id":"cdn","usage_types":[{"name":"Hits","meter":"hits","where":{"service":"shop"},"scale":"0.5"}]}],
"customers":[{"id":"acme","services":[{"id":"shop","name":"Shop"}],"contracts":[{"id":"K-1","terms":[{"products":["cdn"],"regions":"GLOBAL"}]}]}]}`

var yamlBody = []string{"Content-Type", "application/yaml"}

func TestApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/api/v1/catalog"
	w.want(w.call("POST", path+"?dry_run=true", smallCatalog), 200, `"dry_run":true`, `"create":[{"key":"hits"`)
	w.want(w.call("GET", "/api/v1/meters/hits", ""), 404)
	w.want(w.call("POST", path, smallCatalog), 200, `"dry_run":false`, `{"action":"create","noun":"contract","customer":"acme","id":"K-1","after":{"id":"K-1"`)
	w.want(w.call("GET", "/api/v1/meters/hits", ""), 200)
	w.want(w.call("POST", path, smallCatalog), 200, `{"dry_run":false,"organization":null,"meters":{"create":[],"update":[],"remove":[]},"changes":[]}`)
	text := w.want(w.call("GET", path, "", "Accept", "application/yaml"), 200, "services:\n").Body
	w.want(w.call("POST", path+"?prune=true", text, yamlBody...), 200, `"changes":[]}`)
	for _, empty := range []string{``, `{}`, `{"organization":{"name":"x"}}`, `{"customers":[]}`} {
		w.want(w.call("POST", path+"?prune=true", empty, yamlBody...), 400, "a document without entries is not applied with prune")
		w.want(w.call("POST", path+"?prune=true&dry_run=true", empty, yamlBody...), 400, "a document without entries is not applied with prune")
	}
}
