package sender

import (
	"encoding/json"
	"testing"
)

// FuzzFailures reads what marketplaces answer to a call that failed: only an
// answer of the vendor's own form is a refusal, and what is kept of it is JSON.
func FuzzFailures(f *testing.F) {
	f.Add(400, []byte(`{"code":"BadArgument"}`))
	f.Add(404, []byte("<html>not here</html>"))
	f.Add(403, []byte(`{"error":{"code":"Forbidden"}}`))
	f.Add(500, []byte(`{"error":7}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		r, _ := azureFailure(status, body, 0)
		if r.Outcome == Refused && !azureForm(body) {
			t.Errorf("HTTP %d, %q: refused", status, body)
		}
		if r.Response != nil && !json.Valid(r.Response) {
			t.Errorf("%q is kept", r.Response)
		}
	})
}
