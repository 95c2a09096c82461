package main

import (
	"context"
	"fmt"
	"slices"

	"odometer/client"
)

// ListingCmd says what organizations may report to marketplaces.
type ListingCmd struct {
	List   ListingListCmd   `cmd:"" help:"Print what an organization may report."`
	Allow  ListingAllowCmd  `cmd:"" help:"Allow an organization to report listings. The key needs the operator right."`
	Forbid ListingForbidCmd `cmd:"" help:"Forbid an organization to report listings. The key needs the operator right."`
}

// ListingListCmd prints what an organization may report.
type ListingListCmd struct {
	ClientSettings `embed:""`
	Organization   string `required:"" placeholder:"ID" help:"The organization."`
}

// Run prints it.
func (c *ListingListCmd) Run(ctx context.Context, env *Env) error {
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

// ListingAllowCmd lets an organization report listings.
type ListingAllowCmd struct {
	listingChange `embed:""`
}

// Run allows them and prints what the organization may report then.
func (c *ListingAllowCmd) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, func(have []client.Listing) []client.Listing {
		for _, l := range c.Listings {
			have = append(have, client.Listing{Partner: c.Partner, Listing: l})
		}
		return have
	})
}

// ListingForbidCmd takes listings away from an organization.
type ListingForbidCmd struct {
	listingChange `embed:""`
}

// Run takes them away and prints what the organization may report then.
func (c *ListingForbidCmd) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, func(have []client.Listing) []client.Listing {
		return slices.DeleteFunc(have, func(l client.Listing) bool { return l.Partner == c.Partner && slices.Contains(c.Listings, l.Listing) })
	})
}
