package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
)

// TestCredentialsOfMarketplaces: what will not do is refused at the start, by
// the setting's name and without the secret.
func TestCredentialsOfMarketplaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	account := `{"type":"service_account","client_email":"m@example.com","private_key":"s3cret"}`
	for _, c := range []struct{ name, gcp, azure, endpoint, authority, want string }{
		{"all well", file("ok", account), "tenant:app:s3cret", "", "", ""},
		{"from files", file("ok", account), file("azure", "tenant:app:s3cret\n"), "servicecontrol.example.com:8443", "https://login.example.com", ""},
		{"no file", filepath.Join(dir, "s3cret"), "", "", "", "marketplace.gcp.credentials: cannot read the file: no such file"},
		{"the key itself", account, "", "", "", "marketplace.gcp.credentials: cannot read the file"},
		{"no account", file("user", `{"type":"authorized_user","refresh_token":"s3cret"}`), "", "", "", "marketplace.gcp.credentials: want the key of a service account"},
		{"no endpoint", "", "", "http://[s3/", "", "marketplace.gcp.endpoint: "},
		{"two parts", "", "tenant:s3cret", "", "", "marketplace.azure.credentials: want 3 parts"},
		{"no tenant", "", "a/b:app:s3cret", "", "", "marketplace.azure.credentials: want TENANT"},
		{"plain authority", "", "tenant:app:s3cret", "", "http://login.example.com/", "marketplace.azure.credentials: the authority"},
	} {
		m := marketplaceSettings{Azure: azureSettings{Credentials: c.azure}, GCP: gcpSettings{Credentials: c.gcp, Endpoint: c.endpoint}}
		senders, err := m.senders(func(name string) string { return map[string]string{"AZURE_AUTHORITY_HOST": c.authority}[name] }, time.Second)
		switch {
		case c.want == "" && (err != nil || senders[catalog.PartnerGCP] == nil || senders[catalog.PartnerAzure] == nil || senders[catalog.PartnerAWS] != nil):
			t.Errorf("%s: %v, %v", c.name, senders, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
