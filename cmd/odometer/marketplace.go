package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"google.golang.org/api/option"
	"google.golang.org/api/servicecontrol/v1"

	"odometer/internal/catalog"
	"odometer/internal/marketplace"
	"odometer/internal/marketplace/sender"
)

// ReporterSettings say whether usage is reported to marketplaces.
type ReporterSettings struct {
	Enabled   bool          `default:"false" setting:"" help:"Report usage to marketplaces every hour."`
	AWSWindow time.Duration `name:"aws-window" default:"23h30m" setting:"" help:"Age of an hour from which it is no longer sent to AWS; 5h30m if the account has the older limit."`
	Timeout   time.Duration `default:"30s" setting:"" help:"Longest time for one call to a marketplace."`
}

// MarketplaceSettings say how the marketplaces are reached.
type MarketplaceSettings struct {
	AWS   AWSSettings   `embed:"" prefix:"aws."`
	Azure AzureSettings `embed:"" prefix:"azure."`
	GCP   GCPSettings   `embed:"" prefix:"gcp."`
}

// AWSSettings are those of AWS Marketplace.
type AWSSettings struct {
	Endpoint    string `placeholder:"URL" setting:"" help:"Address of the AWS metering service; empty is AWS's own of each region."`
	Credentials string `placeholder:"FILE" setting:"" secret:"" help:"ACCESS_KEY_ID:SECRET_ACCESS_KEY of the seller's account, or a file that holds it; empty sends nothing to AWS, or unsigned in name only to an endpoint that is given."`
}

// AzureSettings are those of Azure Marketplace.
type AzureSettings struct {
	Endpoint    string `placeholder:"URL" setting:"" help:"Address of the Azure metering service; empty is Microsoft's."`
	Credentials string `placeholder:"FILE" setting:"" secret:"" help:"TENANT:CLIENT_ID:CLIENT_SECRET of the app registered with the offer, or a file that holds it; empty sends nothing to Azure, or without a real token to an endpoint that is given."`
}

// GCPSettings are those of Google Cloud Marketplace.
type GCPSettings struct {
	Endpoint    string `placeholder:"URL" setting:"" help:"Address of the Service Control API; empty is Google's."`
	Credentials string `placeholder:"FILE" setting:"" secret:"" help:"File of a service account's key in JSON; empty sends nothing to GCP, or unauthenticated to an endpoint that is given."`
}

// senders makes a sender for each marketplace that is set up.
func (m *MarketplaceSettings) senders(ctx context.Context, timeout time.Duration) (map[string]sender.Sender, error) {
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
		token, err := m.Azure.token(client)
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
		options := []option.ClientOption{option.WithoutAuthentication()}
		if m.GCP.Credentials != "" {
			if err := checkSecretFile("marketplace.gcp.credentials", m.GCP.Credentials); err != nil {
				return nil, err
			}
			options = []option.ClientOption{option.WithAuthCredentialsFile(option.ServiceAccount, m.GCP.Credentials), option.WithScopes(servicecontrol.ServicecontrolScope)}
		}
		if m.GCP.Endpoint != "" {
			options = append(options, option.WithEndpoint(m.GCP.Endpoint))
		}
		gcp, err := sender.NewGCP(ctx, options...)
		if err != nil {
			return nil, fmt.Errorf("marketplace.gcp: %w", err)
		}
		out[catalog.PartnerGCP] = gcp
	}
	return out, nil
}

// token asks Microsoft Entra for tokens.
func (a *AzureSettings) token(client *http.Client) (sender.TokenSource, error) {
	if a.Credentials == "" {
		return func(context.Context, bool) (string, error) { return "none", nil }, nil
	}
	parts, err := secretParts("marketplace.azure.credentials", a.Credentials, "", 3)
	if err != nil {
		return nil, err
	}
	var options azidentity.ClientSecretCredentialOptions
	options.Transport = client
	credential, err := azidentity.NewClientSecretCredential(parts[0], parts[1], parts[2], &options)
	if err != nil {
		return nil, errors.New("marketplace.azure.credentials: want TENANT:CLIENT_ID:CLIENT_SECRET") // its own words may tell the secret
	}
	return func(ctx context.Context, _ bool) (string, error) { // renews a token before it ends
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{sender.AzureScope}})
		return token.Token, err
	}, nil
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
func (s *Server) newReporter(ctx context.Context, env *Env) (*marketplace.Reporter, error) {
	senders, err := s.settings.Marketplace.senders(ctx, s.settings.Reporter.Timeout)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return marketplace.New(marketplace.Options{Catalog: s.stores.catalog, Usage: s.service, Senders: senders, Clock: env.Clock, Logger: s.logger,
		Owner:  fmt.Sprintf("%s/%d/%d", host, os.Getpid(), env.Clock().UnixNano()),
		Timing: marketplace.Timing{AWSWindow: s.settings.Reporter.AWSWindow}}), nil
}

// pauseReporters keeps a restored catalogue from reporting what was reported
// after its backup.
func pauseReporters(ctx context.Context, store *catalog.Store) error {
	return store.PauseReporters(ctx, "the catalogue was restored from a backup: run `odometer report reconcile`")
}
