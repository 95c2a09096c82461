package sender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"
)

// TokenSource returns a bearer token; fresh asks for one that was not handed
// out before, because the service refused the last.
type TokenSource func(ctx context.Context, fresh bool) (string, error)

// EntraAuthority is the public address of Microsoft Entra.
const EntraAuthority = "https://login.microsoftonline.com/"

const (
	googleScope    = "https://www.googleapis.com/auth/servicecontrol"
	googleTokens   = "https://oauth2.googleapis.com/token"
	googleUniverse = "googleapis.com"

	// How long before its end a token is renewed.
	googleEarly = 225 * time.Second
	entraEarly  = 5 * time.Minute
)

// tokens keeps the last token and renews it before it ends. A service that
// refuses a token gets the same again: it is the account that is refused.
type tokens struct {
	early time.Duration
	fetch func(ctx context.Context) (*oauth2.Token, error)

	mu   sync.Mutex // held while a token is asked for: the others wait for it
	last oauth2.Token
}

// fetching is an oauth2.TokenSource, which is given no context: a call of its own asks.
type fetching func() (*oauth2.Token, error)

func (f fetching) Token() (*oauth2.Token, error) { return f() }

func (t *tokens) token(ctx context.Context, _ bool) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	early := t.last // a copy: what is renewed early is marked as over early
	fetch := fetching(func() (*oauth2.Token, error) { return t.fetch(ctx) })
	token, err := oauth2.ReuseTokenSourceWithExpiry(&early, fetch, t.early).Token()
	switch {
	case err == nil && token.AccessToken == "":
		return "", errors.New("no token: the answer has none")
	case err == nil && token.Expiry.IsZero(): // nobody knows until when it is good
		t.last = oauth2.Token{}
		return token.AccessToken, nil
	case err == nil:
		t.last = oauth2.Token{AccessToken: token.AccessToken, Expiry: token.Expiry}
	case !t.last.Valid():
		return "", plain(err)
	}
	return t.last.AccessToken, nil // one that could not be renewed is good until its end
}

// plain leaves out what a refusal says, which is not for a log: it may repeat
// what was sent.
func plain(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return fmt.Errorf("no token: HTTP %d", refused.Response.StatusCode)
	}
	return err
}

// GoogleTokens asks Google for tokens of the service account whose key, in
// JSON, this is. It never repeats any of the key.
func GoogleTokens(key []byte, client *http.Client) (TokenSource, error) {
	var account struct {
		Type         string `json:"type"`
		ClientEmail  string `json:"client_email"`
		PrivateKeyID string `json:"private_key_id"`
		PrivateKey   string `json:"private_key"`
		TokenURI     string `json:"token_uri"`
		Universe     string `json:"universe_domain"`
	}
	if err := json.Unmarshal(key, &account); err != nil {
		return nil, errors.New("want the key of a service account in JSON")
	}
	switch {
	case account.Type != "service_account":
		return nil, errors.New("want the key of a service account: its type is service_account")
	case account.ClientEmail == "":
		return nil, errors.New("the key of the service account has no client_email")
	case account.PrivateKey == "":
		return nil, errors.New("the key of the service account has no private_key")
	case account.Universe != "" && account.Universe != googleUniverse:
		return nil, errors.New("the key of the service account is of another cloud than " + googleUniverse)
	}
	if account.TokenURI == "" {
		account.TokenURI = googleTokens
	}
	config := &jwt.Config{Email: account.ClientEmail, PrivateKey: []byte(account.PrivateKey), PrivateKeyID: account.PrivateKeyID,
		Scopes: []string{googleScope}, TokenURL: account.TokenURI}
	t := &tokens{early: googleEarly, fetch: func(ctx context.Context) (*oauth2.Token, error) {
		bound := direct(client)
		bound.Transport = within(ctx, client.Transport)
		return config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, bound)).Token()
	}}
	return t.token, nil
}

// within ends requests with a context that their maker does not give them.
func within(ctx context.Context, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return roundTrip(func(request *http.Request) (*http.Response, error) {
		both, cancel := context.WithCancel(request.Context())
		context.AfterFunc(ctx, cancel)
		return next.RoundTrip(request.WithContext(both))
	})
}

type roundTrip func(request *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// EntraApp is an app that is registered with Microsoft Entra.
type EntraApp struct {
	Authority string // EntraAuthority, or that of another cloud
	Tenant    string
	ClientID  string
	Secret    string
}

// notOfTenant says whether a sign may not stand in the name of a tenant, which
// is part of an address.
func notOfTenant(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '.' && r != '-'
}

// EntraTokens asks Microsoft Entra for tokens of an app. It never repeats any
// part of it.
func EntraTokens(app EntraApp, client *http.Client) (TokenSource, error) {
	return entraTokens(app, client, pause)
}

func entraTokens(app EntraApp, client *http.Client, pause func(context.Context, time.Duration) error) (TokenSource, error) {
	authority, err := url.Parse(app.Authority)
	switch {
	case err != nil || authority.Scheme != "https" || authority.Host == "":
		return nil, errors.New("the authority of Microsoft Entra has to be an https address")
	case app.Tenant == "" || strings.ContainsFunc(app.Tenant, notOfTenant) || app.Secret == "":
		return nil, errors.New("want TENANT:CLIENT_ID:CLIENT_SECRET")
	}
	client = direct(client)
	config := &clientcredentials.Config{ClientID: app.ClientID, ClientSecret: app.Secret, Scopes: []string{azureScope},
		TokenURL: authority.JoinPath(app.Tenant, "oauth2/v2.0/token").String(), AuthStyle: oauth2.AuthStyleInParams}
	t := &tokens{early: entraEarly, fetch: func(ctx context.Context) (*oauth2.Token, error) {
		return retried(ctx, pause, func() (*oauth2.Token, error) {
			return config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
		})
	}}
	return t.token, nil
}

// A token is asked for again, as Microsoft's guidelines for clients say: it
// bills nothing.
const (
	tokenTries    = 4
	tokenPause    = 800 * time.Millisecond // times 1, 3, 7
	tokenMaxPause = time.Minute
)

// retryStatuses are those after which the same request may do.
var retryStatuses = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
	http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// retried calls ask until it has a token, or an error that will not pass.
func retried(ctx context.Context, pause func(context.Context, time.Duration) error, ask func() (*oauth2.Token, error)) (*oauth2.Token, error) {
	for try := 1; ; try++ {
		token, err := ask()
		if err == nil {
			return token, nil
		}
		var unreachable *url.Error
		var refused *oauth2.RetrieveError
		asked := time.Duration(0)
		switch {
		case errors.As(err, &refused):
			if !slices.Contains(retryStatuses, refused.Response.StatusCode) {
				return nil, err
			}
			if seconds, err := strconv.Atoi(refused.Response.Header.Get("Retry-After")); err == nil {
				asked = time.Duration(min(max(seconds, 0), 3600)) * time.Second
			}
		case !errors.As(err, &unreachable):
			return nil, errors.New("no token: the answer cannot be read")
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if try == tokenTries || asked > tokenMaxPause {
			return nil, err
		}
		if asked == 0 {
			asked = jittered(time.Duration(1<<try-1) * tokenPause)
		}
		if err := pause(ctx, asked); err != nil {
			return nil, err
		}
	}
}

// jittered is between 0.8 and 1.3 times a pause: not all ask at once.
func jittered(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d/2)
}

// pause waits, or says that a context has ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
