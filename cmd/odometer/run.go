package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"odometer/internal/loadgen"
	"odometer/internal/meter"
)

// Exit codes of every command; docs/operations.md lists them for operators.
const (
	exitOK          = 0
	exitFailed      = 1   // it could not be done; the reason is on standard error
	exitUsage       = 2   // wrong flags, arguments or configuration; nothing was done
	exitDisagrees   = 3   // it was done and found something wrong: damage, or totals that differ
	exitInUse       = 4   // the data directory belongs to another running process
	exitInterrupted = 130 // ended by a signal before it was done
)

// CLI is the whole command line.
type CLI struct {
	ConfigFile  string           `name:"config" placeholder:"FILE" setting:"" help:"Read settings from a YAML file."`
	ShowVersion kong.VersionFlag `name:"version" short:"V" help:"Print the version."`

	Serve                serveCmd                `cmd:"" help:"Run the server."`
	Demo                 demoCmd                 `cmd:"" help:"Try everything on two months of made-up usage."`
	Ingest               ingestCmd               `cmd:"" help:"Send usage from files: access logs, CSV, NDJSON."`
	Apply                applyCmd                `cmd:"" help:"Make the catalog what files say: meters, products, customers, contracts."`
	Catalog              catalogCmd              `cmd:"" help:"Print the catalog as YAML, which apply accepts."`
	Usage                usageCmd                `cmd:"" help:"Print the usage of a meter, or of products."`
	Close                closeCmd                `cmd:"" help:"Close a month, of all customers or of one."`
	Key                  keyCmd                  `cmd:"" help:"Create, list and revoke keys."`
	Verify               verifyCmd               `cmd:"" help:"Check a data directory against its log."`
	Repair               repairCmd               `cmd:"" help:"Show which organizations damage has stopped, and let them go on if their data can be read again."`
	Backup               backupCmd               `cmd:"" help:"Take a consistent copy of a data directory."`
	Restore              restoreCmd              `cmd:"" help:"Make a data directory from a backup."`
	Rebind               rebindCmd               `cmd:"" help:"Give a catalog in PostgreSQL to a restored data directory."`
	Listing              listingCmd              `cmd:"" help:"Allow, forbid and list what organizations may report to marketplaces."`
	Report               reportCmd               `cmd:"" help:"Report usage to marketplaces by hand, and see what is stuck."`
	Sign                 signCmd                 `cmd:"" help:"Sign a request to Akamai's API, for curl."`
	SimulateMarketplaces simulateMarketplacesCmd `cmd:"" help:"Simulate the AWS, Azure and GCP marketplaces, for trials."`
	Load                 loadCmd                 `cmd:"" help:"Send load to a running server, and measure it."`
	Config               configCmd               `cmd:"" help:"Print the effective settings and where each came from."`
	Version              versionCmd              `cmd:"" help:"Print the version."`
	Completion           completionCmd           `cmd:"" help:"Print a shell script that completes commands and flags."`
	Help                 helpCmd                 `cmd:"" help:"Explain a command and its flags."`
}

// ClientSettings say which running server a command talks to, and as whom.
type ClientSettings struct {
	URL string `name:"url" default:"http://127.0.0.1:8080" setting:"" help:"The server to talk to."`
	Key string `name:"key" placeholder:"KEY" setting:"" secret:"" help:"Key to authenticate with. Better given as ODOMETER_KEY."`
}

// exitError carries the exit code of an error that is not a plain failure.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitWith makes err end the program with the given code.
func exitWith(code int, err error) error { return &exitError{code: code, err: err} }

// usageErrorf is an error in what the user typed.
func usageErrorf(format string, args ...any) error {
	return exitWith(exitUsage, fmt.Errorf(format, args...))
}

// Run is the program: it parses args, runs the command they name until it is
// done or ctx ends, and returns the exit code.
func Run(ctx context.Context, env *Env, args []string) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &output{to: env.Stdout, broken: cancel}
	inner := *env
	inner.Stdout = out
	inner.IsTerminal = func(stream any) bool {
		if stream == any(out) {
			stream = out.to
		}
		return env.IsTerminal(stream)
	}
	code := run(ctx, &inner, args)
	if err := out.failed(); err != nil {
		if !readerGone(err) {
			fmt.Fprintf(env.Stderr, "odometer: not everything was printed: %s\n", err)
		}
		return exitFailed
	}
	return code
}

func run(ctx context.Context, env *Env, args []string) int {
	app, err := newApp(env)
	if err != nil {
		fmt.Fprintln(env.Stderr, "odometer: "+err.Error())
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var parsed *kong.Context
	if err = checkText(args); err == nil {
		parsed, err = app.parser.Parse(args)
	}
	if app.exited { // --help was printed
		return exitOK
	}
	if outputFailed(env) {
		return exitFailed
	}
	if err == nil {
		err = checkGiven(parsed)
	}
	if err != nil {
		err = app.settings.explain(err)
		fmt.Fprintf(env.Stderr, "odometer: %s\n%s\n", err, hint(parsed, err))
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return report(ctx, env, parsed.Run(env, app))
}

// app is one parse of the command line.
type app struct {
	cli      CLI
	parser   *kong.Kong
	settings *settings
	exited   bool
}

func newApp(env *Env) (*app, error) {
	a := &app{settings: newSettings(env.Getenv)}
	parser, err := kong.New(&a.cli,
		kong.Name("odometer"),
		kong.Description("Self-hosted usage metering: takes in usage events, counts each one exactly once, and answers for it."),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(int) { a.exited = true }),
		kong.Resolvers(a.settings),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpWithEnv),
		kong.Vars{"profiles": loadgen.ProfileNames(), "version": versionLine()},
	)
	if err != nil {
		return nil, err
	}
	parser.Model.Name = "odometer"
	a.parser = parser
	return a, nil
}

// helpWithEnv names a setting's environment variable in its help.
func helpWithEnv(value *kong.Value) string {
	if value.Flag == nil || !isSetting(value.Flag) {
		return value.Help
	}
	return fmt.Sprintf("%s (%s)", value.Help, envName(value.Flag.Name))
}

// hint says where to read on after a wrong command line.
func hint(parsed *kong.Context, err error) string {
	var parseErr *kong.ParseError
	if parsed == nil && errors.As(err, &parseErr) {
		parsed = parseErr.Context
	}
	command := "odometer"
	if parsed != nil {
		if selected := parsed.Selected(); selected != nil {
			command = selected.FullPath()
		}
	}
	return "Run `" + command + " --help` for its flags."
}

// report prints a command's error and turns it into an exit code.
func report(ctx context.Context, env *Env, err error) int {
	if err == nil {
		return exitOK
	}
	if outputFailed(env) {
		return exitFailed // Run says what there is to say
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(env.Stderr, "odometer: interrupted")
		return exitInterrupted
	}
	text, wrong := told(err)
	// The client's errors begin with the program's name already.
	fmt.Fprintln(env.Stderr, "odometer: "+strings.TrimPrefix(strings.TrimSpace(text), "odometer: "))
	var withCode *exitError
	if errors.As(err, &withCode) {
		return withCode.code
	}
	switch meter.KindOf(err) {
	case meter.KindInvalid:
		return exitUsage
	case meter.KindCorrupt:
		return exitDisagrees
	}
	if wrong {
		return exitUsage
	}
	return exitFailed
}
