package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"odometer/internal/surface/akamai/edgegrid"
)

// SignCmd signs a request as EdgeGrid clients do, for curl.
type SignCmd struct {
	URL     string `arg:"" help:"The URL that is going to be asked."`
	EdgeRC  string `name:"edgerc" default:"~/.edgerc" help:"File with the credential: client_token, access_token and client_secret."`
	Section string `default:"default" help:"Section of that file."`
	Scheme  string `placeholder:"SCHEME" help:"Scheme that the server expects signed, behind a proxy that ends TLS; default: the URL's."`
}

// Help shows how it is used.
func (c *SignCmd) Help() string {
	return "Prints the header of a GET request to Akamai's API, which is good for 30 seconds and once:\n\n" +
		"    curl -H \"$(odometer sign URL)\" URL"
}

// Run prints the header.
func (c *SignCmd) Run(env *Env) error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" {
		return usageErrorf("url %q: want http://HOST/... or https://HOST/...", c.URL)
	}
	id, err := readEdgeRC(c.EdgeRC, c.Section)
	if err != nil {
		return err
	}
	if c.Scheme == "" {
		c.Scheme = u.Scheme
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	_, err = fmt.Fprintf(env.Stdout, "Authorization: %s\n", edgegrid.Sign(id, edgegrid.Request{Method: "GET", Scheme: c.Scheme, Host: u.Host, Target: u.RequestURI()},
		env.Clock(), hex.EncodeToString(nonce)))
	return err
}

// readEdgeRC reads a section of the file that EdgeGrid clients keep their
// credentials in. What stands in it is not repeated in errors.
func readEdgeRC(path, section string) (id edgegrid.Identity, err error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return id, err
		}
		path = filepath.Join(home, rest)
	}
	file, err := os.Open(path)
	if err != nil {
		return id, usageErrorf("%v", err)
	}
	defer func() { _ = file.Close() }()
	fields := map[string]*string{"client_token": &id.ClientToken, "access_token": &id.AccessToken, "client_secret": &id.Secret}
	in := ""
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			in = strings.TrimSpace(strings.TrimSuffix(name, "]"))
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if field := fields[strings.TrimSpace(name)]; ok && in == section && field != nil {
			*field = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return id, fmt.Errorf("read %s: %w", path, err)
	}
	if id.ClientToken == "" || id.AccessToken == "" || id.Secret == "" {
		return id, usageErrorf("%s has no section [%s] with client_token, access_token and client_secret", path, section)
	}
	return id, nil
}

// writeEdgeRC writes such a file, which only its owner may read.
func writeEdgeRC(path, host string, id edgegrid.Identity) error {
	return os.WriteFile(path, []byte(edgeRC(host, id)), 0o600)
}

// edgeRC is the text of such a file.
func edgeRC(host string, id edgegrid.Identity) string {
	return fmt.Sprintf("[default]\nclient_secret = %s\nhost = %s\naccess_token = %s\nclient_token = %s\n", id.Secret, host, id.AccessToken, id.ClientToken)
}
