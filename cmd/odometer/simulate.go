package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"odometer/internal/marketplace/simulator"
)

// simulateMarketplacesCmd serves the three marketplaces on one address.
type simulateMarketplacesCmd struct {
	Listen string `default:"127.0.0.1:0" help:"Address to listen on. Port 0 is any free port."`
	Seed   uint64 `help:"Seed of the random faults."`

	Throttle    int `help:"Percent of calls that are throttled."`
	Error       int `help:"Percent of calls that fail before anything is recorded."`
	Drop        int `help:"Percent of calls that are recorded and not answered."`
	ErrorAfter  int `help:"Percent of calls that are recorded and answered 500."`
	Partial     int `help:"Percent of calls of which only a part is processed."`
	Unavailable int `help:"Percent of calls whose connection is closed at once."`
	Credentials int `help:"Percent of calls that are refused because of their credentials."`
}

// Help says what else it answers.
func (c *simulateMarketplacesCmd) Help() string {
	return "Give its address to the server as marketplace.aws.endpoint, marketplace.azure.endpoint and marketplace.gcp.endpoint. GET /simulator/ledger shows what was accepted."
}

// Run serves until it is interrupted.
func (c *simulateMarketplacesCmd) Run(ctx context.Context, env *Env) error {
	sim := simulator.New(simulator.Options{Clock: env.Clock, Seed: c.Seed})
	for _, cloud := range []string{simulator.AWS, simulator.Azure, simulator.GCP} {
		sim.SetFaults(cloud, simulator.Faults{Throttle: c.Throttle, Error: c.Error, Drop: c.Drop, ErrorAfter: c.ErrorAfter, Partial: c.Partial,
			Unavailable: c.Unavailable, Credentials: c.Credentials})
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: sim, BaseContext: func(net.Listener) context.Context { return ctx }}
	fmt.Fprintf(env.Stdout, "listening: http://%s\n", listener.Addr())
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
