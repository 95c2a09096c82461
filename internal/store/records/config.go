package records

import (
	"context"
	"database/sql"
	"encoding/json"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// PutMeteringConfigs replaces the configs of the partners that are named, whole
// and in one step; the others stay. It returns all of them by partner. No
// partner at all, or one twice, is KindInvalid.
func (s *Store) PutMeteringConfigs(ctx context.Context, organization string, configs []billing.MeteringConfig, actor string) ([]billing.MeteringConfig, error) {
	if err := catalog.CheckActor(actor); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range configs {
		if !meter.PlainText(c.Partner, catalog.MaxNounIDBytes) || seen[c.Partner] {
			return nil, meter.Errorf(meter.KindInvalid, "partner %q is missing or given twice", meter.Clip(c.Partner))
		}
		seen[c.Partner] = true
	}
	var all []billing.MeteringConfig
	err := s.db.Write(ctx, "change the metering configuration", func(tx *sql.Tx) error {
		if _, err := store.GetOrganization(ctx, tx, organization); err != nil {
			return err
		}
		had, err := store.List(ctx, tx, scanMeteringConfig, stmt.MeteringConfigList, organization)
		if err != nil {
			return err
		}
		for _, c := range configs {
			text, err := json.Marshal(c)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, stmt.MeteringConfigPut, organization, c.Partner, string(text)); err != nil {
				return err
			}
			entry := store.Entry{Organization: organization, Actor: actor, Action: catalog.AuditCreate, Noun: "metering_config", ID: c.Partner, After: c}
			for _, before := range had {
				if before.Partner == c.Partner {
					entry.Action, entry.Before = catalog.AuditUpdate, before
				}
			}
			if err := s.db.Audit(ctx, tx, entry); err != nil {
				return err
			}
		}
		all, err = store.List(ctx, tx, scanMeteringConfig, stmt.MeteringConfigList, organization)
		return err
	})
	return all, err
}

// MeteringConfigs returns an organization's configs by partner.
func (s *Store) MeteringConfigs(ctx context.Context, organization string) ([]billing.MeteringConfig, error) {
	all, err := store.List(ctx, s.db.Reader(), scanMeteringConfig, stmt.MeteringConfigList, organization)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read the metering configuration")
	}
	return all, nil
}

func scanMeteringConfig(r store.Row) (billing.MeteringConfig, error) {
	var c billing.MeteringConfig
	var text string
	if err := r.Scan(&text); err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(text), &c)
}
