package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/ini.v1"

	"odometer/internal/surface/akamai/edgegrid"
)

// signCmd signs a request as EdgeGrid clients do, for curl.
type signCmd struct {
	URL     string `arg:"" help:"The URL of the request."`
	EdgeRC  string `name:"edgerc" default:"~/.edgerc" help:"File with the credential: client_token, access_token and client_secret."`
	Section string `default:"default" help:"Section of that file."`
	Scheme  string `placeholder:"SCHEME" help:"Scheme that the server expects in the signature, if a proxy ends TLS. Default: the URL's."`
}

// Help shows how it is used.
func (c *signCmd) Help() string {
	return "Prints the header of a GET request to Akamai's API, which is good for 30 seconds and once:\n\n" +
		"    curl -H \"$(odometer sign URL)\" URL"
}

// Run prints the header.
func (c *signCmd) Run(env *Env) error {
	scheme, host, target, err := whatCurlSends(c.URL)
	if err != nil {
		return err
	}
	id, err := readEdgeRC(c.EdgeRC, c.Section)
	if err != nil {
		return err
	}
	if c.Scheme != "" {
		scheme = c.Scheme
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	_, err = fmt.Fprintf(env.Stdout, "Authorization: %s\n", edgegrid.Sign(id, edgegrid.Request{Method: "GET", Scheme: scheme, Host: host, Target: target},
		env.Clock(), hex.EncodeToString(nonce)))
	return err
}

// whatCurlSends takes a URL apart as curl does: the host without the scheme's
// default port, the path without dot segments (RFC 3986 section 5.2.4), no
// fragment, and everything else as it is written.
func whatCurlSends(text string) (scheme, host, target string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", "", "", usageErrorf("url %q: want http://HOST/... or https://HOST/...", text)
	}
	host = strings.TrimSuffix(u.Host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	_, rest, _ := strings.Cut(text, "://")
	rest, _, _ = strings.Cut(rest, "#")
	target = "/"
	if at := strings.IndexAny(rest, "/?"); at >= 0 {
		target = rest[at:]
	}
	path, query, asked := strings.Cut(target, "?")
	target = withoutDots(path)
	if asked {
		target += "?" + query
	}
	return u.Scheme, host, target, nil
}

// withoutDots resolves the segments "." and ".." of a path.
func withoutDots(path string) string {
	var kept []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case ".", "..":
			if segment == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "") // what is left is a folder
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// edgeRCBytes bounds the file of credentials.
const edgeRCBytes = 1 << 20

// readEdgeRC reads a section of the file that EdgeGrid clients keep their
// credentials in, an INI file. What stands in it is not repeated in errors.
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
	text, err := io.ReadAll(io.LimitReader(file, edgeRCBytes+1))
	if err != nil {
		return id, usageErrorf("read %s: %v", path, err)
	}
	if len(text) > edgeRCBytes {
		return id, usageErrorf("%s is larger than %d bytes: it is no file of credentials", path, edgeRCBytes)
	}
	id, err = parseEdgeRC(text, section)
	if err != nil {
		return id, usageErrorf("%s: %v", path, err)
	}
	return id, nil
}

// parseEdgeRC reads a section of such a file's text: "name = value" or "name:
// value", values quoted or not, comments on lines of their own or after a
// blank.
func parseEdgeRC(text []byte, section string) (id edgegrid.Identity, err error) {
	parsed, err := ini.LoadSources(ini.LoadOptions{SpaceBeforeInlineComment: true, IgnoreContinuation: true, SkipUnrecognizableLines: true, AllowShadows: true}, text)
	if err != nil {
		return id, errors.New("it is no INI file")
	}
	if !parsed.HasSection(section) {
		return id, fmt.Errorf("it has no section [%s]", section)
	}
	for _, field := range []struct {
		name string
		into *string
	}{{"client_token", &id.ClientToken}, {"access_token", &id.AccessToken}, {"client_secret", &id.Secret}} {
		values := parsed.Section(section).Key(field.name).ValueWithShadows()
		switch {
		case !parsed.Section(section).HasKey(field.name) || len(values) == 0 || values[0] == "":
			return edgegrid.Identity{}, fmt.Errorf("section [%s] has no %s", section, field.name)
		case len(values) > 1:
			return edgegrid.Identity{}, fmt.Errorf("section [%s] has %s more than once", section, field.name)
		case strings.ContainsFunc(values[0], func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ';' && field.name != "client_secret" }):
			return edgegrid.Identity{}, fmt.Errorf("section [%s]: %s holds a character that no credential has", section, field.name)
		}
		*field.into = values[0]
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
