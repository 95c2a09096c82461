package native

import (
	"testing"

	"odometer/internal/httpserver"
	"odometer/internal/ledger"
)

// TestWebhookHandshake asks as the CloudEvents webhook specification says, with
// the origins that are allowed and without any.
func TestWebhookHandshake(t *testing.T) {
	t.Parallel()
	ask := func(w *world, header ...string) answer {
		return w.call("OPTIONS", "/api/v1/events", "", append([]string{"Authorization", ""}, header...)...)
	}
	for _, c := range []struct {
		origins []string
		asked   string
		rate    string
		allowed string // "" = not
		atRate  string
	}{
		{nil, "eventgrid.azure.net", "", "", ""},
		{[]string{"eventgrid.azure.net", "other.example"}, "eventgrid.azure.net", "", "eventgrid.azure.net", "*"},
		{[]string{"eventgrid.azure.net"}, "EventGrid.Azure.net", "120", "EventGrid.Azure.net", "120"},
		{[]string{"eventgrid.azure.net"}, "evil.example", "120", "", ""},
		{[]string{"eventgrid.azure.net"}, "", "", "", ""},
		{[]string{"*"}, "anybody.example", "0", "anybody.example", "*"},
		{[]string{"*"}, "anybody.example", "many", "anybody.example", "*"},
		{[]string{"*"}, "", "", "", ""},
		{[]string{"*"}, "two names", "", "", ""},
	} {
		w := newWorldWith(t, httpserver.Options{}, ledger.Limits{}, Options{WebhookOrigins: c.origins})
		a := ask(w, "WebHook-Request-Origin", c.asked, "WebHook-Request-Rate", c.rate, "WebHook-Request-Callback", w.URL+"/called")
		status := 204
		if c.allowed != "" {
			status = 200
		}
		if a.Status != status || a.Header.Get("WebHook-Allowed-Origin") != c.allowed || a.Header.Get("WebHook-Allowed-Rate") != c.atRate || a.Header.Get("Allow") != "GET, HEAD, OPTIONS, POST" {
			t.Errorf("%+v: %d %v", c, a.Status, a.Header)
		}
		// What is then delivered needs a key, like all else.
		w.want(w.call("POST", "/api/v1/events", testEvent("a"), "Authorization", ""), 401)
		w.want(w.call("POST", "/api/v1/events", testEvent("a"), "WebHook-Request-Origin", "eventgrid.azure.net"), 200)
	}
}
