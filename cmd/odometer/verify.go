package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
	"odometer/internal/records"
	stored "odometer/internal/store/records"
)

// verifyCmd checks that what a data directory answers is what its log says.
type verifyCmd struct {
	CatalogSettings `embed:""`

	Data   string   `required:"" placeholder:"DIR" help:"The data directory. No server may be using it."`
	Memory byteSize `default:"512MiB" help:"Memory for sorting identities and adding up cells. What does not fit is kept in temporary files below the data directory."`
	JSON   bool     `name:"json" help:"Print the result as JSON."`
}

// Help says what is checked.
func (c *verifyCmd) Help() string {
	return "Reads the whole log with separate code. Judges every event anew by sorting identities, and adds up every meter one event at a time. Then " +
		"compares the result with the index and the totals. Exit code 3 if anything differs or is damaged. To check a running server, verify a restored backup of it."
}

// Run verifies and prints the report.
func (c *verifyCmd) Run(ctx context.Context, env *Env) error {
	data, err := openAtRest(ctx, env, c.Data, c.CatalogSettings)
	if err != nil {
		return err
	}
	if env.Getenv("GOMEMLIMIT") == "" {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(c.Memory) + verifyBeside))
	}
	progress := &verifyProgress{env: env}
	report, err := verify.Run(ctx, data.ledger, verify.Options{MemoryBytes: int64(c.Memory), Folder: c.Data, Progress: progress.show})
	progress.clear()
	if err == nil {
		err = c.checkCatalog(ctx, env, data, &report)
	}
	closed := data.close()
	if err == nil && meter.KindOf(closed) == meter.KindCorrupt { // damage that only the closing met
		report.Problems = append(report.Problems, closed.Error())
		closed = nil
	}
	if err = errors.Join(err, closed); err != nil {
		return fmt.Errorf("verify %s: %w", c.Data, err)
	}
	if err := printVerify(env.Stdout, report, c.JSON); err != nil {
		return err
	}
	if found := len(report.Problems) + report.MoreFound; found > 0 {
		return exitWith(exitDisagrees, fmt.Errorf("%s: %s found", c.Data, plural(found, "problem")))
	}
	return nil
}

// checkCatalog reads the whole catalog, also one in PostgreSQL if it is named.
func (c *verifyCmd) checkCatalog(ctx context.Context, env *Env, data *atRest, report *verify.Report) (err error) {
	store := data.catalog
	if store == nil && c.Catalog == "" {
		report.Skipped = append(report.Skipped, "the catalog, which is in PostgreSQL: name it with --catalog")
		return nil
	}
	if store == nil {
		if store, err = c.open(ctx, env, c.Catalog, nil); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
	}
	note := func(problem string) {
		if len(report.Problems) >= maxProblemsShown {
			report.MoreFound++
			return
		}
		report.Problems = append(report.Problems, problem)
	}
	if problem := store.Check(ctx); problem != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		note(problem.Error())
		if meter.KindOf(problem) != meter.KindCorrupt {
			return nil
		}
	}
	err = records.VerifyReported(ctx, data.ledger, store, stored.New(store), note)
	if meter.KindOf(err) == meter.KindCorrupt {
		note(err.Error())
		err = nil
	}
	return err
}

// maxProblemsShown bounds the problems that are listed; the others are counted.
const maxProblemsShown = 200

func printVerify(w io.Writer, r verify.Report, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	for _, problem := range r.Problems {
		fmt.Fprintln(w, "problem: "+problem)
	}
	if r.MoreFound > 0 {
		fmt.Fprintf(w, "and %s more\n", plural(r.MoreFound, "problem"))
	}
	for _, skipped := range r.Skipped {
		fmt.Fprintln(w, "not compared: "+skipped)
	}
	_, err := fmt.Fprintf(w, "%s blocks, %s events, %s identities and %s cells verified in %s (%s events/s)\n", group(r.Blocks), group(r.Events),
		group(r.Identities), group(r.Cells), r.Elapsed.Round(time.Millisecond), group(perSecond(r.Events, r.Elapsed)))
	return err
}

// verifyBeside is the memory of the open ledger beside what verification sorts and adds up.
const verifyBeside = 128 << 20

// verifyProgress redraws one line on a terminal; elsewhere it writes a line at
// the start of each pass and for each tenth of it.
type verifyProgress struct {
	env   *Env
	drawn bool
	pass  string // told last
	tenth uint64
}

// verifyPasses says what is counted in a pass.
var verifyPasses = map[string]string{"log": "blocks", "verdicts": "parts", "cells": "parts"}

func (p *verifyProgress) show(at verify.Progress) {
	line := "verifying " + at.Pass
	if at.Cells > 0 {
		line += fmt.Sprintf(", %s cells in all", group(at.Cells))
	}
	if at.Disk > 0 {
		line += fmt.Sprintf(", up to %s of temporary files", byteSize((at.Disk+1<<20-1)>>20<<20))
	}
	line += fmt.Sprintf(": %s of %s %s", group(at.Done), group(at.All), verifyPasses[at.Pass])
	if !p.env.IsTerminal(p.env.Stderr) {
		tenth := at.Done * 10 / max(at.All, 1)
		if at.Pass != p.pass || tenth > p.tenth {
			fmt.Fprintln(p.env.Stderr, line)
			p.pass, p.tenth = at.Pass, tenth
		}
		return
	}
	p.drawn = true
	fmt.Fprintf(p.env.Stderr, "\r\x1b[K%s", line)
}

func (p *verifyProgress) clear() {
	if p.drawn {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
	}
}
