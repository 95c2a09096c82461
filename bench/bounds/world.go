package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"odometer/client"
	"odometer/internal/loadgen"
	"odometer/internal/surface/akamai/edgegrid"
)

// big is the organization whose requests are measured; other asks meanwhile.
const (
	big   = "big"
	other = "other"
)

// Sizes of what is stored.
const (
	wideServices  = 40_000 // of the customer "wide": a document of 8 MiB, which is the most of one noun
	wideCodes     = 1_000  // its CP codes, agents and tests, each
	wideTypes     = 1_000  // usage types of the product "wide"
	wideEvents    = 100_000
	estateEvents  = 200_000
	longTexts     = 1_350 // of 32 KiB
	wideKeys      = 900
	organizations = 300
	recordBatches = 3 // of 1,000 groups with 20 records each
)

// world is what the requests are made of.
type world struct {
	server *server
	http   *http.Client
	keys   map[string]string // by who holds them, as the table says
	signer edgegrid.Identity
	nonce  int
	estate loadgen.Estate
	spare  string // the id of a key to revoke
	group  string // the id of a usage record group
}

var name128 = strings.Repeat("n", 128)

// text is n in a text of some bytes.
func text(n, bytes int) string { return fmt.Sprintf("%010d%s", n, strings.Repeat("x", bytes-10)) }

// list writes n items, separated by commas.
func list(n int, item func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(item(i))
	}
	return b.String()
}

// fill makes the organizations, their keys and what they stored.
func fill(ctx context.Context, s *server) (*world, error) {
	w := &world{server: s, keys: map[string]string{"operator": s.Key},
		http: &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}, Timeout: 5 * time.Minute}}
	w.estate = loadgen.NewEstate(1, time.Now())
	w.estate.Customers, w.estate.Services, w.estate.Tests = 4, 20_000, 2_000
	operator, err := connect(s, s.Key, "")
	if err != nil {
		return nil, err
	}
	for i := range organizations {
		id := fmt.Sprintf("organization-%03d", i)
		if i < 2 {
			id = []string{big, other}[i]
		}
		if _, err := operator.CreateOrganization(ctx, client.NewOrganization{ID: id, Name: name128}); err != nil {
			return nil, err
		}
	}
	admin, err := connect(s, s.Key, big)
	if err != nil {
		return nil, err
	}
	if _, err := admin.Apply(ctx, w.document("n"), client.ApplyOptions{}); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	for _, step := range []func(context.Context, *client.Client) error{w.fillOther, w.makeKeys, w.sendEvents, w.sendRecords} {
		if err := step(ctx, admin); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func connect(s *server, key, organization string) (*client.Client, error) {
	return client.New(client.Options{URL: s.URL, Key: key, Organization: organization, HTTPClient: &http.Client{Timeout: 5 * time.Minute}})
}

// document is a catalog as large as a body may be; names end with a letter.
func (w *world) document(letter string) []byte {
	estate := strings.ReplaceAll(string(w.estate.Document()), "    quota: {", "    cycle_day: 15\n    quota: {")
	meters := "meters:\n" +
		"  - {key: texts, event_type: t, aggregation: COUNT, group_by: [customer, a]}\n" +
		"  - {key: unique, event_type: t, aggregation: UNIQUE_COUNT, value: a}\n" +
		"  - {key: p95, event_type: t, aggregation: PERCENTILE, value: n, sample: 5m, group_by: [customer]}\n" +
		"  - {key: gone, event_type: none, aggregation: COUNT}\n" + meters(400)
	products := "products:\n  - {id: gone, name: Gone}\n  - id: wide\n    usage_types: [" + list(wideTypes, func(i int) string {
		return fmt.Sprintf("{name: t%05d%s, meter: estate_requests, where: {region: r%d}, unit: request}", i, name128, i)
	}) + "]\n"
	estate = strings.Replace(estate, "meters:\n", meters, 1)
	estate = strings.Replace(estate, "products:\n", products, 1)
	estate += "  - " + w.wide("wide", letter) + "\n  - {id: gone}\nentitlements:\n  - " + entitlement("gone", 1) + "\n  - " + entitlement("ent", 100) + "\n  - " + entitlement("wide", 10_000) + "\n"
	return []byte(estate)
}

// meters are n that no event meets.
func meters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - {key: m%03d, event_type: none, aggregation: SUM, value: n, description: %s, group_by: [customer, a, b, c]}\n", i, strings.Repeat("d", 1000))
	}
	return b.String()
}

// wide is a customer with as much as one noun may have, as JSON.
func (w *world) wide(id, letter string) string {
	own := fmt.Sprint(len(id)) // ids of two customers differ
	return `{"id":"` + id + `","name":"Wide","account_id":"A-` + id + `","services":[` + list(wideServices, func(i int) string {
		return fmt.Sprintf(`{"id":"%s-%05d","name":"%s%s"}`, id, i, name128, letter)
	}) + `],"contracts":[{"id":"K-` + id + `","starts":"2020-01-01","terms":[` + list(2000, term) + `]},{"id":"KK-` + id + `","starts":"2020-01-01"}],"cp_codes":[` + list(wideCodes, func(i int) string {
		return fmt.Sprintf(`{"id":%s%05d,"name":"c","contract":"K-%s"}`, own, i, id)
	}) + `],"reporting_groups":[{"id":9` + own + `,"name":"all","cp_codes":[` + list(wideCodes, func(i int) string { return fmt.Sprintf("%s%05d", own, i) }) + `]}],"account_groups":[{"aid":"9` + own + `","name":"a"},{"aid":"8` + own + `","name":"b"}],"agents":[` +
		list(wideCodes, func(i int) string {
			return fmt.Sprintf(`{"id":"7%s%05d","name":"a","kind":"enterprise","account_group":"9%s"}`, own, i, own)
		}) + `],"tests":[` + test("6"+own, own, wideCodes) + `]}`
}

func term(i int) string {
	return `{"from":"` + time.Date(2020, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly) + `","products":["cdn","wide"],"regions":"GLOBAL"}`
}

func test(id, own string, agents int) string {
	return `{"id":"` + id + `","name":"t","type":"Web - HTTP Server","account_group":"9` + own + `","interval_s":300,"timeout_s":5,"agents":[` + list(agents, func(i int) string { return fmt.Sprintf(`"7%s%05d"`, own, i) }) + `]}`
}

// entitlement is one of customer-0000 with dimensions, as JSON.
func entitlement(id string, dimensions int) string {
	return `{"id":"` + id + `","customer":"customer-0000","partner":"AWS","product":"cdn","starts":"2026-01-01","buyer":{"id":"buyer-` + id + `"},"aws":{"product_code":"p-` + id + `","customer_identifier":"c-` + id + `"},"dimensions":[` +
		list(dimensions, func(i int) string {
			return fmt.Sprintf(`{"key":"d%05d","name":"D%05d%s","unit_price":"0.25"}`, i, i, name128)
		}) + `]}`
}

// fillOther gives the other organization one meter with a few events and a key.
func (w *world) fillOther(ctx context.Context, _ *client.Client) error {
	admin, err := connect(w.server, w.server.Key, other)
	if err != nil {
		return err
	}
	if _, err := admin.CreateMeter(ctx, client.Meter{Key: "few", EventType: "t", Aggregation: "COUNT"}); err != nil {
		return err
	}
	if _, err := admin.IngestBody(ctx, client.ContentBatch, w.batch(0, 10, func(n int) string { return `"type":"t"` }), false); err != nil {
		return err
	}
	k, err := admin.CreateKey(ctx, client.NewKey{Role: "read"})
	w.keys["other"] = k.Token
	return err
}

func (w *world) makeKeys(ctx context.Context, admin *client.Client) error {
	for name, n := range map[string]client.NewKey{"read": {Role: "read"}, "read, bound": {Role: "read", Customer: w.estate.Customer(0)}, "ingest": {Role: "ingest"},
		"report": {Role: "report"}, "admin": {Role: "admin"}} {
		k, err := admin.CreateKey(ctx, n)
		if err != nil {
			return err
		}
		w.keys[name] = k.Token
	}
	k, err := admin.CreateEdgeGridKey(ctx, client.NewKey{Role: "read"})
	if err != nil {
		return err
	}
	w.signer = edgegrid.Identity{ClientToken: k.ClientToken, AccessToken: k.AccessToken, Secret: k.ClientSecret}
	for range wideKeys {
		k, err := admin.CreateKey(ctx, client.NewKey{Role: "read", Customer: w.estate.Customer(0)})
		if err != nil {
			return err
		}
		w.spare = k.ID
	}
	return nil
}

// batch is an array of events whose ids begin at first, over the last 30 days.
func (w *world) batch(first, n int, members func(n int) string) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		k := first + i
		at := time.Now().UTC().Add(-time.Duration(k%(30*86400)) * time.Second).Format(time.RFC3339)
		fmt.Fprintf(&b, `{"specversion":"1.0","source":"s","id":"e%d","time":"%s","subject":"customer-%04d",%s}`, k, at, k%4, members(k))
	}
	b.WriteByte(']')
	return b.Bytes()
}

// sendEvents sends a month of the estate, long groups, long texts and conflicts.
func (w *world) sendEvents(ctx context.Context, admin *client.Client) error {
	send := func(body []byte) error {
		_, err := admin.IngestBody(ctx, client.ContentBatch, body, false)
		return err
	}
	for first := 0; first < estateEvents; first += 20_000 {
		if err := send(w.estate.AppendBatch(nil, uint64(first), 20_000)); err != nil {
			return err
		}
	}
	for first := 0; first < wideEvents; first += 20_000 {
		if err := send(w.batch(first, 20_000, func(n int) string { return fmt.Sprintf(`"type":"t","data":{"n":%d,"a":"%s"}`, n, text(n, 512)) })); err != nil {
			return err
		}
	}
	for first := 0; first < longTexts; first += 450 {
		if err := send(w.batch(1_000_000+first, 450, func(n int) string { return fmt.Sprintf(`"type":"l","data":{"a":"%s"}`, text(n, 32<<10)) })); err != nil {
			return err
		}
	}
	for n := range 120 { // of one id, each with other data; the first counts
		body := w.batch(2_000_000, 1, func(int) string { return fmt.Sprintf(`"type":"l","data":{"a":"%s"}`, text(n, 32<<10)) })
		if _, err := admin.IngestBody(ctx, client.ContentBatch, body, false); err != nil && n == 0 {
			return err
		}
	}
	return nil
}

// sendRecords sends usage record groups as Suger's clients do.
func (w *world) sendRecords(ctx context.Context, _ *client.Client) error {
	for n := range recordBatches {
		e := entry{route: "POST /", key: "report"}
		q, err := w.request(ctx, e, request{target: "/org/big/batchCreateUsageRecordGroups", body: []byte(records(n, 1000))})
		if err != nil {
			return err
		}
		a, err := w.http.Do(q)
		if err != nil {
			return err
		}
		var answer bytes.Buffer
		_, err = answer.ReadFrom(a.Body)
		a.Body.Close()
		if err == nil && a.StatusCode != http.StatusOK {
			err = fmt.Errorf("records: %s: %.300s", a.Status, &answer)
		}
		if err != nil {
			return err
		}
	}
	w.group = "g0-0000"
	return nil
}

// records is a batch of usage record groups with 20 records each.
func records(batch, groups int) string {
	return "[" + list(groups, func(i int) string {
		return fmt.Sprintf(`{"id":"g%d-%04d","entitlementID":"ent","records":{`, batch, i) + list(20, func(d int) string { return fmt.Sprintf(`"d%05d":1.25`, (i+d*5)%100) }) + `}}`
	}) + "]"
}
