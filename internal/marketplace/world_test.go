package marketplace

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/uuid"

	"odometer/internal/access"
	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/ledger"
	"odometer/internal/marketplace/sender"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	stored "odometer/internal/store/records"
)

const org = "default"

// ten is the hour in which the tests begin.
var ten = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// shop is a seller with its stores, and the reporters that work on them.
type shop struct {
	t        testing.TB
	clock    *fixedtest.Clock
	dir, dsn string
	catalog  *store.Store
	keys     *keys.Store
	records  *stored.Store
	ledger   *ledger.Ledger
	service  *metering.Service
	room     *records.Service
	groups   int
}

// openShop opens the stores in dir, and the catalog that dsn names.
func openShop(t testing.TB, dir, dsn string, c *fixedtest.Clock) *shop {
	t.Helper()
	ctx := context.Background()
	s := &shop{t: t, clock: c, dir: dir, dsn: dsn}
	s.must(os.MkdirAll(dir, 0o700))
	var err error
	s.catalog, err = store.Open(ctx, dsn, store.Options{Clock: c.Now})
	s.must(err)
	s.records = stored.New(s.catalog)
	s.keys, err = keys.Open(ctx, s.catalog, filepath.Join(dir, "secret.key"))
	s.must(err)
	_, err = s.keys.EnsureDefault(ctx, "test")
	s.must(err)
	s.ledger, err = ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: c.Now, Fatal: func(m string) { t.Error(m) }})
	s.must(err)
	s.service, err = metering.New(ctx, metering.Options{Ledger: s.ledger, Catalog: s.catalog, Keys: s.keys, Clock: c.Now})
	s.must(err)
	s.room = records.New(records.Options{Ledger: s.ledger, Store: s.records, Catalog: s.catalog, Meters: s.service, Reads: s.service.Reads(), Clock: c.Now})
	s.service.UseMeterOwner(s.room)
	return s
}

func (s *shop) close() {
	s.must(s.ledger.Close())
	s.must(s.catalog.Close())
}

func newShop(t testing.TB) *shop {
	t.Helper()
	c := fixedtest.NewClock(ten)
	dir := t.TempDir()
	s := openShop(t, dir, filepath.Join(dir, "catalog.db"), c)
	t.Cleanup(s.close)
	return s
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// apply makes the catalog what the YAML says.
func (s *shop) apply(yaml string) {
	s.t.Helper()
	doc, err := catalog.ParseDocument([]byte(yaml))
	s.must(err)
	_, err = s.catalog.Apply(context.Background(), org, doc, catalog.ApplyOptions{Actor: "test"})
	s.must(err)
}

// cloudAccount is the account of a cloud's first entitlement.
func cloudAccount(cloud string) string { return cloud + "-1" }

// azureResource and gcpConsumer are an account of the tests as these clouds name accounts.
func azureResource(account string) string {
	return uuid.NewSHA1(uuid.NameSpaceDNS, []byte(account)).String()
}
func gcpConsumer(account string) string { return "project:" + account }

// listing is the part of an entitlement that names it in a marketplace.
func listing(cloud, account string) string {
	switch cloud {
	case simulator.AWS:
		return fmt.Sprintf("partner: AWS, aws: {product_code: prod1, customer_identifier: %s}", account)
	case simulator.Azure:
		return fmt.Sprintf("partner: AZURE, azure: {resource_id: %s, plan_id: gold}", azureResource(account))
	}
	return fmt.Sprintf("partner: GCP, gcp: {service: cdn.example.com, usage_reporting_id: %s, metrics: {gb: {name: gb, type: INT64}, seat: {name: seat, type: DOUBLE}}}", gcpConsumer(account))
}

const product = `
products: [{id: cdn, name: CDN}]
customers:
  - {id: acme, name: Acme}
entitlements:
`

// oneEach is an entitlement in each marketplace: e-aws, e-azure, e-gcp, with
// accounts aws-1, azure-1, gcp-1.
func oneEach(more string) string {
	var b strings.Builder
	b.WriteString(product)
	for _, cloud := range clouds {
		b.WriteString(entitlement("e-"+cloud, cloud, cloud+"-1", more))
	}
	return b.String()
}

var clouds = []string{simulator.AWS, simulator.Azure, simulator.GCP}

func entitlement(id, cloud, account, more string) string {
	return fmt.Sprintf("  - {id: %s, customer: acme, product: cdn, starts: 2026-01-01, dimensions: [{key: gb, name: GB, unit_price: \"0.05\", list_price: \"0.08\"%s}, {key: seat, name: Seats, unit_price: \"1\"}], %s}\n",
		id, more, listing(cloud, account))
}

// post accepts a usage record group of an entitlement: gb=1.5 seat=2.
func (s *shop) post(entitlement, records string, at time.Time) string {
	s.t.Helper()
	view, err := s.catalog.View(context.Background(), org)
	s.must(err)
	e, ok := view.Entitlement(entitlement)
	if !ok {
		s.t.Fatalf("no entitlement %s", entitlement)
	}
	s.groups++
	g := billing.RecordGroup{ID: "g" + strconv.Itoa(s.groups), Entitlement: e.ID, Customer: e.Customer, Buyer: e.BuyerID(), Partner: e.Partner, Product: e.Product,
		Status: billing.GroupCreated, Usage: at, Source: "API", Records: map[string]meter.Decimal{}}
	for word := range strings.FieldsSeq(records) {
		name, text, _ := strings.Cut(word, "=")
		q, err := meter.ParseDecimal(text)
		s.must(err)
		g.Records[name] = q
	}
	g.Origin = g.Records
	_, _, err = s.records.CreateRecordGroups(context.Background(), org, []billing.RecordGroup{g}, billing.Idempotency{})
	s.must(err)
	return g.ID
}

func (s *shop) status(group string) string {
	s.t.Helper()
	g, err := s.records.RecordGroup(context.Background(), org, group)
	s.must(err)
	return g.Status
}

func (s *shop) wantStatus(group, want string) {
	s.t.Helper()
	if got := s.status(group); got != want {
		s.t.Errorf("group %s is %s, want %s", group, got, want)
	}
}

// createMeter defines a meter.
func (s *shop) createMeter(definition string) {
	s.t.Helper()
	m, err := meter.DecodeMeter([]byte(definition))
	s.must(err)
	_, _, err = s.service.CreateMeter(context.Background(), access.Job(org, "test"), m)
	s.must(err)
}

// traffic counts an event of acme with so many bytes.
func (s *shop) traffic(id string, at time.Time, bytes string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"edge","type":"traffic","subject":"acme","time":%q,"data":{"bytes":%s}}`, id, at.Format(time.RFC3339), bytes)
	got, err := s.service.Ingest(context.Background(), access.Job(org, "test"), []byte(body), cloudevents.Auto, false)
	s.must(err)
	if got.Accepted != 1 {
		s.t.Fatalf("%+v", got)
	}
}

// markets are the three marketplaces and a way to them.
type markets struct {
	*simulator.Simulator
	url string
}

// Total is what was accepted of an account of the tests, whichever cloud it is in.
func (m *markets) Total(account, dimension string) meter.Decimal {
	return m.Simulator.Total(account, dimension).Add(m.Simulator.Total(azureResource(account), dimension)).Add(m.Simulator.Total(gcpConsumer(account), dimension))
}

// Suspend suspends an account of the tests, whichever cloud it is in.
func (m *markets) Suspend(account string, on bool) {
	for _, name := range []string{account, azureResource(account), gcpConsumer(account)} {
		m.Simulator.Suspend(name, on)
	}
}

func newMarkets(t testing.TB, c *fixedtest.Clock, seed uint64) *markets {
	t.Helper()
	sim := simulator.New(simulator.Options{Clock: c.Now, Seed: seed})
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return &markets{sim, server.URL}
}

func sendersTo(t testing.TB, url string) map[string]sender.Sender {
	t.Helper()
	gcp, err := sender.NewGCP(url, nil, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]sender.Sender{
		catalog.PartnerAWS:   sender.NewAWS(sender.AWSOptions{Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), Endpoint: url}),
		catalog.PartnerAzure: sender.NewAzure(url, func(context.Context, bool) (string, error) { return "token", nil }, http.DefaultClient),
		catalog.PartnerGCP:   gcp,
	}
}

// reporter returns a reporter of the shop to the marketplaces.
func (s *shop) reporter(m *markets, owner string) *Reporter {
	return New(Options{Usage: s.service, Entries: s.service, Records: s.room, Accounts: s.catalog, Store: s.records, Senders: sendersTo(s.t, m.url), Clock: s.clock.Now, Owner: owner})
}

// run makes one pass.
func (s *shop) run(r *Reporter) {
	s.t.Helper()
	s.must(r.RunOnce(context.Background(), s.clock.Now()))
}

// balance checks that the account of every dimension holds, and that what it
// says was accepted is what the marketplaces accepted.
func (s *shop) balance(m *markets) map[billing.DimensionKey]billing.Balance {
	s.t.Helper()
	all, err := s.records.Balances(context.Background(), org, "")
	s.must(err)
	for k, b := range all {
		if !b.Holds() {
			s.t.Errorf("%s of %s does not add up: %+v", k.Dimension, k.Entitlement, b)
		}
	}
	s.must(s.records.CheckBalances(context.Background(), org, func(problem string) { s.t.Error(problem) }))
	if v := m.Violations(); len(v) > 0 {
		s.t.Errorf("the marketplaces complain: %q", v)
	}
	return all
}

// agree checks that both sides hold the same, to the last digit.
func (s *shop) agree(m *markets) {
	s.t.Helper()
	ours := meter.Decimal{}
	for _, b := range s.balance(m) {
		ours = ours.Add(b.Sent)
	}
	theirs := meter.Decimal{}
	for _, e := range m.Ledger() {
		theirs = theirs.Add(e.Quantity)
	}
	if ours.Cmp(theirs) != 0 {
		s.t.Errorf("%s is booked as accepted, the marketplaces accepted %s", ours, theirs)
	}
}

// mapUsers bills the metric users as two dimensions of AWS.
func (s *shop) mapUsers() {
	s.t.Helper()
	_, err := s.records.PutMeteringConfigs(context.Background(), org, []billing.MeteringConfig{{Partner: catalog.PartnerAWS, EnableMapping: true,
		MappingV2: map[string][]billing.MappingValue{"users": {{Dimension: "seat"}, {Dimension: "gb", Multiplier: "2"}}}}}, "test")
	s.must(err)
}
