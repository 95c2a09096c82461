package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
)

// serveCmd runs a server until it is told to stop.
type serveCmd struct {
	ServerSettings `embed:""`
}

// Help says what is printed where.
func (c *serveCmd) Help() string {
	return "Prints `listening: URL` on standard output once it is ready. On a fresh data directory it prints the first admin key before that: on a terminal " +
		"`admin key: odo_...`, only this once; otherwise `admin key file: FILE`, a file that only its owner can read, " +
		"so that no log keeps the key. The log goes to standard error. SIGTERM or SIGINT stops the server after the requests in progress. SIGHUP makes it read its certificates again."
}

// gcPercent makes garbage at most half of what is in use, where GOGC does not
// say otherwise: a third less memory than Go's default of 100, and no
// difference in events a second or CPU for each that could be measured.
const gcPercent = 50

// Validate implements kong.Validatable.
func (c *serveCmd) Validate() error {
	return errors.Join(refuseZeros("checkpoint.", c.Checkpoint), refuseZeros("limits.", c.Limits), c.ServerSettings.Validate())
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, env *Env) error {
	if env.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	hangups, stop := env.hangups()
	defer stop()
	server, err := startServer(ctx, env, c.ServerSettings)
	if err != nil {
		return err
	}
	announce(env, server)
	return serveUntil(ctx, server, hangups)
}

// announce prints what other programs wait for.
func announce(env *Env, server *Server) {
	switch {
	case server.AdminKeyFile != "":
		fmt.Fprintf(env.Stdout, "admin key file: %s\n", server.AdminKeyFile)
	case server.AdminKey != "" && server.settings.AdminKey == "": // else it is known
		fmt.Fprintf(env.Stdout, "admin key: %s\n", server.AdminKey)
	}
	fmt.Fprintf(env.Stdout, "listening: %s\n", server.URL())
}

// serveUntil waits for ctx or for the server to fail, and closes it. At a
// hangup the server reads its certificates again.
func serveUntil(ctx context.Context, server *Server, hangups <-chan os.Signal) error {
	for going := true; going; {
		select {
		case <-hangups:
			server.reload()
		case <-ctx.Done():
			going = false
		case <-server.Done():
			going = false
		}
	}
	server.logger.Info("stopping")
	err := server.Close()
	server.logger.Info("stopped")
	return err
}
