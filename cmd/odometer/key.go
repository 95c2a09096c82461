package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"odometer/client"
	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store/keys"
	"odometer/internal/surface/akamai/edgegrid"
)

// keyCmd manages keys, through a running server or, with --data, in a data
// directory at rest: the way back in when the last admin key is lost.
type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Create a key and print it. It is not shown again."`
	List   keyListCmd   `cmd:"" help:"List keys, without their secrets, which are not kept."`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke a key at once."`
}

// keyTarget says whose keys are meant, and where.
type keyTarget struct {
	ClientSettings  `embed:""`
	CatalogSettings `embed:""`

	Data         string `placeholder:"DIR" help:"Use this data directory instead of asking a server. No server may be using it."`
	Organization string `placeholder:"ID" help:"The organization. Default: the key's own; with --data, the first one."`
}

const offlineActor = "system:command-line"

// offline runs do on the catalog of a data directory at rest.
func (t *keyTarget) offline(ctx context.Context, env *Env, do func(*keys.Store, string) error) error {
	release, err := claimData(t.Data)
	if err != nil {
		return err
	}
	defer release()
	store, err := t.openCatalog(ctx, env, t.Data, slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("data directory %s: %w", t.Data, err)
	}
	organization := t.Organization
	if organization == "" {
		organization = catalog.DefaultOrganization
	}
	keys, err := keys.Open(ctx, store, t.secretKeyPath(t.Data))
	if err == nil {
		err = do(keys, organization)
	}
	if closing := store.Close(); err == nil {
		err = closing
	}
	return err
}

// keyCreateCmd creates one key.
type keyCreateCmd struct {
	keyTarget  `embed:""`
	Role       string   `enum:"admin,ingest,report,read" default:"admin" help:"Role of the key: admin, ingest, report or read."`
	Kind       string   `enum:"token,edgegrid" default:"token" help:"token, or edgegrid for Akamai's API, which is printed in the form of ~/.edgerc."`
	Customer   string   `placeholder:"ID" help:"Bind the key to one customer."`
	Account    []string `placeholder:"ID" help:"Account that a key of kind edgegrid may switch to in Akamai's API. Repeatable."`
	DefaultAID string   `name:"default-aid" placeholder:"AID" help:"Account group for requests to ThousandEyes' API that name none. Only for a token that reads and is not bound to a customer."`
	Source     []string `placeholder:"PREFIX" sep:"none" help:"Prefix of the sources that the key may send, and that no key of another customer may send. Only for an ingest key bound to a customer. Repeatable."`
	Strict     bool     `help:"Answer 400 to each of the key's requests in which any event is refused."`
	Operator   bool     `help:"Give the key the operator right. Only a key with that right can do so, and only in the first organization."`
	Expires    string   `placeholder:"TIME" help:"When the key expires: RFC 3339, a date (UTC), or a duration from now such as 720h."`
}

// Run prints the new key's id and secret.
func (c *keyCreateCmd) Run(ctx context.Context, env *Env) error {
	expires, err := parseExpiry(c.Expires, env.Clock())
	if err != nil {
		return err
	}
	if err := c.checkIdle(); err != nil {
		return err
	}
	if c.Data != "" {
		return c.offline(ctx, env, func(keys *keys.Store, organization string) error {
			return c.createOffline(ctx, env, keys, organization, expires)
		})
	}
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	n := client.NewKey{Role: c.Role, Customer: c.Customer, Accounts: c.Account, DefaultAID: c.DefaultAID,
		Sources: c.Source, Strict: c.Strict, Expires: expires, Operator: c.Operator}
	if c.Kind == string(access.KindEdgeGrid) {
		key, err := api.CreateEdgeGridKey(ctx, n)
		return printCredential(env.Stdout, key.ID, c.URL, edgegrid.Identity{ClientToken: key.ClientToken, AccessToken: key.AccessToken, Secret: key.ClientSecret}, err)
	}
	key, err := api.CreateKey(ctx, n)
	return printKey(env.Stdout, key.ID, key.Token, err)
}

// draft is the key that the command line says, of no organization yet.
func (c *keyCreateCmd) draft() access.NewKey {
	return access.NewKey{Role: access.Role(c.Role), Kind: access.KeyKind(c.Kind), Customer: c.Customer,
		Accounts: c.Account, DefaultAID: c.DefaultAID, Sources: c.Source, Strict: c.Strict, Operator: c.Operator}
}

// checkIdle refuses a flag that could do nothing beside the others.
func (c *keyCreateCmd) checkIdle() error {
	member, why := c.draft().Idle()
	if member == "" {
		return nil
	}
	flag := map[string]string{"accounts": "account", "default_aid": "default-aid", "sources": "source"}[member]
	return usageErrorf("--%s: %s", cmp.Or(flag, member), why)
}

func (c *keyCreateCmd) createOffline(ctx context.Context, env *Env, keys *keys.Store, organization string, expires time.Time) error {
	n := c.draft()
	n.Organization, n.Expires = organization, expires
	if n.Kind == access.KindEdgeGrid {
		key, credential, err := keys.CreateEdgeGridKey(ctx, n, offlineActor)
		return printCredential(env.Stdout, key.ID, c.URL, edgegrid.Identity{ClientToken: credential.ClientToken, AccessToken: credential.AccessToken, Secret: credential.ClientSecret}, err)
	}
	if n.Role == access.RoleAdmin && n.Customer == "" && n.DefaultAID == "" && len(n.Accounts) == 0 && !n.Strict && expires.IsZero() {
		key, token, err := keys.MintAdminKey(ctx, organization, offlineActor)
		return printKey(env.Stdout, key.ID, token, err)
	}
	key, token, err := keys.CreateKey(ctx, n, offlineActor)
	return printKey(env.Stdout, key.ID, token, err)
}

// printCredential prints a credential as EdgeGrid clients keep it.
func printCredential(w io.Writer, id, address string, credential edgegrid.Identity, err error) error {
	if err == nil {
		host := address
		if u, wrong := url.Parse(address); wrong == nil && u.Host != "" {
			host = u.Host
		}
		_, err = fmt.Fprintf(w, "# key %s\n%s", id, edgeRC(host, credential))
	}
	return err
}

func printKey(w io.Writer, id, token string, err error) error {
	if err == nil {
		_, err = fmt.Fprintf(w, "id: %s\nkey: %s\n", id, token)
	}
	return err
}

// parseExpiry reads an instant, a date or a duration from now; "" is never.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d).UTC().Truncate(time.Second), nil
	}
	t, ok := meter.ParseTime(text, time.UTC)
	if !ok {
		return t, usageErrorf("--expires %q: want RFC 3339, a date, or a duration like 720h", text)
	}
	return t, nil
}

// keyListCmd lists keys.
type keyListCmd struct {
	keyTarget `embed:""`
}

// Run prints one line per key, the oldest first.
func (c *keyListCmd) Run(ctx context.Context, env *Env) error {
	table := newTable(env.Stdout, false)
	fmt.Fprintln(table, "id\trole\tcustomer\tsources\tcreated\texpires\trevoked\tlast used")
	line := func(id, role, customer, sources string, times ...time.Time) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s", shownAll(id, role, customer, sources)...)
		for _, t := range times {
			fmt.Fprintf(table, "\t%s", orDash(t))
		}
		fmt.Fprintln(table)
	}
	var err error
	if c.Data != "" {
		err = c.offline(ctx, env, func(keys *keys.Store, organization string) error {
			return eachKey(ctx, keys, organization, func(k access.Key) {
				line(k.ID, roleName(string(k.Role), k.Operator), k.Customer, sourcesText(k.Sources.List(), k.Unrestricted), k.Created, k.Expires, k.Revoked, k.LastUsed)
			})
		})
	} else {
		err = c.online(ctx, func(k client.Key) {
			line(k.ID, roleName(k.Role, k.Operator), k.Customer, sourcesText(k.Sources, k.Unrestricted), k.Created, k.Expires, k.Revoked, k.LastUsed)
		})
	}
	if err != nil {
		return err
	}
	return table.Flush()
}

func (c *keyListCmd) online(ctx context.Context, do func(client.Key)) error {
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	for k, err := range api.Keys(ctx) {
		if err != nil {
			return err
		}
		do(k)
	}
	return nil
}

func eachKey(ctx context.Context, keys *keys.Store, organization string, do func(access.Key)) error {
	for page := (catalog.Page{}); ; {
		found, err := keys.Keys(ctx, organization, page)
		if err != nil {
			return err
		}
		for _, k := range found.Items {
			do(k)
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return nil
		}
	}
}

func roleName(role string, operator bool) string {
	if operator {
		return role + " (operator)"
	}
	return role
}

// sourcesText is which sources a key may send, as a list shows it.
func sourcesText(sources []string, unrestricted bool) string {
	if unrestricted {
		return "unrestricted"
	}
	return strings.Join(sources, ",")
}

func orDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// keyRevokeCmd revokes one key.
type keyRevokeCmd struct {
	keyTarget `embed:""`
	ID        string `arg:"" help:"The key's id, as key list shows it."`
	Force     bool   `help:"Revoke even the last admin key, or the last key with the operator right."`
}

// Run revokes the key.
func (c *keyRevokeCmd) Run(ctx context.Context, env *Env) error {
	if c.Data != "" {
		return c.offline(ctx, env, func(all *keys.Store, organization string) error {
			_, err := all.RevokeKey(ctx, organization, c.ID, keys.Revocation{Actor: offlineActor, Operator: true, Force: c.Force})
			return err
		})
	}
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	if c.Force {
		return api.ForceRevokeKey(ctx, c.ID)
	}
	return api.RevokeKey(ctx, c.ID)
}
