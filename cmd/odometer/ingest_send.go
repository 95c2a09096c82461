package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"

	"odometer/client"
)

// newClientSender sends to the server that the command's settings name.
func (c *IngestCmd) newClientSender() (sendFunc, error) {
	if _, err := newClient(c.ClientSettings, c.Organization); err != nil {
		return nil, err // in the words of every command
	}
	to, err := client.New(client.Options{URL: c.URL, Key: c.Key, Organization: c.Organization, Compression: c.compression(),
		Retry: client.Retry{OnlyReached: !c.Follow}}) // what follows files may start before the server
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, events [][]byte) (sendResult, error) {
		answer, err := to.IngestTimed(ctx, client.ContentNDJSON, bytes.Join(events, []byte{'\n'}))
		if err != nil {
			return sendResult{}, err
		}
		out := sendResult{Accepted: answer.Accepted, Duplicates: answer.Duplicates, Conflicts: answer.Conflicts, Rejected: answer.Rejected}
		for _, e := range answer.Errors {
			out.Problems = append(out.Problems, sendProblem{e.Index, e.Reason})
		}
		for _, w := range answer.Warnings {
			who := "a meter" // which one, a key that is bound to a customer is not told
			if w.Meter != "" {
				who = "meter " + w.Meter
			}
			out.Warnings = append(out.Warnings, sendProblem{w.Index, fmt.Sprintf("accepted, but %s skipped it: %s", who, w.Reason)})
		}
		out.WarningsLeftOut = answer.WarningsLeftOut
		return out, nil
	}, nil
}

// compression is what the user wants, or zstd if there is a network to spare.
func (c *IngestCmd) compression() client.Compression {
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
