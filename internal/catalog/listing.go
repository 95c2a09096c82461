package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"odometer/internal/meter"
)

const (
	// AnyListing is every listing of a partner that no organization was given by name.
	AnyListing = "*"
	// MaxListings bounds the listings of one organization.
	MaxListings = 10_000
)

// Listing is what an operator lets an organization report to a marketplace: a
// product code or a licence of AWS, a resource of Azure, a service of GCP, or AnyListing.
type Listing struct {
	Partner string    `json:"partner"`
	Listing string    `json:"listing"`
	Created time.Time `json:"created"`
}

// Listing is what an operator has to let the entitlement's organization report;
// "" if the entitlement does not say who is billed. AWS reads the product from
// the licence where there is one.
func (e *Entitlement) Listing() string {
	switch {
	case e.Partner == PartnerAWS && e.AWS != nil && e.AWS.LicenseARN != "":
		return e.AWS.LicenseARN
	case e.Partner == PartnerAWS && e.AWS != nil:
		return e.AWS.ProductCode
	case e.Partner == PartnerAzure && e.Azure != nil:
		return strings.ToLower(e.Azure.ResourceID)
	case e.Partner == PartnerGCP && e.GCP != nil:
		return e.GCP.Service
	}
	return ""
}

// Account is who is billed, as the marketplace tells buyers apart; "" if the
// entitlement does not say so.
func (e *Entitlement) Account() string {
	listing := e.Listing()
	switch {
	case listing == "":
		return ""
	case e.Partner == PartnerAWS:
		return strings.Join([]string{e.Partner, listing, e.AWS.CustomerIdentifier, e.AWS.AccountID}, "|")
	case e.Partner == PartnerAzure:
		return e.Partner + "|" + listing
	}
	return strings.Join([]string{e.Partner, listing, e.GCP.UsageReportingID}, "|")
}

// Listings returns what an organization may report, by partner and listing.
func (s *Store) Listings(ctx context.Context, organization string) ([]Listing, error) {
	if _, err := getOrganization(ctx, s.reader, organization); err != nil {
		return nil, s.fail(err, "cannot read the listings")
	}
	all, err := list(ctx, s.reader, scanListing, stmt.ListingList, organization)
	if err != nil {
		return nil, s.fail(err, "cannot read the listings")
	}
	return all, nil
}

func scanListing(r row) (Listing, error) {
	var l Listing
	var created sql.NullInt64
	err := r.Scan(&l.Partner, &l.Listing, &created)
	l.Created = fromMicros(created)
	return l, err
}

// SetListings makes listings all that an organization may report, and returns
// them. Those that it had keep their time.
func (s *Store) SetListings(ctx context.Context, organization string, listings []Listing, actor string) ([]Listing, error) {
	listings, err := checkListings(listings)
	if err := errors.Join(err, checkActor(actor)); err != nil {
		return nil, err
	}
	err = s.write(ctx, "change the listings", func(tx *sql.Tx) error {
		if _, err := getOrganization(ctx, tx, organization); err != nil {
			return err
		}
		had, err := list(ctx, tx, scanListing, stmt.ListingList, organization)
		if err != nil {
			return err
		}
		created := map[[2]string]time.Time{}
		for _, l := range had {
			created[[2]string{l.Partner, l.Listing}] = l.Created
		}
		for i := range listings {
			l := &listings[i]
			if l.Created = created[[2]string{l.Partner, l.Listing}]; l.Created.IsZero() {
				l.Created = s.now()
			}
		}
		if slices.Equal(had, listings) {
			return nil
		}
		if err := putListings(ctx, tx, organization, listings); err != nil {
			return err
		}
		return s.audit(ctx, tx, change{organization: organization, actor: actor, action: AuditUpdate, noun: "listings", id: organization, before: had, after: listings})
	})
	return listings, err
}

func putListings(ctx context.Context, tx *sql.Tx, organization string, listings []Listing) error {
	if _, err := tx.ExecContext(ctx, stmt.ListingClear, organization); err != nil {
		return err
	}
	for _, l := range listings {
		if _, err := tx.ExecContext(ctx, stmt.ListingCreate, organization, l.Partner, l.Listing, micros(l.Created)); err != nil {
			return err
		}
	}
	return nil
}

// allListings is every listing of every partner: what the first organization may report.
func allListings(at time.Time) []Listing {
	return []Listing{{PartnerAWS, AnyListing, at}, {PartnerAzure, AnyListing, at}, {PartnerGCP, AnyListing, at}}
}

// checkListings puts listings in order, as they are stored.
func checkListings(given []Listing) ([]Listing, error) {
	if len(given) > MaxListings {
		return nil, meter.Errorf(meter.KindTooLarge, "%d listings: an organization has at most %d", len(given), MaxListings)
	}
	out := make([]Listing, len(given))
	for i, l := range given {
		switch {
		case l.Partner != PartnerAWS && l.Partner != PartnerAzure && l.Partner != PartnerGCP:
			return nil, meter.Errorf(meter.KindInvalid, "%s: partner %q: want one of AWS, AZURE, GCP", item("listings", i), clip(l.Partner))
		case !validText(l.Listing, MaxNounIDBytes):
			return nil, meter.Errorf(meter.KindInvalid, "%s: listing: want 1 to %d bytes of UTF-8 without control characters", item("listings", i), MaxNounIDBytes)
		}
		out[i] = Listing{Partner: l.Partner, Listing: l.Listing}
		if l.Partner == PartnerAzure {
			out[i].Listing = strings.ToLower(l.Listing)
		}
	}
	slices.SortFunc(out, func(a, b Listing) int {
		return strings.Compare(a.Partner+"\x00"+a.Listing, b.Partner+"\x00"+b.Listing)
	})
	return slices.Compact(out), nil
}

// MayReport says whether an operator lets an organization report a listing: it
// was given by name, or everything was and no other organization was given this
// one by name.
func (s *Store) MayReport(ctx context.Context, organization, partner, listing string) (bool, error) {
	may, err := mayReport(ctx, s.reader, organization, partner, listing)
	if err != nil {
		return false, s.fail(err, "cannot read the listings")
	}
	return may, nil
}

func mayReport(ctx context.Context, q queryer, organization, partner, listing string) (bool, error) {
	type holder struct{ organization, listing string }
	holders, err := list(ctx, q, func(r row) (holder, error) {
		var h holder
		return h, r.Scan(&h.organization, &h.listing)
	}, stmt.ListingHolders, partner, listing, organization)
	if err != nil {
		return false, err
	}
	named := slices.ContainsFunc(holders, func(h holder) bool { return h.listing != AnyListing })
	return slices.ContainsFunc(holders, func(h holder) bool {
		return h.organization == organization && (h.listing != AnyListing || !named)
	}), nil
}

// TakeAccounts makes an organization the one that bills the accounts of
// entitlements, and returns why it may not, by entitlement: an operator does not
// let it, or the account is another organization's. Those that it may report have no entry.
func (s *Store) TakeAccounts(ctx context.Context, organization string, entitlements []*Entitlement) (map[string]error, error) {
	held, err := list(ctx, s.reader, func(r row) (string, error) {
		var account string
		return account, r.Scan(&account)
	}, stmt.AccountOf, organization)
	if err != nil {
		return nil, s.fail(err, "cannot read who bills an account")
	}
	mine := map[string]bool{}
	for _, account := range held {
		mine[account] = true
	}
	refused, may := map[string]error{}, map[[2]string]bool{}
	var fresh []*Entitlement
	for _, e := range entitlements {
		key := [2]string{e.Partner, e.Listing()}
		if _, known := may[key]; !known {
			if may[key], err = s.MayReport(ctx, organization, key[0], key[1]); err != nil {
				return nil, err
			}
		}
		switch {
		case !may[key]:
			refused[e.ID] = errListing(organization, e)
		case !mine[e.Account()]:
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return refused, nil
	}
	err = s.write(ctx, "take the accounts of entitlements", func(tx *sql.Tx) error {
		taker := s.taker(tx, organization)
		for _, e := range fresh {
			if err := taker.take(ctx, e, true); err != nil && meter.KindOf(err) == meter.KindConflict {
				refused[e.ID] = err
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return refused, err
}

// Refused says why an organization may not report an entitlement, as
// TakeAccounts does, and takes nothing; nil if it may.
func (s *Store) Refused(ctx context.Context, organization string, e *Entitlement) (refused, err error) {
	may, err := s.MayReport(ctx, organization, e.Partner, e.Listing())
	switch {
	case err != nil:
		return nil, err
	case !may:
		return errListing(organization, e), nil
	}
	err = s.taker(s.reader, organization).take(ctx, e, false)
	if err != nil && meter.KindOf(err) == meter.KindConflict {
		return err, nil
	}
	if err != nil {
		return nil, s.fail(err, "cannot read who bills an account")
	}
	return nil, nil
}

func errListing(organization string, e *Entitlement) error {
	return meter.Errorf(meter.KindForbidden, "entitlement %s: organization %s may not report to the %s listing %s: an operator has to allow it",
		clip(e.ID), organization, e.Partner, clip(e.Listing()))
}

// executor reads and writes.
type executor interface {
	queryer
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// accountTaker takes accounts for one organization.
type accountTaker struct {
	s            *Store
	q            executor
	organization string
	theirs       map[string]map[string]bool // accounts of the entitlements of other organizations
}

func (s *Store) taker(q executor, organization string) *accountTaker {
	return &accountTaker{s, q, organization, map[string]map[string]bool{}}
}

// take checks that no other organization bills the account of an entitlement,
// and, for good, notes that this one does.
func (t *accountTaker) take(ctx context.Context, e *Entitlement, forGood bool) error {
	var holder string
	err := t.q.QueryRowContext(ctx, stmt.AccountHolder, e.Account()).Scan(&holder)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if holder == t.organization {
		return nil
	}
	if holder != "" {
		holds, err := t.holds(ctx, holder, e)
		if err != nil {
			return err
		}
		if holds {
			return meter.Errorf(meter.KindConflict, "entitlement %s: the marketplace account %s is billed by another organization", clip(e.ID), clip(e.Account()))
		}
	}
	if !forGood {
		return nil
	}
	_, err = t.q.ExecContext(ctx, stmt.AccountTake, e.Account(), t.organization, micros(t.s.now()))
	return err
}

// holds says whether another organization may still report the listing of an
// entitlement and has one of the same account itself.
func (t *accountTaker) holds(ctx context.Context, holder string, e *Entitlement) (bool, error) {
	may, err := mayReport(ctx, t.q, holder, e.Partner, e.Listing())
	if err != nil || !may {
		return false, err
	}
	if t.theirs[holder] == nil {
		accounts, err := list(ctx, t.q, scanAccount, stmt.EntitlementsOf, holder)
		if err != nil {
			return false, err
		}
		t.theirs[holder] = map[string]bool{}
		for _, account := range accounts {
			t.theirs[holder][account] = true
		}
	}
	return t.theirs[holder][e.Account()], nil
}

func scanAccount(r row) (string, error) {
	var text string
	var e Entitlement
	if err := r.Scan(&text); err != nil {
		return "", err
	}
	err := json.Unmarshal([]byte(text), &e)
	return e.Account(), err
}

// takeAccounts takes the accounts of the entitlements that a plan changes and
// that the organization may report; a dry run checks them only. An entitlement
// that it may not report bills nobody, and is in nobody's way.
func (s *Store) takeAccounts(ctx context.Context, q executor, p *plan, dry bool) error {
	may, taker := map[[2]string]bool{}, s.taker(q, p.old.ID)
	for i := range p.diff.Changes {
		c := &p.diff.Changes[i]
		if c.Noun != NounEntitlement || c.After == nil {
			continue
		}
		var e Entitlement
		if err := json.Unmarshal(c.After, &e); err != nil {
			return err
		}
		key := [2]string{e.Partner, e.Listing()}
		if key[1] == "" {
			continue
		}
		if _, known := may[key]; !known {
			var err error
			if may[key], err = mayReport(ctx, q, p.old.ID, key[0], key[1]); err != nil {
				return err
			}
		}
		if !may[key] {
			continue
		}
		if err := taker.take(ctx, &e, !dry); err != nil {
			return err
		}
	}
	return nil
}
