package httpserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, Options{MetricsAccess: metricsOpen}, Route{Method: "GET", Path: "/m/{key}", Public: true, Handle: func(x *Exchange) error { return x.text("x") }})
	for i := range 3 {
		send(t, s, "GET", fmt.Sprintf("/m/%d", i), nil)
		send(t, s, "GET", fmt.Sprintf("/scan/%d", i), nil)
	}
	_, text := send(t, s, "GET", "/metrics", nil)
	for _, want := range []string{
		`odometer_http_request_duration_seconds_count{method="GET",route="/m/{key}",status="2xx",surface="test"} 3`,
		`odometer_http_request_duration_seconds_count{method="",route="",status="4xx",surface="none"} 3`,
		`odometer_http_requests_total{code="200",method="GET",route="/m/{key}",surface="test"} 3`,
		`odometer_http_requests_total{code="404",method="",route="",surface="none"} 3`,
		"go_goroutines ", "odometer_http_body_bytes 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestMetricsAccess(t *testing.T) {
	t.Parallel()
	for access, want := range map[MetricsAccess]int{"": 401, metricsOperator: 401, metricsOpen: 200} {
		s := start(t, Options{MetricsAccess: access})
		if resp, _ := send(t, s, "GET", "/metrics", nil); resp.StatusCode != want {
			t.Errorf("%q, without a key: %d, want %d", access, resp.StatusCode, want)
		}
	}
}

func TestPprofOnlyOnLoopback(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Listen: "127.0.0.1:0", PprofListen: "0.0.0.0:0"}); err == nil {
		t.Error("pprof listens on all addresses")
	}
	s := start(t, Options{PprofListen: "127.0.0.1:0"})
	resp, err := http.Get("http://" + s.pprof.listener.Addr().String() + "/debug/pprof/")
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("pprof: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if resp, _ := send(t, s, "GET", "/debug/pprof/", nil); resp.StatusCode != 404 {
		t.Errorf("pprof on the main listener: %d", resp.StatusCode)
	}
}
