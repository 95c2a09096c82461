package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"odometer/internal/meter"
)

// demo is a running demo of the built program.
type demo struct {
	t     *testing.T
	text  string            // what it printed
	lines map[string]string // commands by the first word of their title
	stop  func()
}

var demoTitle = regexp.MustCompile(`(?m)^(\w+)(?:'s?)? API: .*:\n  (.*)$|^(native) API: .*:\n  (.*)$`)

// startDemo builds the program and runs its demo until everything is printed.
func startDemo(t *testing.T) *demo {
	t.Helper()
	program := filepath.Join(t.TempDir(), "odometer")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	cmd := exec.CommandContext(ctx, program, "demo", "--listen", "127.0.0.1:0")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &demo{t: t, lines: map[string]string{}}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		d.text += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			break
		}
	}
	for _, m := range demoTitle.FindAllStringSubmatch(d.text, -1) {
		d.lines[m[1]+m[3]] = m[2] + m[4]
	}
	d.stop = func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demo ended with %v\n%s", err, &errs)
		}
		cancel()
		folder := regexp.MustCompile(`\S*odometer-demo-\S*`).FindString(errs.String())
		if _, err := os.Stat(folder); folder == "" || !os.IsNotExist(err) {
			t.Errorf("the folder %q is still there", folder)
		}
	}
	return d
}

// run pastes one of the lines into a shell and reads its answer.
func (d *demo) run(name string, into any) {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), "sh", "-c", d.lines[name]).Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		d.t.Fatalf("%s: %v\n%s\nanswered %s", name, err, d.lines[name], out)
	}
}

// usage asks the native API what the shown customer used of a meter in a range.
func (d *demo) usage(key string, from, to time.Time) meter.Decimal {
	return d.usageOf(demoCustomers[demoShown].id, key, from, to)
}

func (d *demo) usageOf(customer, key string, from, to time.Time) meter.Decimal {
	d.t.Helper()
	var url, token string
	for line := range strings.Lines(d.text) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); name {
		case "admin key":
			token = value
		case "listening":
			url = value
		}
	}
	out := must(d.t, map[string]string{"ODOMETER_URL": url, "ODOMETER_KEY": token}, "usage", key, "--from", from.Format(time.RFC3339), "--to", to.Format(time.RFC3339),
		"--group-by", "customer", "--format", "csv")
	for line := range strings.Lines(out) {
		if fields := strings.Split(strings.TrimSpace(line), ","); len(fields) > 2 && fields[2] == customer {
			return decimal(d.t, fields[3])
		}
	}
	return meter.Decimal{} // a row without usage is left out
}

func decimal(t *testing.T, text string) meter.Decimal {
	t.Helper()
	v, err := meter.ParseDecimal(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// TestDemo runs each line that the demo prints in a shell, with curl, and holds
// the vendors' figures against those of the native API.
func TestDemo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("not run: it sends two months of usage")
		return
	}
	d := startDemo(t)
	if len(d.lines) != len(demoLineMakers) || !strings.HasPrefix(d.text, "admin key: odo_") || !strings.Contains(d.text, "\nlistening: http://127.0.0.1:") ||
		!regexp.MustCompile(`\n +total +\d{5,} +\d{10,} `).MatchString(d.text) {
		t.Fatalf("the demo printed\n%s", d.text)
	}
	now := time.Now().UTC()
	month := monthBefore(now)
	next := month.AddDate(0, 1, 0)
	bytes := d.usage("edge_bytes", month, next)
	if bytes.Cmp(decimal(t, "100000000000")) < 0 {
		t.Errorf("%s bytes are little for a month of video", bytes)
	}
	giga := decimal(t, "0.000000001")

	var native struct {
		Rows []struct {
			Group map[string]string
			Value string
		}
	}
	d.run("native", &native)
	found := false
	for _, r := range native.Rows {
		found = found || r.Group["customer"] == demoCustomers[demoShown].id && r.Value == bytes.String()
	}
	if !found || len(native.Rows) != len(demoCustomers) {
		t.Errorf("native: %+v, want %s", native, bytes)
	}

	var fastly struct {
		Data struct {
			Details []struct {
				ServiceID  string      `json:"service_id"`
				UsageUnits json.Number `json:"usage_units"`
			}
		}
	}
	d.run("Fastly", &fastly)
	var sum meter.Decimal
	for _, s := range fastly.Data.Details {
		sum = sum.Add(decimal(t, s.UsageUnits.String()))
	}
	if sum.Cmp(bytes.Mul(giga)) != 0 || len(fastly.Data.Details) != len(demoCustomers[demoShown].services) {
		t.Errorf("Fastly: %+v are %s GB, want %s", fastly, sum, bytes.Mul(giga))
	}
	d.checkAkamai(bytes.Mul(giga), d.usage("edge_requests", month, next))
	d.checkThousandEyes()
	d.checkSuger()
	d.stop()
}

func (d *demo) checkAkamai(gigabytes, requests meter.Decimal) {
	var akamai struct {
		UsagePeriods []struct {
			Stats []struct {
				StatType string
				Value    json.Number
			}
		}
	}
	d.run("Akamai", &akamai)
	d.run("Akamai", &akamai) // a line may be pasted again
	got := map[string]meter.Decimal{}
	for _, p := range akamai.UsagePeriods {
		for _, s := range p.Stats {
			got[s.StatType] = decimal(d.t, s.Value.String())
		}
	}
	if len(got) != 4 || got["Total MB"].Cmp(gigabytes.Round(6, meter.HalfEven)) != 0 || got["Total Hits"].Cmp(requests) != 0 ||
		got["95/5 Mbps"].Sign() <= 0 || got["Peak Mbps"].Cmp(got["95/5 Mbps"]) < 0 {
		d.t.Errorf("Akamai: %v; want %s GB and %s hits", got, gigabytes, requests)
	}
}

func (d *demo) checkThousandEyes() {
	now := time.Now().UTC()
	from := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	begun := now.Sub(from) > 24*time.Hour // before, a month may have no usage yet
	var eyes struct {
		Usage struct {
			CloudUnitsUsed       json.Number
			CloudUnitsProjected  json.Number
			EnterpriseUnitsUsed  json.Number
			EnterpriseAgentsUsed int
		}
	}
	d.run("ThousandEyes", &eyes)
	for key, got := range map[string]json.Number{"cloud_units": eyes.Usage.CloudUnitsUsed, "enterprise_units": eyes.Usage.EnterpriseUnitsUsed} {
		if want := d.usage(key, from, from.AddDate(0, 1, 0)); got.String() != want.String() || begun && want.Sign() <= 0 {
			d.t.Errorf("ThousandEyes: %s of %s, want %s", got, key, want)
		}
	}
	if p, err := eyes.Usage.CloudUnitsProjected.Int64(); err != nil || p < demoCloudUnits*24*20 || p > demoCloudUnits*24*32 {
		d.t.Errorf("ThousandEyes: %+v: the units projected do not fit %d an hour", eyes.Usage, demoCloudUnits)
	}
}

// checkSuger: the hour that the demo reported, by what the marketplace took of
// what the meter counted.
func (d *demo) checkSuger() {
	d.t.Helper()
	if n := strings.Count(d.text, "settled"); n != 2*len(demoEntitlements) {
		d.t.Errorf("%d dimensions are settled, want %d:\n%s", n, 2*len(demoEntitlements), d.text)
	}
	var suger struct {
		UsageRecordReports []struct {
			Info struct {
				Status          string
				StartTime       time.Time
				ReportedRecords map[string]json.Number
				NewDecimalParts map[string]json.Number
			}
		}
	}
	d.run("Suger", &suger)
	if len(suger.UsageRecordReports) == 0 {
		d.t.Fatal("nothing was reported")
	}
	r := suger.UsageRecordReports[len(suger.UsageRecordReports)-1].Info // the oldest
	bytes := d.usageOf(demoEntitlements[0].customer, "edge_bytes", r.StartTime, r.StartTime.Add(time.Hour))
	told := decimal(d.t, r.ReportedRecords["gb_out"].String()).Add(decimal(d.t, r.NewDecimalParts["gb_out"].String()))
	if want := bytes.Mul(decimal(d.t, "0.000000001")); told.Cmp(want) != 0 || r.Status != "SUCCESS" || r.ReportedRecords["support"] != "2" {
		d.t.Errorf("reported and carried %s, the meter has %s; %+v", told, want, r)
	}
}
