package store

import (
	"embed"

	"odometer/internal/store/sqlfile"
)

// The statements are in sql/, one file a table, in the SQL that all databases
// share but for sqlite.sql and postgres.sql; parameters are $1, $2, ... everywhere.
//
//go:embed sql/*.sql
var stmtFiles embed.FS

var stmt = sqlfile.Load[statements](stmtFiles, "sql")

// statements are those in sql/ by their names there.
type statements struct {
	// accounts.sql
	AccountHolder, AccountOf, AccountTake, EntitlementsOf string

	// audit_entries.sql
	AuditCreate, AuditCreateNumbered, AuditLast, AuditList string

	// checksum_keys.sql
	ChecksumKeyCreate, ChecksumKeyList string

	// close_jobs.sql
	CloseJobBegin, CloseJobCreate, CloseJobEnd, CloseJobGet, CloseJobLast, CloseJobList, CloseJobProgress, CloseJobsForget, CloseJobsOpen, CloseJobsOpenOf string

	// installation.sql
	KeysVersion, LedgerGet, LedgerSet string

	// listings.sql
	ListingClear, ListingCreate, ListingHolders, ListingList string

	// meters.sql
	MeterClear, MeterDelete, MeterGet, MeterList, MeterPut, MetersSequence, MetersSequenceSet string

	// nouns.sql
	CustomersCreated, CustomersKnown, CustomersNext, CustomersNow, EntitlementUsed, NounCreate, NounCurrent, NounEnd, NounList, NounPage, NounSupersede, NounVersions, NounsChanged, NounsCore, NounsCustomers, NounsMany, NounsNamed, NounsNow, NounsOfKind, NounsOnce, NounsOnceOwners, NounsOwn, NounsOwnNow, NounsOwnOf, NounsSound, NounsSoundGet, NounsTotal, NounsVersion string

	// noun_links.sql
	LinkAdd, LinksOf, LinksTo string

	// organizations.sql
	OrganizationCount, OrganizationCreate, OrganizationGet, OrganizationList, OrganizationUpdate string

	// periods.sql
	PeriodCreate, PeriodCustomers, PeriodGet, PeriodList, PeriodNextMonth, PeriodsClosed, PeriodsOf string

	// postgres.sql
	PostgresCheck, PostgresListen, PostgresLock, PostgresTables, PostgresVersion string

	// product_uses.sql
	ProductUsesAdd, ProductUsesList string

	// schema_migrations.sql
	MigrationCreate, MigrationLatest string

	// sqlite.sql
	SQLiteBackup, SQLiteIntegrity, SQLiteReferences, SQLiteTables string
}
