package main

import (
	"context"
	"fmt"

	"odometer/client"
)

// closeCmd closes a month.
type closeCmd struct {
	ClientSettings `embed:""`
	Organization   string `placeholder:"ID" help:"Act on this organization. The key needs the operator right."`
	Customer       string `placeholder:"ID" help:"Close the month of this customer only."`
	NoWait         bool   `help:"Do not wait until the month is closed for all customers."`
	Month          string `arg:"" help:"The calendar month in UTC, like 2026-10."`
}

// Help says what closing is.
func (c *closeCmd) Help() string {
	return "Keeps every figure of the month for ever. Later usage of it is booked to the open month. Goes on in the server if the command is ended; the same command then waits for it again."
}

// Run closes the month and prints what was closed.
func (c *closeCmd) Run(ctx context.Context, env *Env) error {
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	if c.Customer != "" {
		p, err := api.ClosePeriod(ctx, c.Customer, c.Month)
		if err != nil {
			return err
		}
		if p.Warning != "" {
			fmt.Fprintln(env.Stderr, "warning:", shown(p.Warning))
		}
		_, err = fmt.Fprintf(env.Stdout, "%s of %s is closed\n", shown(p.Month), shown(p.Customer))
		return err
	}
	closing, err := api.CloseMonth(ctx, c.Month)
	if err != nil {
		return err
	}
	if !c.NoWait {
		told := ""
		closing, err = api.WaitClosing(ctx, closing.ID, func(now client.Closing) {
			if text := closingProgress(now); text != told {
				told = text
				fmt.Fprintln(env.Stderr, text)
			}
		})
		if err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(env.Stdout, closingText(closing)); err != nil {
		return err
	}
	if closing.Status == "FAILED" {
		return fmt.Errorf("%d months were not closed: %s", closing.Failed, shown(closing.Error))
	}
	return nil
}

// closingProgress is one line about a closing that goes on.
func closingProgress(c client.Closing) string {
	if c.Status == "WAITING" {
		return "waiting for another closing"
	}
	return fmt.Sprintf("%d of %d customers", c.Closed, c.Customers)
}

// closingText is one line about a closing.
func closingText(c client.Closing) string {
	if c.Ended.IsZero() {
		return fmt.Sprintf("closing %s of %s is under way: %s", shown(c.ID), shown(c.Month), closingProgress(c))
	}
	return fmt.Sprintf("%s is closed for %d customers", shown(c.Month), c.Closed)
}
