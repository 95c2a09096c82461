package semanticstest

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"odometer/internal/access"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/marketplace"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/store/postgrestest"
	stored "odometer/internal/store/records"
)

// The matrix asks every operation of every surface with every
// kind of key about four objects: the key's own, another customer's, another
// organization's, and one that is nobody's. What is not the key's own answers
// as what is nobody's, status, headers and body, and nothing that only others
// know is in any answer. Of the vendors' reading APIs TestUnseenIsUnknown also compares headers.

// object is everything that a request can name of one owner. Its texts are as
// long as those of the other objects.
type object struct {
	organization, customer, id string // id is the digit in all other names
	key                        string // id of a key
}

var (
	own       = object{organization: "default", customer: "one", id: "1"}
	others    = object{organization: "default", customer: "two", id: "2"}
	elsewhere = object{organization: "another", customer: "els", id: "4"}
)

// nobodys is, for each object, one that is nobody's. Each has its own, so that
// what a stranger creates in its own organization on the way is the same for both.
var nobodys = map[string]object{
	own.id:       {organization: "nowher6", customer: "nix", id: "6", key: strings.Repeat("x", 16)},
	others.id:    {organization: "nowher9", customer: "nil", id: "9", key: strings.Repeat("y", 16)},
	elsewhere.id: {organization: "nowher8", customer: "nul", id: "8", key: strings.Repeat("z", 16)},
}

// secret is in everything that another owner is called or has sent.
const secret = "SECRET"

// fill puts the object's names in the place of braced and dollar words.
func (o object) fill(text, asker string) string {
	return strings.NewReplacer("{organization}", o.organization, "$asker", asker, "{customer}", o.customer, "$customer", o.customer, "$n", o.id,
		"{key}", "m-"+o.id, "{month}", "2026-09", "{entitlement}", "e-"+o.id, "{group}", "g-"+o.id, "{metric}", "b-"+o.id, "$key", o.key).Replace(text)
}

// neutral makes two objects' answers comparable.
func neutral(o object, text string) string {
	text = numbers.ReplaceAllString(text, "sequence")
	for _, one := range []object{o, nobodys[o.id]} {
		pairs := []string{one.organization, "#", "\"" + one.customer + "\"", "#", "\\\"" + one.customer + "\\\"", "#", "/" + one.customer, "/#", " " + one.customer, " #", "\"7" + one.id + "\"", "#"}
		pairs = append(pairs, "=A-"+one.id, "=#", "/closings/"+one.id, "/closings/#", "no closing "+one.id, "no closing #")
		for _, prefix := range []string{"S", "K-", "c", "a", "t", "e-", "p-", "m-", "b-", "g-", "src/", "v-", "u-", "q-", "new-", "r-"} {
			pairs = append(pairs, "\""+prefix+one.id, "\"#", "/"+prefix+one.id, "/#", " "+prefix+one.id, " #")
		}
		if one.key != "" {
			pairs = append(pairs, one.key, "#")
		}
		text = strings.NewReplacer(append(pairs, strings.Repeat(one.id, 3), "#", "7"+one.id, "#", strings.Repeat(one.id, 2), "#")...).Replace(text)
	}
	return text
}

// numbers are places in the log of the asker's own organization, where its own
// requests of this test are.
var numbers = regexp.MustCompile(`sequence(":| )[0-9]+(, event [0-9]+)?`)

// matrixWorld is a server with the owners' things, usage, groups, credits and closed months.
func matrixWorld(t *testing.T, dsn string) *server {
	t.Helper()
	dir := t.TempDir()
	log, err := ledger.Open(context.Background(), ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: october, Fatal: func(text string) { t.Error(text) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	if dsn == "" {
		dsn = filepath.Join(dir, "catalog.db")
	}
	s := newServerOn(t, dsn, log, october)
	t.Cleanup(s.close)
	// It freezes, and sends nowhere.
	s.records.UseReporter(marketplace.New(marketplace.Options{Usage: s.service, Entries: s.service, Records: s.records, Accounts: s.store, Store: stored.New(s.store), Clock: october, Owner: "test"}))
	ctx := context.Background()
	for _, id := range []string{elsewhere.organization, "strange"} {
		_, err := s.store.CreateOrganization(ctx, catalog.NewOrganization{ID: id}, "test")
		s.check(err)
	}
	for organization, owners := range map[string][]object{"default": {own, others}, elsewhere.organization: {elsewhere}} {
		p := s.in(organization)
		for _, o := range owners {
			name := secret + " metric " + o.id
			if o == own {
				name = "Own metric"
			}
			_, err := s.records.CreateBillableMetric(ctx, p, records.NewBillableMetric{ID: o.fill("b-$n", ""), Name: name, Aggregation: "COUNT"})
			s.check(err)
		}
		if _, err := s.apply(organization, matrixCatalog(owners...), metering.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, o := range owners {
			s.furnish(p, o)
		}
		for n := range owners[len(owners)-1].id[0] - '0' { // so that each owner's number is one of a closing
			s.closeMonth(p, fmt.Sprintf("2019-0%d", n+1))
		}
	}
	return s
}

// furnish gives an owner usage of every verdict, a group, a credit and a closed month.
func (s *server) furnish(p access.Principal, o object) {
	s.t.Helper()
	ctx := context.Background()
	event := func(id, kind, data string) string {
		return o.fill(`{"specversion":"1.0","id":"`+id+`","source":"src/$n","type":"`+kind+`","subject":"$customer","time":"2026-10-10T10:00:00Z","data":{"service":"S$n","product":"p-$n","cp_code":7$n,"text":"`+data+`"}}`, "")
	}
	text := secret
	if o == own {
		text = "own"
	}
	units := o.fill(`{"specversion":"1.0","id":"z-$n","source":"src/$n","type":"units","subject":"$customer","time":"2026-10-10T10:00:00Z","data":{"units":$n,"account_group":"$n$n$n","test":"t$n","agent":"a$n"}}`, "")
	for _, body := range []string{units, event("v-$n", "hit", text), event("u-$n", "hit", text), event("w-$n", "hit$n", text), event("v-$n", "hit", text), event("v-$n", "hit", text+" again"), event("x-$n", "hit", text) + ","} {
		if _, err := s.service.Ingest(ctx, p, []byte(body), cloudevents.NDJSON, false); err != nil {
			s.t.Fatal(err)
		}
	}
	_, err := s.records.ReportGroups(ctx, p, []records.NewRecordGroup{{ID: o.fill("g-$n", ""), Entitlement: o.fill("e-$n", ""),
		Records: map[string]meter.Decimal{"gb": meter.NewDecimal(5)}, Time: time.Date(2026, 10, 20, 10, 0, 0, 0, time.UTC)}}, records.Idempotency{})
	s.check(err)
	_, err = s.records.AddCredit(ctx, p, o.fill("e-$n", ""), meter.NewDecimal(7), records.Idempotency{})
	s.check(err)
	_, err = s.service.ClosePeriod(ctx, p, o.customer, "2026-09")
	s.check(err)
}

// submit sends a request of the matrix.
func (s *server) submit(vendor string, c credential, method, target, body string, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	target, query, _ := strings.Cut(target, "?")
	if query != "" {
		target += "?" + strings.ReplaceAll(query, " ", "%20")
	}
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nX-Request-Id: test\r\nContent-Length: %d\r\n\r\n%s", method, target, publicHost, len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, target, err)
	}
	r.RemoteAddr = "192.0.2.2:4711"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	s.authorize(vendor, c, method, target, r.Header)
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	return w
}

// matrixKey is a key that asks.
type matrixKey struct {
	name         string
	organization string
	customer     string // "" = unbound, of an organization that has nothing
	credential   credential
	all          bool // unbound, and sees all customers of its organization
}

func (s *server) matrixKeys() []matrixKey {
	var keys []matrixKey
	for _, role := range []access.Role{access.RoleRead, access.RoleIngest, access.RoleReport} {
		n := access.NewKey{Organization: "default", Role: role, Customer: own.customer}
		keys = append(keys, matrixKey{name: "bound, " + string(role), organization: "default", customer: own.customer, credential: s.key(n)})
		if role == access.RoleIngest {
			n.Sources = []string{"src/1"}
			keys = append(keys, matrixKey{name: "bound, with sources", organization: "default", customer: own.customer, credential: s.key(n)})
		}
	}
	for _, role := range []access.Role{access.RoleAdmin, access.RoleRead, access.RoleIngest, access.RoleReport} {
		keys = append(keys, matrixKey{name: "of a stranger, " + string(role), organization: "strange", credential: s.key(access.NewKey{Organization: "strange", Role: role})})
		if role != access.RoleAdmin {
			n := access.NewKey{Organization: "strange", Role: role, Customer: own.customer}
			keys = append(keys, matrixKey{name: "of a stranger's namesake, " + string(role), organization: "strange", customer: own.customer, credential: s.key(n)})
		}
	}
	return append(keys, s.vendorKeys()...)
}

// TestIsolationMatrix is every operation, key, mode and object, on SQLite.
func TestIsolationMatrix(t *testing.T) {
	t.Parallel()
	isolationMatrix(t, "")
}

// TestIsolationMatrixPostgreSQL is the same, and TestUnseenIsUnknown, on PostgreSQL.
func TestIsolationMatrixPostgreSQL(t *testing.T) {
	t.Parallel()
	server, ok := postgrestest.Start(t)
	if !ok {
		return
	}
	isolationMatrix(t, server.Fresh(t))
	s, _ := isolatedOn(t, server.Fresh(t), october)
	s.everythingUnseen(http.StatusOK)
}

func isolationMatrix(t *testing.T, dsn string) {
	s := matrixWorld(t, dsn)
	mine, theirs, away := own, others, elsewhere
	s.keyOf(&mine, "default")
	s.keyOf(&theirs, "default")
	s.keyOf(&away, away.organization)
	keys := s.matrixKeys()
	rows := matrixRows()
	answered := map[string]bool{}
	for _, reads := range []bool{true, false} { // what is read is as it was made, not as this test changes it
		for _, vendor := range []string{"native", "suger", "fastly", "akamai", "thousandeyes"} {
			for _, route := range s.surfaces[vendor].Routes {
				if route.Public && vendor != "akamai" || reads != (route.Method == http.MethodGet) {
					continue
				}
				name := route.Method + " " + route.Path
				asks, ok := rows[name]
				if !ok {
					t.Errorf("%s serves %s: there is no row for it", vendor, name)
					continue
				}
				for _, k := range keys {
					foreign := []object{theirs, away}
					switch {
					case k.all && !reads:
						continue // what it makes stays, and is its own
					case k.all:
						foreign = []object{away}
						s.askOwn(vendor, route, k, theirs, asks, answered)
					case k.organization == "strange":
						// What a namesake says of its own customer, in its own organization, is its own.
						if k.customer == "" || name != "POST /api/v1/events" {
							foreign = append(foreign, mine)
						}
					default:
						s.askOwn(vendor, route, k, mine, asks, answered)
					}
					for _, o := range foreign {
						for _, a := range asks {
							s.compare(vendor, route, k, o, a)
						}
					}
				}
				delete(rows, name)
			}
		}
	}
	for left := range rows {
		t.Errorf("there is a row for %s, which no surface serves", left)
	}
	for _, must := range append(vendorAnswered, "GET /api/v1/events", "GET /api/v1/events/lookup", "GET /api/v1/meters/{key}/usage", "GET /api/v1/usage", "GET /api/v1/periods/{customer}/{month}",
		"GET /api/v1/customers/{customer}/tests/{id}", "GET /api/v1/entitlements/{id}/credits", "GET /org/{organization}/usageRecordGroup", "GET /org/{organization}/billableMetric/{metric}",
		"POST /api/v1/events", "POST /org/{organization}/entitlement/{entitlement}/usageRecordGroup") {
		if !answered[must] {
			t.Errorf("%s: nobody was answered of what is its own: the matrix tests nothing", must)
		}
	}
}

// askOwn asks about what is the key's own, and looks for what is not.
func (s *server) askOwn(vendor string, route httpserver.Route, k matrixKey, o object, asks []ask, answered map[string]bool) {
	s.t.Helper()
	if route.Method == http.MethodDelete { // it is asked about again
		return
	}
	for _, a := range asks {
		got := s.perform(vendor, route, k, o, a)
		if got.Code < 300 && got.Code != http.StatusNoContent && !k.all {
			answered[route.Method+" "+route.Path] = true
		}
		s.sealed(vendor, route, k, a, got)
	}
}

// sealed fails if an answer holds what only others know.
func (s *server) sealed(vendor string, route httpserver.Route, k matrixKey, a ask, got *httptest.ResponseRecorder) {
	s.t.Helper()
	if k.all { // it is told of the other customers; compare judges the rest
		return
	}
	body := got.Body.String() + headerText(got.Header())
	for _, told := range []string{secret, `"key:`, `"system:`, "Odometer-Sequence"} {
		if strings.Contains(body, told) && (told == secret || k.customer != "") {
			s.t.Errorf("a key %s: %s %s?%s %s: the answer holds %s: %s", k.name, route.Method, route.Path, a.query, a.body, told, body)
		}
	}
	if k.customer != "" && vendor == "native" && strings.Contains(body, `"sequence"`) {
		s.t.Errorf("a key %s: %s %s?%s: the answer tells a place in the log: %s", k.name, route.Method, route.Path, a.query, body)
	}
}

// vendorsFailure is answered 500 for a group that is refused, as the vendor does.
const vendorsFailure = "/org/{organization}/batchValidateUsageRecordGroups"

// compare asks about an object that is somebody's and about one that is nobody's.
func (s *server) compare(vendor string, route httpserver.Route, k matrixKey, o object, a ask) {
	s.t.Helper()
	got, unknown := s.perform(vendor, route, k, o, a), s.perform(vendor, route, k, nobodys[o.id], a)
	s.sealed(vendor, route, k, a, got)
	if got.Code >= 500 && route.Path != vendorsFailure {
		s.t.Errorf("a key %s: %s %s: %d %s", k.name, route.Method, route.Path, got.Code, got.Body)
	}
	if a.tells && k.customer != "" && k.organization == "default" {
		return
	}
	x, y := neutral(o, plainBody(got)), neutral(o, plainBody(unknown))
	if got.Code != unknown.Code || x != y {
		s.t.Errorf("a key %s: %s %s?%s %s about %s: %d %s\nabout nobody's: %d %s", k.name, route.Method, route.Path, a.query, a.body, o.customer, got.Code, x, unknown.Code, y)
	}
}

// plainBody is a body without what is made anew for each answer.
func plainBody(w *httptest.ResponseRecorder) string {
	var v map[string]any
	if json.Unmarshal(w.Body.Bytes(), &v) != nil || w.Code >= 300 {
		return w.Body.String()
	}
	for _, fresh := range []string{"id", "key", "sequence", "serialID", "created_sequence", "version"} {
		delete(v, fresh)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return w.Body.String()
	}
	return string(text)
}

func (s *server) perform(vendor string, route httpserver.Route, k matrixKey, o object, a ask) *httptest.ResponseRecorder {
	s.t.Helper()
	asker := k.customer
	if asker == "" {
		asker = "xyz"
	}
	o.organization = s.organizationFor(vendor, k, o)
	path := cmp.Or(a.path, route.Path)
	if names := vendorPaths[vendor]; names != nil {
		path = names.Replace(path)
	}
	target := o.fill(strings.ReplaceAll(path, "{id}", a.id), asker)
	if a.query != "" {
		target += "?" + o.fill(a.query, asker)
	}
	header := make([]string, len(a.header))
	for i := range a.header {
		header[i] = o.fill(a.header[i], asker)
	}
	return s.submit(vendor, k.credential, route.Method, target, o.fill(a.body, asker), header...)
}

// organizationFor is which organization a path names: of Suger's API the key's
// own, since another is refused before anything is looked at.
func (s *server) organizationFor(vendor string, k matrixKey, o object) string {
	if vendor == "suger" {
		return k.organization
	}
	return o.organization
}
