package sender

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

func senderTo(t *testing.T, cloud, url string) Sender {
	t.Helper()
	return senderWith(t, cloud, url, http.DefaultClient)
}

func senderWith(t *testing.T, cloud, url string, client *http.Client) Sender {
	t.Helper()
	switch cloud {
	case simulator.AWS:
		return NewAWS(AWSOptions{Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), Endpoint: url, Client: client})
	case simulator.Azure:
		return NewAzure(url, func(context.Context, bool) (string, error) { return "token", nil }, client)
	}
	s, err := NewGCP(url, nil, client)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWhatAzureCannotHold: a quantity that this line cannot have left there is
// not believed: nobody but a person can tell.
func TestWhatAzureCannotHold(t *testing.T) {
	t.Parallel()
	for held, want := range map[string]Outcome{"5": Settled, "4.999999": Settled, "0.000001": Settled, "0": Unknown, "-1": Unknown, "5.000001": Unknown, "1e30": Unknown, "-0.5": Unknown} {
		l := Line{Dimension: "gb", Hour: start, Quantity: meter.NewDecimal(5), Azure: &AzureAccount{ResourceID: "c", PlanID: "gold"}}
		var entry azureResult
		if err := json.Unmarshal([]byte(`{"status":"Duplicate","error":{"additionalInfo":{"acceptedMessage":{"quantity":`+held+`}}}}`), &entry); err != nil {
			t.Fatal(err)
		}
		got := azureOutcome(entry, l)
		if got.Outcome != want || got.Outcome == Unknown && (got.NotStored || !got.Contested && held != "1e30") {
			t.Errorf("holds %s of 5: %+v", held, got)
		}
	}
}

// TestRefusalsOfSomebodyElse: a proxy's page, an empty answer, and what is not
// in the vendor's own form say nothing of what became of the call.
func TestRefusalsOfSomebodyElse(t *testing.T) {
	t.Parallel()
	own := map[string]string{
		simulator.AWS:   `{"__type":"InvalidUsageDimensionException","message":"no"}`,
		simulator.Azure: `{"code":"BadArgument","message":"no"}`,
		simulator.GCP:   `{"error":{"code":404,"message":"no","status":"NOT_FOUND"}}`,
	}
	for _, cloud := range []string{simulator.AWS, simulator.Azure, simulator.GCP} {
		for _, status := range []int{400, 401, 402, 403, 404, 405, 407, 410, 413, 414, 421, 426, 429, 431, 451, 500, 502, 503} {
			for _, body := range []string{"<html><body>Not Found</body></html>", "", "{}", `{"message":"Not Found"}`, `{"status":404,"title":"no route"}`, "null", `"no"`, `{"error":"no"}`, own[cloud]} {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, ":check") {
						_, _ = w.Write([]byte("{}"))
						return
					}
					w.WriteHeader(status)
					_, _ = w.Write([]byte(body))
				}))
				got := senderTo(t, cloud, server.URL).Send(context.Background(), []Line{(&rig{cloud: cloud}).line("c", "5")})[0]
				server.Close()
				switch vendors := body == own[cloud]; {
				case vendors && status == 404 && (got.Outcome != Refused || !got.Permanent):
					t.Errorf("%s %d %s: %+v", cloud, status, body, got)
				case !vendors && (got.Outcome != Unknown || got.NotStored && body != "" || got.Reason == ""):
					t.Errorf("%s %d %q: %+v", cloud, status, body, got)
				}
			}
		}
	}
}

// TestAHalvedCallThatMayHaveBeenRecorded: where a call is made again in halves,
// what its halves are answered says nothing of whether it was recorded.
func TestAHalvedCallThatMayHaveBeenRecorded(t *testing.T) {
	t.Parallel()
	for _, second := range []Result{{NotStored: true, Setup: true}, {Outcome: Refused, Permanent: true}, {Outcome: Refused}, {Outcome: Settled}} {
		calls := 0
		results := make([]Result, 2)
		bisect(context.Background(), make([]Line, 2), results, func(_ context.Context, lines []Line, results []Result) fault {
			calls++
			for i := range lines {
				if results[i] = second; calls == 1 {
					results[i] = Result{Reason: "HTTP 500"} // recorded, perhaps
				}
			}
			return faultSuspect
		})
		for _, r := range results {
			if calls != 3 || second.Outcome == Settled && r.Outcome != Settled || second.Outcome != Settled && (r.Outcome != Unknown || r.NotStored || r.Permanent) {
				t.Errorf("%d calls, after %+v: %+v", calls, second, r)
			}
		}
	}
}
