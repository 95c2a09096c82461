package sender

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestWhatGoogleIsSent: each byte of the two calls that Google tells a repeat by.
func TestWhatGoogleIsSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, service, quantity, path, value string }{
		{gcpInt64, "cdn.example.com", "9007199254740993", "cdn.example.com", `"int64Value":"9007199254740993"`},
		{gcpInt64, "a b/c:d+e%", "0", "a%20b%2Fc%3Ad%2Be%25", `"int64Value":"0"`},
		{GCPDouble, "cdn.example.com", "8589934590.123456", "cdn.example.com", `"doubleValue":8589934590.123456`},
		{GCPDouble, "cdn.example.com", "0", "cdn.example.com", `"doubleValue":0`},
		{GCPDouble, "cdn.example.com", "0.0000001", "cdn.example.com", `"doubleValue":1e-7`},
	} {
		var got []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			got = append(got, fmt.Sprintf("%s %s %s %s %v", r.Method, r.RequestURI, r.Header.Get("Content-Type"), strings.TrimSpace(string(body)), err))
			_, _ = w.Write([]byte("{}"))
		}))
		l := (&rig{cloud: "gcp"}).line("c<&", c.quantity)
		l.GCP.Service, l.GCP.Type = c.service, c.kind
		result := senderTo(t, "gcp", server.URL).Send(context.Background(), []Line{l})[0]
		server.Close()
		operation := `{"consumerId":"c\u003c\u0026","endTime":"2026-11-29T11:00:00Z","metricValueSets":[{"metricName":"gb","metricValues":[{` + c.value +
			`}]}],"operationId":"op-c\u003c\u0026","operationName":"odometer usage","startTime":"2026-11-29T10:00:00Z"}`
		want := []string{
			"POST /v1/services/" + c.path + ":check?alt=json&prettyPrint=false application/json {\"operation\":" + operation + "} <nil>",
			"POST /v1/services/" + c.path + ":report?alt=json&prettyPrint=false application/json {\"operations\":[" + operation + "]} <nil>",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if result.Outcome != Settled || string(result.Request) != operation || string(result.Response) != "{}" {
			t.Errorf("%s of %s: %+v, %s, %s", c.quantity, c.kind, result, result.Request, result.Response)
		}
	}
}
