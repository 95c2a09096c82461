package catalog

import (
	"context"
	"database/sql"
	"encoding/json"

	"odometer/internal/meter"
)

// PutMeteringConfigs replaces the configs of the partners that are named, whole
// and in one step; the others stay. It returns all of them by partner. No
// partner at all, or one twice, is KindInvalid.
func (s *Records) PutMeteringConfigs(ctx context.Context, organization string, configs []MeteringConfig, actor string) ([]MeteringConfig, error) {
	if err := CheckActor(actor); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range configs {
		if !PlainText(c.Partner, MaxNounIDBytes) || seen[c.Partner] {
			return nil, meter.Errorf(meter.KindInvalid, "partner %q is missing or given twice", Clip(c.Partner))
		}
		seen[c.Partner] = true
	}
	var all []MeteringConfig
	err := s.db.Write(ctx, "change the metering configuration", func(tx *sql.Tx) error {
		if _, err := GetOrganization(ctx, tx, organization); err != nil {
			return err
		}
		had, err := List(ctx, tx, scanMeteringConfig, stmtRecords.MeteringConfigList, organization)
		if err != nil {
			return err
		}
		for _, c := range configs {
			text, err := json.Marshal(c)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, stmtRecords.MeteringConfigPut, organization, c.Partner, string(text)); err != nil {
				return err
			}
			told := Entry{Organization: organization, Actor: actor, Action: AuditCreate, Noun: "metering_config", ID: c.Partner, After: c}
			for _, before := range had {
				if before.Partner == c.Partner {
					told.Action, told.Before = AuditUpdate, before
				}
			}
			if err := s.db.Audit(ctx, tx, told); err != nil {
				return err
			}
		}
		all, err = List(ctx, tx, scanMeteringConfig, stmtRecords.MeteringConfigList, organization)
		return err
	})
	return all, err
}

// MeteringConfigs returns an organization's configs by partner.
func (s *Records) MeteringConfigs(ctx context.Context, organization string) ([]MeteringConfig, error) {
	all, err := List(ctx, s.db.Reader(), scanMeteringConfig, stmtRecords.MeteringConfigList, organization)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read the metering configuration")
	}
	return all, nil
}

func scanMeteringConfig(r Row) (MeteringConfig, error) {
	var c MeteringConfig
	var text string
	if err := r.Scan(&text); err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(text), &c)
}
