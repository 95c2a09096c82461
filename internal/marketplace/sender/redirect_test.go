package sender

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestRedirectsAreNotFollowed: what is sent bills somebody and is signed or
// holds a secret, and what answers elsewhere is no marketplace.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		reached := 0
		elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			reached++
			_, _ = w.Write([]byte(`{"access_token":"stranger's","expires_in":3600}`))
		}))
		moved := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, status)
		}))
		client := moved.Client() // whose certificate is that of all
		for _, cloud := range []string{"aws", "azure", "gcp"} {
			l := (&rig{cloud: cloud}).line("c", "1")
			for _, got := range senderWith(t, cloud, moved.URL, client).Send(context.Background(), []Line{l}) {
				if got.Outcome != Unknown || cloud != "gcp" && got.NotStored {
					t.Errorf("%s, status %d: %+v", cloud, status, got)
				}
			}
		}
		google, err := GoogleTokens(googleKey(t, moved.URL), client)
		if err != nil {
			t.Fatal(err)
		}
		entra, err := EntraTokens(EntraApp{moved.URL, "t", "app", "s3cret"}, client)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range []TokenSource{google, entra} {
			if got, err := token(context.Background(), false); err == nil {
				t.Errorf("status %d: the token %q", status, got)
			}
		}
		moved.Close()
		elsewhere.Close()
		if reached > 0 {
			t.Errorf("status %d: %d requests went elsewhere", status, reached)
		}
	}
}
