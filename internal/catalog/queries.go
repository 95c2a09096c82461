package catalog

import _ "embed" // the statements are files

// The statements, one a file, in the SQL that all dialects share; parameters
// are $1, $2, ... everywhere.
var (
	//go:embed sql/organization_create.sql
	sqlOrganizationCreate string
	//go:embed sql/organization_update.sql
	sqlOrganizationUpdate string
	//go:embed sql/organization_get.sql
	sqlOrganizationGet string
	//go:embed sql/organization_list.sql
	sqlOrganizationList string
	//go:embed sql/organization_count.sql
	sqlOrganizationCount string

	//go:embed sql/key_create.sql
	sqlKeyCreate string
	//go:embed sql/key_get.sql
	sqlKeyGet string
	//go:embed sql/key_list.sql
	sqlKeyList string
	//go:embed sql/key_live.sql
	sqlKeyLive string
	//go:embed sql/key_sources.sql
	sqlKeySources string
	//go:embed sql/key_count.sql
	sqlKeyCount string
	//go:embed sql/key_others.sql
	sqlKeyOthers string
	//go:embed sql/key_revoke.sql
	sqlKeyRevoke string
	//go:embed sql/key_used.sql
	sqlKeyUsed string

	//go:embed sql/keys_version.sql
	sqlKeysVersion string
	//go:embed sql/ledger_get.sql
	sqlLedgerGet string
	//go:embed sql/ledger_set.sql
	sqlLedgerSet string

	//go:embed sql/meter_put.sql
	sqlMeterPut string
	//go:embed sql/meter_get.sql
	sqlMeterGet string
	//go:embed sql/meter_list.sql
	sqlMeterList string
	//go:embed sql/meter_delete.sql
	sqlMeterDelete string
	//go:embed sql/meter_clear.sql
	sqlMeterClear string
	//go:embed sql/meters_sequence.sql
	sqlMetersSequence string
	//go:embed sql/meters_sequence_set.sql
	sqlMetersSequenceSet string

	//go:embed sql/noun_list.sql
	sqlNounList string
	//go:embed sql/noun_create.sql
	sqlNounCreate string
	//go:embed sql/noun_supersede.sql
	sqlNounSupersede string
	//go:embed sql/noun_end.sql
	sqlNounEnd string
	//go:embed sql/nouns_version.sql
	sqlNounsVersion string
	//go:embed sql/nouns_changed.sql
	sqlNounsChanged string

	//go:embed sql/customer_count.sql
	sqlCustomerCount string
	//go:embed sql/customers_created.sql
	sqlCustomersCreated string

	//go:embed sql/period_create.sql
	sqlPeriodCreate string
	//go:embed sql/period_get.sql
	sqlPeriodGet string
	//go:embed sql/period_list.sql
	sqlPeriodList string
	//go:embed sql/period_next_month.sql
	sqlPeriodNextMonth string
	//go:embed sql/period_customers.sql
	sqlPeriodCustomers string

	//go:embed sql/noun_current.sql
	sqlNounCurrent string

	//go:embed sql/record_group_create.sql
	sqlRecordGroupCreate string
	//go:embed sql/record_group_serial.sql
	sqlRecordGroupSerial string
	//go:embed sql/record_group_named.sql
	sqlRecordGroupNamed string
	//go:embed sql/record_group_get.sql
	sqlRecordGroupGet string
	//go:embed sql/record_group_between.sql
	sqlRecordGroupBetween string
	//go:embed sql/record_group_after.sql
	sqlRecordGroupAfter string
	//go:embed sql/record_group_list.sql
	sqlRecordGroupList string
	//go:embed sql/record_group_list_entitlement.sql
	sqlRecordGroupListEntitlement string
	//go:embed sql/record_group_span.sql
	sqlRecordGroupSpan string
	//go:embed sql/record_group_unposted.sql
	sqlRecordGroupUnposted string
	//go:embed sql/record_group_posted.sql
	sqlRecordGroupPosted string
	//go:embed sql/record_group_repost.sql
	sqlRecordGroupRepost string
	//go:embed sql/record_group_delete.sql
	sqlRecordGroupDelete string
	//go:embed sql/record_group_retry.sql
	sqlRecordGroupRetry string

	//go:embed sql/credit_number.sql
	sqlCreditNumber string
	//go:embed sql/credit_create.sql
	sqlCreditCreate string
	//go:embed sql/credit_get.sql
	sqlCreditGet string
	//go:embed sql/credit_list.sql
	sqlCreditList string

	//go:embed sql/metering_config_put.sql
	sqlMeteringConfigPut string
	//go:embed sql/metering_config_list.sql
	sqlMeteringConfigList string

	//go:embed sql/billable_metric_create.sql
	sqlBillableMetricCreate string
	//go:embed sql/billable_metric_delete.sql
	sqlBillableMetricDelete string
	//go:embed sql/billable_metric_waiting.sql
	sqlBillableMetricWaiting string
	//go:embed sql/billable_metric_touch.sql
	sqlBillableMetricTouch string
	//go:embed sql/billable_metric_get.sql
	sqlBillableMetricGet string
	//go:embed sql/billable_metric_list.sql
	sqlBillableMetricList string

	//go:embed sql/idempotency_get.sql
	sqlIdempotencyGet string
	//go:embed sql/idempotency_put.sql
	sqlIdempotencyPut string
	//go:embed sql/idempotency_clean.sql
	sqlIdempotencyClean string

	//go:embed sql/audit_create.sql
	sqlAuditCreate string
	//go:embed sql/audit_last.sql
	sqlAuditLast string
	//go:embed sql/audit_create_numbered.sql
	sqlAuditCreateNumbered string
	//go:embed sql/audit_list.sql
	sqlAuditList string

	//go:embed sql/checksum_key_list.sql
	sqlChecksumKeyList string
	//go:embed sql/checksum_key_create.sql
	sqlChecksumKeyCreate string

	//go:embed sql/migration_create.sql
	sqlMigrationCreate string
	//go:embed sql/migration_latest.sql
	sqlMigrationLatest string
)
