package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"

	"odometer/client"
	"odometer/internal/intake/pipeline"
)

// newClientSender sends to the server that the command's settings name.
func (c *ingestCmd) newClientSender() (pipeline.SendFunc, error) {
	if _, err := newClient(c.ClientSettings, c.Organization); err != nil {
		return nil, err // in the words of every command
	}
	to, err := client.New(client.Options{URL: c.URL, Key: c.Key, Organization: c.Organization, Compression: c.compression(),
		Retry: client.Retry{OnlyReached: !c.Follow}}) // what follows files may start before the server
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, events [][]byte) (pipeline.Result, error) {
		answer, err := to.IngestTimed(ctx, client.ContentNDJSON, bytes.Join(events, []byte{'\n'}))
		if err != nil {
			return pipeline.Result{}, err
		}
		out := pipeline.Result{Accepted: answer.Accepted, Duplicates: answer.Duplicates, Conflicts: answer.Conflicts, Rejected: answer.Rejected}
		for _, e := range answer.Errors {
			out.Problems = append(out.Problems, pipeline.EventProblem{Index: e.Index, Reason: e.Reason})
		}
		for _, w := range answer.Warnings {
			who := "a meter" // which one, a key that is bound to a customer is not told
			if w.Meter != "" {
				who = "meter " + w.Meter
			}
			out.Warnings = append(out.Warnings, pipeline.EventProblem{Index: w.Index, Reason: fmt.Sprintf("accepted, but %s skipped it: %s", who, w.Reason)})
		}
		out.WarningsLeftOut = answer.WarningsLeftOut
		return out, nil
	}, nil
}

// compression is what the user wants, or zstd if there is a network to spare.
func (c *ingestCmd) compression() client.Compression {
	switch c.Compress {
	case "none":
		return client.NoCompression
	case "gzip", "zstd":
		return client.Compression(c.Compress)
	}
	if u, err := url.Parse(c.URL); err == nil {
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return client.NoCompression
		}
	}
	return client.Zstd
}

var errNoCustomers = errors.New("the catalog has no customers")

// customerLookup asks the server that the command's settings name whether its
// catalog has a customer. An organization that keeps no customers is an error,
// unless lines must name a known one.
func (c *ingestCmd) customerLookup() (func(ctx context.Context, customer string) (bool, error), error) {
	if c.customers != nil || c.sender != nil {
		return c.customers, nil
	}
	to, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return nil, err
	}
	any := false
	return func(ctx context.Context, customer string) (bool, error) {
		if !any && !c.KnownCustomers {
			for _, err := range to.Nouns(ctx, client.Customers) {
				if err != nil {
					return false, err
				}
				any = true
				break
			}
			if !any {
				return false, errNoCustomers
			}
		}
		err := to.Noun(ctx, client.Customers, customer, new(json.RawMessage))
		if client.KindOf(err) == client.NotFound {
			return false, nil
		}
		return err == nil, err
	}, nil
}
