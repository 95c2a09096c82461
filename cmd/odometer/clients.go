package main

import (
	"fmt"
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
	c, err := client.New(client.Options{URL: s.URL, Key: s.Key, Organization: organization})
	if err != nil {
		return nil, fmt.Errorf("talk to %s: %w", s.URL, err)
	}
	return c, nil
}
