package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"odometer/client"
)

// reportCmd reports to marketplaces by hand.
type reportCmd struct {
	Run       reportRunCmd       `cmd:"" default:"withargs" help:"Report one hour of one entitlement now."`
	Reconcile reportReconcileCmd `cmd:"" help:"Let the reporter work again after a restore, and send again what is frozen."`
	Stuck     reportStuckCmd     `cmd:"" help:"Print what is not reported, why, and until when it can be reported."`
	Resolve   reportResolveCmd   `cmd:"" help:"Decide what becomes of a parked or refused dimension of a report."`
}

// reportRunCmd reports one hour of one entitlement.
type reportRunCmd struct {
	ClientSettings `embed:""`
	Organization   string `placeholder:"ID" help:"Act on this organization. The key needs the operator right."`
	Entitlement    string `required:"" placeholder:"ID" help:"The entitlement."`
	Hour           string `required:"" placeholder:"TIME" help:"Start of the hour, which must have closed: RFC 3339."`
	DryRun         bool   `help:"Only print what would be reported."`
}

// Help says what happens to an hour that was reported.
func (c *reportRunCmd) Help() string {
	return "Freezes what is unreported for the hour. Sends again what is already frozen, as it was. Nothing is billed twice."
}

// Run reports and prints where the usage went.
func (c *reportRunCmd) Run(ctx context.Context, env *Env) error {
	hour, err := time.Parse(time.RFC3339, c.Hour)
	if err != nil {
		return usageErrorf("--hour %q: want RFC 3339, like 2026-11-01T10:00:00Z", c.Hour)
	}
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	reports, err := api.RunReport(ctx, c.Entitlement, hour, c.DryRun)
	if err != nil {
		return err
	}
	return printReports(env.Stdout, reports)
}

// printReports prints where the usage of each dimension went.
func printReports(w io.Writer, reports []client.Report) error {
	if len(reports) == 0 {
		_, err := fmt.Fprintln(w, "nothing to report")
		return err
	}
	t := newTable(w, false)
	fmt.Fprintln(t, "REPORT\tENTITLEMENT\tDIMENSION\tSTATE\tUSAGE\tCREDIT\tCOMMIT\tINCLUDED\tCARRIED IN\tSENT\tCARRIED OUT\tREASON")
	for _, r := range reports {
		name := r.ID
		if !r.Stored {
			name = "(dry run)"
		}
		for _, d := range r.Dimensions {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shownAll(name, r.Entitlement, d.Dimension, d.State, d.Usage, d.Credit, d.Commit, d.Included,
				d.CarryIn, d.Sent, d.CarryOut, d.Reason)...)
		}
	}
	return t.Flush()
}

// stuckTarget names the organization whose reports are meant.
type stuckTarget struct {
	ClientSettings `embed:""`
	Organization   string `placeholder:"ID" help:"Act on this organization. The key needs the operator right."`
}

// print asks with a call and prints what is stuck.
func (c *stuckTarget) print(ctx context.Context, env *Env, ask func(*client.Client, context.Context) (client.StuckReports, error)) error {
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	stuck, err := ask(api, ctx)
	if err != nil {
		return err
	}
	return printStuck(env.Stdout, stuck)
}

// reportReconcileCmd ends the pause after a restore.
type reportReconcileCmd struct {
	stuckTarget `embed:""`
}

// Run reconciles and prints what is stuck.
func (c *reportReconcileCmd) Run(ctx context.Context, env *Env) error {
	return c.print(ctx, env, (*client.Client).ReconcileReports)
}

// reportStuckCmd prints what is not reported.
type reportStuckCmd struct {
	stuckTarget `embed:""`
}

// Run prints it.
func (c *reportStuckCmd) Run(ctx context.Context, env *Env) error {
	return c.print(ctx, env, (*client.Client).StuckReports)
}

func printStuck(w io.Writer, s client.StuckReports) error {
	if s.Paused {
		fmt.Fprintf(w, "paused: %s\n", shown(s.Reason))
	}
	if len(s.Lines)+len(s.Waiting) == 0 {
		_, err := fmt.Fprintln(w, "nothing is stuck")
		return err
	}
	t := newTable(w, false)
	if len(s.Lines) > 0 {
		fmt.Fprintln(t, "STATE\tREPORT\tENTITLEMENT\tPARTNER\tACCOUNT\tDIMENSION\tHOUR\tUSAGE\tSENT\tATTEMPTS\tDEADLINE\tREASON")
	}
	for _, l := range s.Lines {
		sent, deadline := "-", "-"
		if l.Operation != "" {
			sent, deadline = l.Quantity, l.Deadline.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shownAll(l.State, l.Report, l.Entitlement, l.Partner, l.Account, l.Dimension,
			l.Hour.Format(time.RFC3339), l.Usage, sent, strconv.Itoa(l.Attempts), deadline, l.Reason)...)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, e := range s.Waiting {
		what := fmt.Sprintf("%d groups unreported, the oldest usage of %s", e.Groups, e.Oldest.Format(time.RFC3339))
		if e.Groups == 0 {
			what = "what its meters count is not reported"
		}
		if e.Reason != "" {
			what += ": " + e.Reason
		}
		fmt.Fprintf(w, "entitlement %s: %s\n", shown(e.Entitlement), shown(what))
	}
	return nil
}

// reportResolveCmd ends a parked or refused dimension.
type reportResolveCmd struct {
	ClientSettings `embed:""`
	Organization   string `placeholder:"ID" help:"Act on this organization. The key needs the operator right."`
	Report         string `required:"" placeholder:"ID" help:"The report."`
	Dimension      string `required:"" placeholder:"KEY" help:"The dimension."`
	As             string `required:"" enum:"settled,refused,moved,elsewhere" help:"settled: the marketplace holds it; if nothing was sent, the next hour bills it. refused: the marketplace does not hold it. moved: the marketplace does not hold it, and a later hour bills it. elsewhere: you have settled it with the customer, and the marketplace bills none of it."`
}

// Run resolves it.
func (c *reportResolveCmd) Run(ctx context.Context, env *Env) error {
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	if err := api.ResolveReport(ctx, c.Report, c.Dimension, c.As); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s of report %s: %s\n", c.Dimension, c.Report, c.As)
	return err
}
