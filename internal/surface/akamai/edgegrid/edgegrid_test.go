package edgegrid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The known answers of the contract, section 7.3.
var (
	known = Identity{ClientToken: "akab-client-token-1", AccessToken: "akab-access-token-1", Secret: "c2VjcmV0LXNlY3JldA=="}
	at    = time.Date(2020, 7, 15, 12, 34, 56, 0, time.UTC)
	get   = Request{Method: "GET", Scheme: "https", Host: "example.luna.akamaiapis.net",
		Target: "/billing/v1/contracts/K-0N7RAK7/products/1-ABC012/usage/monthly-summary?end=2020-09&start=2020-07"}
	post = Request{Method: "POST", Scheme: "https", Host: "example.luna.akamaiapis.net", Target: "/x", Body: []byte(`{"a":1}`)}
)

const (
	knownNonce  = "11111111-2222-3333-4444-555555555555"
	knownPrefix = "EG1-HMAC-SHA256 client_token=akab-client-token-1;access_token=akab-access-token-1;" +
		"timestamp=20200715T12:34:56+0000;nonce=11111111-2222-3333-4444-555555555555;"
	getSignature  = "7ucDiILpp/Cw55hzaeiD9TCRhQMIwyvFpwHPFofL6Ek="
	postSignature = "9h59f/bY7wNNBiXarc3pxmidQQbi57bQflOXEXaLhjQ="
)

func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	if got, want := keyedHash(known.Secret, "20200715T12:34:56+0000"), "L3e0M3ygOklR1q3RnUxQo1wleJjFNe+VCQGAvW1rrOI="; got != want {
		t.Errorf("signing key %s, want %s", got, want)
	}
	for _, c := range []struct {
		r    Request
		want string
	}{{get, getSignature}, {post, postSignature}} {
		if got, want := Sign(known, c.r, at, knownNonce), knownPrefix+"signature="+c.want; got != want {
			t.Errorf("%s: %s, want %s", c.r.Method, got, want)
		}
	}
}

// world is a verifier of one credential whose clock a test moves.
type world struct {
	*Verifier[string]
	now    time.Time
	access string // of the known client
	asked  []string
	fails  error
}

func newWorld(limits Limits) *world {
	w := &world{now: at, access: known.AccessToken}
	lookup := func(_ context.Context, token string) (Credential[string], bool, error) {
		w.asked = append(w.asked, token)
		if token != known.ClientToken {
			return Credential[string]{}, false, w.fails
		}
		return Credential[string]{AccessToken: w.access, Secret: known.Secret, Owner: "shop"}, true, w.fails
	}
	w.Verifier = NewVerifier(lookup, func() time.Time { return w.now }, limits, nil)
	return w
}

func (w *world) verify(r Request, header ...string) (string, error) {
	return w.Verify(context.Background(), header, r)
}

func TestVerifyKnownAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r         Request
		signature string
	}{{get, getSignature}, {post, postSignature}} {
		owner, err := newWorld(Limits{}).verify(c.r, knownPrefix+"signature="+c.signature)
		if owner != "shop" || err != nil {
			t.Errorf("%s: %q %v", c.r.Method, owner, err)
		}
	}
}

// TestEveryPartIsSigned changes one part of what was sent at a time.
func TestEveryPartIsSigned(t *testing.T) {
	t.Parallel()
	change := func(r Request, f func(*Request)) Request { f(&r); return r }
	long := change(post, func(r *Request) { r.Body = bytes.Repeat([]byte("x"), hashedBody+1) })
	for name, c := range map[string]struct {
		signed, sent Request
		want         error
	}{
		"nothing":           {get, get, nil},
		"method":            {get, change(get, func(r *Request) { r.Method = "HEAD" }), wrongSignature},
		"letters of method": {get, change(get, func(r *Request) { r.Method = "get" }), nil},
		"scheme":            {get, change(get, func(r *Request) { r.Scheme = "http" }), wrongSignature},
		"host":              {get, change(get, func(r *Request) { r.Host = "example.com" }), wrongSignature},
		"letters of host":   {get, change(get, func(r *Request) { r.Host = strings.ToUpper(r.Host) }), nil},
		"default port":      {get, change(get, func(r *Request) { r.Host += ":443" }), nil},
		"another port":      {get, change(get, func(r *Request) { r.Host += ":80" }), wrongSignature},
		"order of the query": {get, change(get, func(r *Request) {
			r.Target = strings.Replace(r.Target, "end=2020-09&start=2020-07", "start=2020-07&end=2020-09", 1)
		}), wrongSignature},
		"escape in the target": {get, change(get, func(r *Request) { r.Target = strings.Replace(r.Target, "-", "%2D", 1) }), wrongSignature},
		"empty query":          {change(get, func(r *Request) { r.Target = "/x" }), change(get, func(r *Request) { r.Target = "/x?" }), nil},
		"body":                 {post, change(post, func(r *Request) { r.Body = []byte(`{"a":2}`) }), wrongSignature},
		"no body":              {post, change(post, func(r *Request) { r.Body = nil }), wrongSignature},
		"body of a GET":        {get, change(get, func(r *Request) { r.Body = []byte("x") }), nil},
		"body of a PUT":        {change(post, func(r *Request) { r.Method = "PUT" }), change(post, func(r *Request) { r.Method, r.Body = "PUT", nil }), nil},
		"what is hashed":       {long, change(long, func(r *Request) { r.Body = r.Body[:hashedBody] }), nil},
		"one byte less":        {long, change(long, func(r *Request) { r.Body = r.Body[:hashedBody-1] }), wrongSignature},
	} {
		if _, err := newWorld(Limits{}).verify(c.sent, Sign(known, c.signed, at, "n")); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	good := knownPrefix + "signature=" + getSignature
	replace := func(old, text string) string { return strings.Replace(good, old, text, 1) }
	// A header whose fields come in another order, signed as it is.
	other := "EG1-HMAC-SHA256 nonce=n;timestamp=20200715T12:34:56+0000;access_token=akab-access-token-1;client_token=akab-client-token-1;"
	other += "signature=" + signature(known.Secret, "20200715T12:34:56+0000", other, get)
	for name, c := range map[string]struct {
		headers []string
		want    error
	}{
		"as it is":                {[]string{good}, nil},
		"another order":           {[]string{other}, nil},
		"none":                    {nil, BadHeader},
		"two":                     {[]string{good, good}, BadHeader},
		"empty":                   {[]string{""}, BadHeader},
		"a bearer token":          {[]string{"Bearer x"}, BadHeader},
		"another algorithm":       {[]string{replace("SHA256", "SHA1")}, BadHeader},
		"letters of algorithm":    {[]string{replace("EG1", "eg1")}, BadHeader},
		"two spaces":              {[]string{replace(" ", "  ")}, BadHeader},
		"a space after ;":         {[]string{replace(";nonce", "; nonce")}, BadHeader},
		"no client":               {[]string{replace("client_token=akab-client-token-1;", "")}, BadHeader},
		"no access token":         {[]string{replace("access_token=akab-access-token-1;", "")}, BadHeader},
		"no timestamp":            {[]string{replace("timestamp=20200715T12:34:56+0000;", "")}, BadHeader},
		"no nonce":                {[]string{replace("nonce="+knownNonce+";", "")}, BadHeader},
		"no signature":            {[]string{knownPrefix}, BadHeader},
		"empty client":            {[]string{replace("akab-client-token-1", "")}, BadHeader},
		"empty nonce":             {[]string{replace(knownNonce, "")}, BadHeader},
		"empty signature":         {[]string{knownPrefix + "signature="}, BadHeader},
		"two clients":             {[]string{replace("access_token=", "client_token=x;access_token=")}, BadHeader},
		"two signatures":          {[]string{good + ";signature=" + getSignature}, BadHeader},
		"signature not last":      {[]string{replace("nonce="+knownNonce+";signature="+getSignature, "signature="+getSignature+";nonce=n")}, BadHeader},
		"a field more":            {[]string{replace("nonce=", "other=x;nonce=")}, BadHeader},
		"a field without a value": {[]string{replace("nonce=", "nonce;x=")}, BadHeader},
		"; at the end":            {[]string{good + ";"}, BadHeader},
		"another signature":       {[]string{replace(getSignature, postSignature)}, wrongSignature},
		"a cut signature":         {[]string{good[:len(good)-1]}, wrongSignature},
		"a longer signature":      {[]string{good + "="}, wrongSignature},
		"another access token":    {[]string{Sign(Identity{known.ClientToken, "akab-other", known.Secret}, get, at, "n")}, wrongSignature},
		"another secret":          {[]string{Sign(Identity{known.ClientToken, known.AccessToken, "x"}, get, at, "n")}, wrongSignature},
		"another client":          {[]string{Sign(Identity{"akab-other", known.AccessToken, known.Secret}, get, at, "n")}, inactiveClient},
		"signed by the decoy":     {[]string{Sign(Identity{"akab-other", known.AccessToken, decoy}, get, at, "n")}, inactiveClient},
		"a nonce with =":          {[]string{Sign(known, get, at, "a=b==")}, nil},
	} {
		owner, err := newWorld(Limits{}).verify(get, c.headers...)
		if err != c.want || (owner == "shop") != (err == nil) {
			t.Errorf("%s: %q %v, want %v", name, owner, err, c.want)
		}
	}
}

func TestHeaderLength(t *testing.T) {
	t.Parallel()
	limit := defaultLimits().HeaderBytes
	room := limit - len(Sign(known, get, at, ""))
	for extra, want := range map[int]error{0: nil, 1: BadHeader} {
		if _, err := newWorld(Limits{}).verify(get, Sign(known, get, at, strings.Repeat("n", room+extra))); err != want {
			t.Errorf("%d bytes: %v, want %v", limit+extra, err, want)
		}
	}
}

func TestTimestamps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at   string
		want error
	}{
		"now":              {"20200715T12:34:56+0000", nil},
		"30 s before":      {"20200715T12:34:26+0000", nil},
		"31 s before":      {"20200715T12:34:25+0000", BadTimestamp},
		"30 s after":       {"20200715T12:35:26+0000", nil},
		"31 s after":       {"20200715T12:35:27+0000", BadTimestamp},
		"a day before":     {"20200714T12:34:56+0000", BadTimestamp},
		"a fraction":       {"20200715T12:34:56.1+0000", BadTimestamp},
		"Z":                {"20200715T12:34:56Z", BadTimestamp},
		"another zone":     {"20200715T13:34:56+0100", BadTimestamp},
		"separators":       {"2020-07-15T12:34:56+0000", BadTimestamp},
		"no separators":    {"20200715T123456+0000", BadTimestamp},
		"month 13":         {"20201315T12:34:56+0000", BadTimestamp},
		"second 60":        {"20200715T12:34:60+0000", BadTimestamp},
		"words":            {"now", BadTimestamp},
		"digits elsewhere": {"２0200715T12:34:56+0", BadTimestamp},
	} {
		prefix := strings.Replace(knownPrefix, "20200715T12:34:56+0000", c.at, 1)
		w := newWorld(Limits{})
		if _, err := w.verify(get, prefix+"signature="+signature(known.Secret, c.at, prefix, get)); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want != nil && len(w.asked) != 0 {
			t.Errorf("%s: the credential was looked up", name)
		}
	}
	w := newWorld(Limits{})
	w.now = at.Add(30*time.Second + 1)
	if _, err := w.verify(get, Sign(known, get, at, "n")); err != BadTimestamp {
		t.Errorf("30 s and 1 ns: %v", err)
	}
}

func TestLookupFails(t *testing.T) {
	t.Parallel()
	w := newWorld(Limits{})
	w.fails = errors.New("the store is gone")
	if owner, err := w.verify(get, Sign(known, get, at, "n")); owner != "" || err != w.fails {
		t.Errorf("%q %v", owner, err)
	}
}

// TestUnknownClientsCostTheSame counts allocations, which stand for the work
// done: as many for a client that nobody has as for a wrong signature.
func TestUnknownClientsCostTheSame(t *testing.T) {
	cost := func(id Identity, want error) float64 {
		w := newWorld(Limits{})
		header := []string{Sign(id, get, at, "n")}
		w.asked = make([]string, 0, 1000)
		return testing.AllocsPerRun(100, func() {
			if _, err := w.Verify(context.Background(), header, get); err != want {
				t.Fatal(err)
			}
		})
	}
	wrong := cost(Identity{known.ClientToken, known.AccessToken, "x"}, wrongSignature)
	unknown := cost(Identity{"akab-client-token-2", known.AccessToken, "x"}, inactiveClient)
	if wrong != unknown || wrong < 5 {
		t.Errorf("%v allocations for a wrong signature, %v for an unknown client", wrong, unknown)
	}
}

func TestRefusalsHaveWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for r := BadHeader; r <= TooManyNonces; r++ {
		if text := r.Error(); text == "" || seen[text] {
			t.Errorf("refusal %d says %q", r, text)
		} else {
			seen[text] = true
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(knownPrefix+"signature="+getSignature, get.Target)
	f.Add(Sign(known, get, at, "a=b"), get.Target)
	f.Add("EG1-HMAC-SHA256 ;;=;signature=;signature==", "/")
	f.Fuzz(func(t *testing.T, value, target string) {
		r := get
		r.Target = target
		h, ok := parse(value)
		if ok && h.prefix+"signature="+h.signature != value {
			t.Fatalf("%q was signed as %q", value, h.prefix)
		}
		_, err := newWorld(Limits{}).verify(r, value)
		genuine := ok && h.client == known.ClientToken && h.access == known.AccessToken && h.timestamp == "20200715T12:34:56+0000" &&
			h.signature == signature(known.Secret, h.timestamp, h.prefix, r) && len(value) <= defaultLimits().HeaderBytes
		if genuine && err != nil {
			t.Fatalf("refused: %v", err)
		}
		if tt, in := parseTimestamp(h.timestamp); err == nil && !(genuine || in && tt.Sub(at).Abs() <= 30*time.Second) {
			t.Fatal("let in")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(Limits{})
	w.asked = make([]string, 0, 1)
	b.ReportAllocs()
	for i := range b.N {
		b.StopTimer()
		w.asked = w.asked[:0]
		w.now = at.Add(time.Duration(i) * time.Millisecond)
		header := []string{Sign(known, get, w.now, fmt.Sprint(i))}
		b.StartTimer()
		if _, err := w.Verify(context.Background(), header, get); err != nil {
			b.Fatal(err)
		}
	}
}

// TestFormsOfOneRequest signs a request in one form and sends it in another
// that means the same, or does not.
func TestFormsOfOneRequest(t *testing.T) {
	t.Parallel()
	const host, path = "akab-x.example.net", "/billing/v1/contracts/C/products"
	for name, c := range map[string]struct {
		scheme                   string
		signedHost, signedTarget string
		sentHost, sentTarget     string
		public                   string
		want                     error
	}{
		"absolute form":                    {"https", host, path, host, "https://" + host + path, "", nil},
		"absolute form, query":             {"https", host, path + "?a=b", host, "https://" + host + path + "?a=b", "", nil},
		"absolute form, another scheme":    {"https", host, path, host, "http://" + host + path, "", nil}, // as through a proxy
		"absolute form, nothing but host":  {"https", host, "/", host, "https://" + host, "", nil},
		"absolute form, query only":        {"https", host, "/?a=b", host, "https://" + host + "?a=b", "", nil},
		"absolute form, another path":      {"https", host, path, host, "https://" + host + "/billing", "", wrongSignature},
		"absolute form, another query":     {"https", host, path + "?a=b", host, "https://" + host + path + "?a=c", "", wrongSignature},
		"? signed, not sent":               {"https", host, path + "?", host, path, "", nil},
		"? sent, not signed":               {"https", host, path, host, path + "?", "", nil},
		"a query is none":                  {"https", host, path + "?", host, path + "?a", "", wrongSignature},
		"two ?":                            {"https", host, path, host, path + "??", "", wrongSignature},
		"default port signed":              {"https", host + ":443", path, host, path, "", nil},
		"default port sent":                {"https", host, path, host + ":443", path, "", nil},
		"default port of http":             {"http", host + ":80", path, host, path, "", nil},
		"the other scheme's port":          {"https", host + ":80", path, host, path, "", wrongSignature},
		"a port left out":                  {"https", host, path, host + ":8443", path, "", wrongSignature},
		"small letters signed":             {"https", host, path, "AKAB-X.example.NET", path, "", nil},
		"great letters signed":             {"https", "AKAB-X.EXAMPLE.NET", path, host, path, "", nil},
		"the public spelling signed":       {"https", "Akab-X.Example.net", path, host, path, "Akab-X.Example.net", nil},
		"the public spelling and its port": {"https", "Akab-X.Example.net:443", path, host, path, "Akab-X.Example.net", nil},
		"another spelling":                 {"https", "aKab-x.example.net", path, host, path, "Akab-X.Example.net", wrongSignature},
		"the public host, sent to another": {"https", "public.example", path, host, path, "public.example", wrongSignature},
		"an IPv6 address":                  {"http", "[::1]:80", path, "[::1]", path, "", nil},
		"all at once":                      {"https", "AKAB-X.EXAMPLE.NET:443", path + "?", host, "https://" + host + path, "", nil},
		"letters of the path":              {"https", host, path, host, "/Billing/v1/contracts/C/products", "", wrongSignature},
	} {
		signed := Request{Method: "GET", Scheme: c.scheme, Host: c.signedHost, Target: c.signedTarget}
		sent := Request{Method: "GET", Scheme: c.scheme, Host: c.sentHost, Target: c.sentTarget, PublicHost: c.public}
		w := newWorld(Limits{})
		header := Sign(known, signed, at, "n")
		if _, err := w.verify(sent, header); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, err := w.verify(sent, header); c.want == nil && err != nonceUsed {
			t.Errorf("%s, again: %v", name, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestJournalIsBounded uses many more nonces than count at once.
func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nonces")
	journal, err := OpenJournal(path, at)
	if err != nil {
		t.Fatal(err)
	}
	n := newNonces(time.Minute, 1000, 1000, journal)
	for i := range 100_000 {
		if err := n.use("a", fmt.Sprint(i), at.Add(time.Duration(i)*time.Minute/100)); err != nil {
			t.Fatal(i, err)
		}
	}
	info := must(os.Stat(path))
	if most := int64(journalSlack + 3*102*recordBytes); info.Size() > most || info.Size() != journal.size || info.Mode().Perm() != 0o600 {
		t.Errorf("%d bytes, %v; want at most %d", info.Size(), info.Mode(), most)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	if again := must(OpenJournal(path, at.Add(100_000*time.Minute/100))); len(again.left) != 100 {
		t.Errorf("%d nonces are left, want 100", len(again.left))
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte("0123456789abcdef\x7fxxxxxxx0123"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "nonces")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		journal, err := OpenJournal(path, at)
		if err != nil || len(journal.left) > len(text)/recordBytes {
			t.Fatalf("%+v, %v", journal, err)
		}
		_ = journal.Close()
	})
}

func FuzzForms(f *testing.F) {
	f.Add("https", "h:443", "https://h/x?", "H")
	f.Add("http", "[::1]:80", "*", "")
	f.Fuzz(func(t *testing.T, scheme, host, target, public string) {
		list := forms(Request{Method: "GET", Scheme: scheme, Host: host, Target: target, PublicHost: public})
		if len(list) == 0 || len(list) > 20 || list[0].Host != host {
			t.Errorf("%d forms: %+v", len(list), list)
		}
	})
}
