package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"odometer/client"
)

// newClient makes a client of a running server that acts on an organization,
// or on the key's own.
func newClient(s ClientSettings, organization string) (*client.Client, error) {
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" {
		return nil, usageErrorf("url %q: want http://HOST or https://HOST", s.URL)
	}
	if s.Key == "" {
		return nil, usageErrorf("no key given: set %s, or --key", envName("key"))
	}
	c, err := client.New(client.Options{URL: s.URL, Key: s.Key, Organization: organization, Retry: client.Retry{OnlyReached: true}})
	if err != nil {
		return nil, usageErrorf("talk to %s: %w", s.URL, err)
	}
	return c, nil
}

// told returns an error of talking to a server in words for a terminal, and
// whether the server said that what was typed is wrong. The address alone says
// where: the rest of it is the command's own.
func told(err error) (text string, wrong bool) {
	var lost *url.Error
	if errors.As(err, &lost) {
		if u, parsed := url.Parse(lost.URL); parsed == nil && u.Host != "" {
			return fmt.Sprintf("cannot talk to a server at %s://%s: %v (--url or %s names another)", u.Scheme, u.Host, lost.Err, envName("url")), false
		}
	}
	var said *client.Error
	return err.Error(), errors.As(err, &said) && said.Status == http.StatusBadRequest
}
