package records

import (
	"embed"

	"odometer/internal/store/sqlfile"
)

// The statements are in sql/, one file a table; parameters are $1, $2, ...
//
//go:embed sql/*.sql
var stmtFiles embed.FS

var stmt = sqlfile.Load[statements](stmtFiles, "sql")

// statements are those in sql/ by their names there.
type statements struct {
	// billable_metrics.sql
	BillableMetricCreate, BillableMetricDelete, BillableMetricGet, BillableMetricList, BillableMetricTouch, BillableMetricWaiting string

	// entitlement_credits.sql
	CreditAmounts, CreditCreate, CreditGet, CreditList, CreditNumber string

	// idempotency_keys.sql
	IdempotencyClean, IdempotencyGet, IdempotencyPut string

	// metering_configs.sql
	MeteringConfigList, MeteringConfigPut string

	// record_groups.sql
	GroupClaim, GroupDecide, GroupOfEntitlement, GroupOfReport, GroupUnclaimed, GroupWaiting, RecordGroupAfter, RecordGroupBetween, RecordGroupCreate,
	RecordGroupDelete, RecordGroupGet, RecordGroupList, RecordGroupListEntitlement, RecordGroupNamed, RecordGroupPosted, RecordGroupRepost,
	RecordGroupRetry, RecordGroupSerial, RecordGroupSpan, RecordGroupUnposted string

	// report_balances.sql
	BalanceAll, BalanceCarried, BalanceGet, BalanceList, BalancePut string

	// report_lines.sql
	LineCreate, LineDecide, LineDoubt, LineDue, LineForeseen, LineFrozen, LineHasten, LineLease, LineOfAccount, LineOfKey, LineOfReports, LineParked string

	// report_portions.sql
	PortionAll, PortionCounts, PortionCreate, PortionDecide, PortionOfLines, PortionOfReport, PortionOfReports, PortionOpen, PortionStuck string

	// report_reads.sql
	ReadGet, ReadList, ReadPut string

	// report_seen.sql
	SeenCreate, SeenForget, SeenList string

	// reporter_states.sql
	ReporterGet, ReporterPut, ReporterStandings string

	// reports.sql
	ReportCreate, ReportDecide, ReportForeseen, ReportGet, ReportHours, ReportList, ReportListBuyer, ReportListEntitlement, ReportListPartner, ReportOfAccount,
	ReportSerial string
}
