package main

import (
	"context"
	"fmt"
	"slices"

	"odometer/client"
)

// listingCmd says what organizations may report to marketplaces.
type listingCmd struct {
	List   listingListCmd   `cmd:"" help:"Print what an organization may report."`
	Allow  listingAllowCmd  `cmd:"" help:"Allow an organization to report listings. The key needs the operator right."`
	Forbid listingForbidCmd `cmd:"" help:"Forbid an organization to report listings. The key needs the operator right."`
}

// listingListCmd prints what an organization may report.
type listingListCmd struct {
	ClientSettings `embed:""`
	Organization   string `required:"" placeholder:"ID" help:"The organization."`
}

// Run prints it.
func (c *listingListCmd) Run(ctx context.Context, env *Env) error {
	api, err := newClient(c.ClientSettings, "")
	if err != nil {
		return err
	}
	all, err := api.Listings(ctx, c.Organization)
	if err != nil {
		return err
	}
	return printListings(env, all)
}

func printListings(env *Env, all []client.Listing) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(env.Stdout, "nothing")
		return err
	}
	table := newTable(env.Stdout, false)
	fmt.Fprintln(table, "partner\tlisting\tsince")
	for _, l := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\n", shownAll(l.Partner, l.Listing, orDash(l.Created))...)
	}
	return table.Flush()
}

// listingChange names listings of one partner.
type listingChange struct {
	ClientSettings `embed:""`
	Organization   string   `required:"" placeholder:"ID" help:"The organization."`
	Partner        string   `arg:"" enum:"AWS,AZURE,GCP" help:"AWS, AZURE or GCP."`
	Listings       []string `arg:"" help:"AWS product codes or license ARNs, Azure resources, GCP services. * is everything that no organization was given by name."`
}

func (c *listingChange) run(ctx context.Context, env *Env, change func(have []client.Listing) []client.Listing) error {
	api, err := newClient(c.ClientSettings, "")
	if err != nil {
		return err
	}
	have, err := api.Listings(ctx, c.Organization)
	if err != nil {
		return err
	}
	now, err := api.SetListings(ctx, c.Organization, change(have))
	if err != nil {
		return err
	}
	return printListings(env, now)
}

// listingAllowCmd lets an organization report listings.
type listingAllowCmd struct {
	listingChange `embed:""`
}

// Run allows them and prints what the organization may report then.
func (c *listingAllowCmd) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, func(have []client.Listing) []client.Listing {
		for _, l := range c.Listings {
			have = append(have, client.Listing{Partner: c.Partner, Listing: l})
		}
		return have
	})
}

// listingForbidCmd takes listings away from an organization.
type listingForbidCmd struct {
	listingChange `embed:""`
}

// Run takes them away and prints what the organization may report then.
func (c *listingForbidCmd) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, func(have []client.Listing) []client.Listing {
		return slices.DeleteFunc(have, func(l client.Listing) bool { return l.Partner == c.Partner && slices.Contains(c.Listings, l.Listing) })
	})
}
