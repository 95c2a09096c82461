package sender

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// googleKey is the key of a service account that asks for tokens at an address.
func googleKey(t *testing.T, tokens string) []byte {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "meter@example.com", "private_key_id": "k1", "token_uri": tokens,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// answers is a token endpoint that answers in turn, and what it was asked.
type answers struct {
	texts []string // "503 ..." or a body of status 200
	after string   // Retry-After
	asked []map[string][]string
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	r.PostForm.Set("path", r.URL.Path)
	a.asked = append(a.asked, r.PostForm)
	text := a.texts[min(len(a.asked), len(a.texts))-1]
	if a.after != "" {
		w.Header().Set("Retry-After", a.after)
	}
	w.Header().Set("Content-Type", "application/json")
	switch text[:3] {
	case "503":
		w.WriteHeader(http.StatusServiceUnavailable)
	case "400":
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = w.Write([]byte(text[strings.Index(text, "{"):]))
}

func TestGoogleTokens(t *testing.T) {
	t.Parallel()
	a := &answers{texts: []string{`{"access_token":"one","expires_in":200}`, `503 {}`, `{"access_token":"two","expires_in":3600}`, `{"access_token":"three"}`}}
	server := httptest.NewServer(a)
	defer server.Close()
	token, err := GoogleTokens(googleKey(t, server.URL), server.Client())
	if err != nil {
		t.Fatal(err)
	}
	// The first is renewed before its end, and kept when that fails.
	for i, want := range []string{"one", "one", "two", "two"} {
		if got, err := token(context.Background(), false); got != want || err != nil {
			t.Errorf("%d: %q, %v; want %q", i, got, err, want)
		}
	}
	if len(a.asked) != 3 {
		t.Fatalf("asked %d times", len(a.asked))
	}
	if g := a.asked[0]["grant_type"]; len(g) != 1 || g[0] != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		t.Errorf("grant type %q", g)
	}
	parts := strings.Split(a.asked[0]["assertion"][0], ".")
	var got [2]map[string]any
	for i := range got {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, &got[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got[0]["kid"] != "k1" || got[0]["alg"] != "RS256" || got[1]["iss"] != "meter@example.com" || got[1]["aud"] != server.URL ||
		got[1]["scope"] != "https://www.googleapis.com/auth/servicecontrol" {
		t.Errorf("assertion %v", got)
	}
}

// TestATokenWithoutAnEnd is not kept: nobody knows when it is refused.
func TestATokenWithoutAnEnd(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&answers{texts: []string{`{"access_token":"one"}`, `{"access_token":"two","expires_in":0}`, `503 {}`}})
	defer server.Close()
	token, err := GoogleTokens(googleKey(t, server.URL), server.Client())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"one", "two", ""} {
		if got, err := token(context.Background(), false); got != want || (err == nil) != (want != "") {
			t.Errorf("%d: %q, %v; want %q", i, got, err, want)
		}
	}
}

// TestATokenIsAskedForWithinItsContext: who stops waiting stops the asking.
func TestATokenIsAskedForWithinItsContext(t *testing.T) {
	t.Parallel()
	asked, done := make(chan bool), make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- true
		<-done
	}))
	defer server.Close()
	defer close(done)
	token, err := GoogleTokens(googleKey(t, server.URL), server.Client())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-asked
		cancel()
	}()
	if got, err := token(ctx, false); err == nil {
		t.Errorf("%q", got)
	}
}

func TestKeysOfGoogleThatWillNotDo(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"s3cret": "want the key of a service account in JSON",
		`{"type":"authorized_user","x":"s3cret"}`:            "its type is service_account",
		`{"type":"service_account"}`:                         "has no client_email",
		`{"type":"service_account","client_email":"s3cret"}`: "has no private_key",
		`{"type":"service_account","client_email":"s3cret","private_key":"s3cret","universe_domain":"example.com"}`: "another cloud than googleapis.com",
	} {
		if _, err := GoogleTokens([]byte(text), http.DefaultClient); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
	bad, err := GoogleTokens([]byte(`{"type":"service_account","client_email":"m","private_key":"s3cret"}`), http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bad(context.Background(), false); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a key that cannot be read: %v", err)
	}
}

// TestGCPWithoutAToken: nothing is sent, and that is said.
func TestGCPWithoutAToken(t *testing.T) {
	t.Parallel()
	calls, refuse := []string{}, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	gcp, err := NewGCP(server.URL, func(context.Context, bool) (string, error) {
		if refuse = !refuse; refuse {
			return "t1", nil
		}
		return "", errors.New("s3cret")
	}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	got := gcp.Send(context.Background(), []Line{(&rig{cloud: "gcp"}).line("c", "1")})[0]
	if got.Outcome != Unknown || !got.NotStored || got.Setup || got.Reason != "no answer" || len(calls) != 1 || calls[0] != "Bearer t1" {
		t.Errorf("%+v, calls %q", got, calls)
	}
}

func TestEntraTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, after string
		texts       []string
		asked       int
		pauses      []time.Duration // least; at most 13/8 of it
		want        string
	}{
		{"at once", "", []string{`{"access_token":"one","token_type":"Bearer","expires_in":3600}`}, 1, nil, "one"},
		{"the last of its tries", "", []string{"503 {}", "503 {}", "503 {}", `{"access_token":"one","expires_in":3600}`}, 4,
			[]time.Duration{640 * time.Millisecond, 1920 * time.Millisecond, 4480 * time.Millisecond}, "one"},
		{"never", "", []string{"503 {}"}, 4, []time.Duration{640 * time.Millisecond, 1920 * time.Millisecond, 4480 * time.Millisecond}, ""},
		{"as long as it says", "7", []string{"503 {}", `{"access_token":"one","expires_in":3600}`}, 2, []time.Duration{7 * time.Second}, "one"},
		{"longer than anybody waits", "61", []string{"503 {}"}, 1, nil, ""},
		{"refused", "", []string{`400 {"error":"invalid_client","error_description":"s3cret"}`}, 1, nil, ""},
		{"no token", "", []string{`{"s3cret":1}`}, 1, nil, ""},
	} {
		a := &answers{texts: c.texts, after: c.after}
		server := httptest.NewTLSServer(a)
		var pauses []time.Duration
		token, err := entraTokens(EntraApp{server.URL + "/", "t-1.example", "app", "s3cret&"}, server.Client(), func(_ context.Context, d time.Duration) error {
			pauses = append(pauses, d)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := token(context.Background(), false)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if c.want != "" {
			if again, err := token(context.Background(), true); again != got || err != nil {
				t.Errorf("%s, again: %q, %v", c.name, again, err)
			}
		}
		server.Close()
		if len(a.asked) != c.asked || len(pauses) != len(c.pauses) {
			t.Errorf("%s: asked %d times, pauses %s", c.name, len(a.asked), pauses)
			continue
		}
		for i, least := range c.pauses {
			if pauses[i] < least || pauses[i] > least*13/8 {
				t.Errorf("%s: pause %d of %s", c.name, i, pauses[i])
			}
		}
		for key, want := range map[string]string{"path": "/t-1.example/oauth2/v2.0/token", "grant_type": "client_credentials", "client_id": "app", "client_secret": "s3cret&", "scope": azureScope} {
			if v := a.asked[0][key]; len(v) != 1 || v[0] != want {
				t.Errorf("%s: %s is %q", c.name, key, v)
			}
		}
	}
}

// TestNobodyAnswersWithAToken: what cannot be reached is tried again as well,
// until its context ends.
func TestNobodyAnswersWithAToken(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	pauses, ended := 0, errors.New("ended")
	token, err := entraTokens(EntraApp{server.URL, "t", "app", "s3cret"}, server.Client(), func(context.Context, time.Duration) error {
		if pauses++; pauses == 3 {
			return ended
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token(context.Background(), false); !errors.Is(err, ended) {
		t.Errorf("%v after %d pauses", err, pauses)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := token(ctx, false); !errors.Is(err, context.Canceled) || pauses != 3 {
		t.Errorf("%v after %d pauses", err, pauses)
	}
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAppsOfEntraThatWillNotDo(t *testing.T) {
	t.Parallel()
	for _, app := range []EntraApp{
		{"http://login.example.com", "t", "app", "s3cret"}, {"login.example.com", "t", "app", "s3cret"}, {EntraAuthority, "", "app", "s3cret"},
		{EntraAuthority, "a/b", "app", "s3cret"}, {EntraAuthority, "a/s3cret/b", "app", "x"}, {EntraAuthority, "t", "app", ""},
	} {
		if _, err := EntraTokens(app, http.DefaultClient); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", app, err)
		}
	}
}
