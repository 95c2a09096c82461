package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"odometer/internal/catalog"
	"odometer/internal/marketplace"
	"odometer/internal/marketplace/sender"
	"odometer/internal/records"
	stored "odometer/internal/store/records"
)

// reporterSettings say whether usage is reported to marketplaces.
type reporterSettings struct {
	Enabled   bool          `default:"false" setting:"" help:"Report usage to marketplaces every hour."`
	AWSWindow time.Duration `name:"aws-window" default:"23h30m" setting:"" help:"Age from which an hour is no longer sent to AWS. Set 5h30m if the account has the older limit."`
	Timeout   time.Duration `default:"30s" setting:"" help:"Time limit of one call to a marketplace."`
}

// marketplaceSettings say how the marketplaces are reached.
type marketplaceSettings struct {
	AWS   awsSettings   `embed:"" prefix:"aws."`
	Azure azureSettings `embed:"" prefix:"azure."`
	GCP   gcpSettings   `embed:"" prefix:"gcp."`
}

// awsSettings are those of AWS Marketplace.
type awsSettings struct {
	Endpoint    string `placeholder:"URL" setting:"" help:"Address of the AWS metering service. Empty: AWS's own address in each region."`
	Credentials string `placeholder:"FILE" setting:"" secret:"" help:"ACCESS_KEY_ID:SECRET_ACCESS_KEY of the seller's account, or a file that holds it. Empty: nothing is sent to AWS; if marketplace.aws.endpoint is set, requests are sent there, signed with placeholder credentials."`
}

// azureSettings are those of Azure Marketplace.
type azureSettings struct {
	Endpoint    string `placeholder:"URL" setting:"" help:"Address of the Azure metering service. Empty: Microsoft's."`
	Credentials string `placeholder:"FILE" setting:"" secret:"" help:"TENANT:CLIENT_ID:CLIENT_SECRET of the app registered with the offer, or a file that holds it. Empty: nothing is sent to Azure; if marketplace.azure.endpoint is set, requests are sent there with a placeholder token."`
}

// gcpSettings are those of Google Cloud Marketplace.
type gcpSettings struct {
	Endpoint    string `placeholder:"URL" setting:"" help:"Address of the Service Control API. Empty: Google's."`
	Credentials string `placeholder:"FILE" setting:"" secret:"" help:"File with a service account's key in JSON. Empty: nothing is sent to GCP; if marketplace.gcp.endpoint is set, requests are sent there without authentication."`
}

// senders makes a sender for each marketplace that is set up.
func (m *marketplaceSettings) senders(getenv func(string) string, timeout time.Duration) (map[string]sender.Sender, error) {
	client := &http.Client{Timeout: timeout}
	out := map[string]sender.Sender{}
	if m.AWS.Endpoint != "" || m.AWS.Credentials != "" {
		parts, err := secretParts("marketplace.aws.credentials", m.AWS.Credentials, "none:none", 2)
		if err != nil {
			return nil, err
		}
		out[catalog.PartnerAWS] = sender.NewAWS(sender.AWSOptions{Credentials: credentials.NewStaticCredentialsProvider(parts[0], parts[1], ""),
			Endpoint: m.AWS.Endpoint, Client: client})
	}
	if m.Azure.Endpoint != "" || m.Azure.Credentials != "" {
		token, err := m.Azure.token(getenv, client)
		if err != nil {
			return nil, err
		}
		endpoint := m.Azure.Endpoint
		if endpoint == "" {
			endpoint = sender.AzureEndpoint
		}
		out[catalog.PartnerAzure] = sender.NewAzure(endpoint, token, client)
	}
	if m.GCP.Endpoint != "" || m.GCP.Credentials != "" {
		gcp, err := m.GCP.sender(timeout)
		if err != nil {
			return nil, err
		}
		out[catalog.PartnerGCP] = gcp
	}
	return out, nil
}

// authorityVariable names another cloud's Microsoft Entra, as in Microsoft's own tools.
const authorityVariable = "AZURE_AUTHORITY_HOST"

// token asks Microsoft Entra for tokens.
func (a *azureSettings) token(getenv func(string) string, client *http.Client) (sender.TokenSource, error) {
	if a.Credentials == "" {
		return func(context.Context, bool) (string, error) { return "none", nil }, nil
	}
	parts, err := secretParts("marketplace.azure.credentials", a.Credentials, "", 3)
	if err != nil {
		return nil, err
	}
	app := sender.EntraApp{Authority: getenv(authorityVariable), Tenant: parts[0], ClientID: parts[1], Secret: parts[2]}
	if app.Authority == "" {
		app.Authority = sender.EntraAuthority
	}
	token, err := sender.EntraTokens(app, client)
	if err != nil {
		return nil, fmt.Errorf("marketplace.azure.credentials: %w", err)
	}
	return token, nil
}

// sender makes the sender to Google. Its client is one of its own: several
// calls are in flight, and a connection that died in silence is found.
func (g *gcpSettings) sender(timeout time.Duration) (*sender.GCP, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 31 * time.Second}
	client := &http.Client{Timeout: timeout, Transport: transport}
	var token sender.TokenSource
	if g.Credentials != "" {
		if err := checkSecretFile("marketplace.gcp.credentials", g.Credentials); err != nil {
			return nil, err
		}
		key, err := os.ReadFile(g.Credentials)
		if err != nil {
			return nil, fmt.Errorf("marketplace.gcp.credentials: cannot read the file: %w", errors.Unwrap(err)) // not its name: it may be the key itself
		}
		if token, err = sender.GoogleTokens(key, client); err != nil {
			return nil, fmt.Errorf("marketplace.gcp.credentials: %w", err)
		}
	}
	endpoint := g.Endpoint
	if endpoint == "" {
		endpoint = sender.GCPEndpoint
	}
	gcp, err := sender.NewGCP(endpoint, token, client)
	if err != nil {
		return nil, fmt.Errorf("marketplace.gcp.endpoint: %w", err)
	}
	return gcp, nil
}

// secretParts reads a secret of parts joined by colons, given itself or as a
// file that holds it. It never repeats it.
func secretParts(setting, value, otherwise string, n int) ([]string, error) {
	if value == "" {
		value = otherwise
	}
	if text, err := os.ReadFile(value); err == nil {
		if err := checkSecretFile(setting, value); err != nil {
			return nil, err
		}
		value = strings.TrimSpace(string(text))
	}
	parts := strings.SplitN(value, ":", n)
	if len(parts) != n {
		return nil, usageErrorf("%s: want %d parts with colons between, or a file that holds them", setting, n)
	}
	return parts, nil
}

// newReporter makes the reporter of a server; it does nothing by itself.
func (s *Server) newReporter(env *Env, groups *records.Service) (*marketplace.Reporter, error) {
	senders, err := s.settings.Marketplace.senders(env.Getenv, s.settings.Reporter.Timeout)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return marketplace.New(marketplace.Options{Usage: s.service, Entries: s.service, Records: groups,
		Accounts: s.stores.catalog, Store: stored.New(s.stores.catalog), Senders: senders, Clock: env.Clock, Logger: s.logger,
		Owner:  fmt.Sprintf("%s/%d/%d", host, os.Getpid(), env.Clock().UnixNano()),
		Timing: marketplace.Timing{AWSWindow: s.settings.Reporter.AWSWindow}}), nil
}

// pauseReporters keeps a restored catalog from reporting what was reported
// after its backup.
func pauseReporters(ctx context.Context, reporters *stored.Store) error {
	return reporters.PauseReporters(ctx, "the catalog was restored from a backup: run `odometer report reconcile`")
}
