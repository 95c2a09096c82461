package aws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"odometer/internal/marketplace/sender"
	"odometer/internal/meter"
)

// startMoto runs moto_server on a free port and returns its address.
func startMoto(t *testing.T) string {
	t.Helper()
	requirements, err := filepath.Abs("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "../../scripts/setup-python.sh", "moto", requirements).Output()
	if err != nil {
		t.Fatalf("set up moto: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	server := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "moto_server")
	cmd := exec.CommandContext(t.Context(), server, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Kill(), <-ended); err == nil {
			t.Error("moto ended by itself")
		}
	})
	url := "http://127.0.0.1:" + strconv.Itoa(port)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for range 300 {
		response, err := http.Get(url + "/moto-api/")
		if err == nil {
			response.Body.Close()
			return url
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("moto_server ended: %v", err)
		case <-ticker.C:
		}
	}
	t.Fatal("moto_server does not answer")
	return ""
}

// TestBatchMeterUsage: what the sender sends is what moto understands, in
// batches, and each record's outcome is matched to its line. moto answers at
// random; every status that it has is one that the sender knows.
func TestBatchMeterUsage(t *testing.T) {
	t.Parallel()
	url := startMoto(t)
	aws := sender.NewAWS(sender.AWSOptions{Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), Endpoint: url})
	hour := time.Now().UTC().Add(-time.Hour).Truncate(time.Hour)
	var lines []sender.Line
	for i := range sender.MaxBatch + 5 {
		lines = append(lines, sender.Line{OperationID: strconv.Itoa(i), Dimension: "gb", Hour: hour, Quantity: meter.NewDecimal(int64(i)),
			AWS: &sender.AWSAccount{ProductCode: "prod1", CustomerIdentifier: "customer-" + strconv.Itoa(i), Region: "us-east-1"}})
	}
	for i, got := range aws.Send(context.Background(), lines) {
		switch {
		case got.Outcome == sender.Settled && got.Accepted.Cmp(lines[i].Quantity) == 0:
		case got.Outcome == sender.Refused && (got.Reason == "CustomerNotSubscribed" || got.Reason == "DuplicateRecord"):
		case got.Outcome == sender.Unknown && got.Reason == "UnprocessedRecord":
		default:
			t.Errorf("line %d: %+v", i, got)
		}
		if !strings.Contains(string(got.Response), "customer-"+strconv.Itoa(i)+`"`) {
			t.Errorf("line %d has the answer of another: %s", i, got.Response)
		}
	}
}
