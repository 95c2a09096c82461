// Package figures renders what the service tells of itself as metrics of
// Prometheus, under the names of docs/operations.md. Floats are at home here:
// a metric is one, and nothing is billed by it.
package figures

import (
	"github.com/prometheus/client_golang/prometheus"

	"odometer/internal/metering"
)

// collector reads the service's figures when metrics are asked for.
type collector struct {
	service *metering.Service
	all     []*prometheus.Desc

	events, sent, voided, rejections, stopped, meters, unattributed *prometheus.Desc // by organization
	cursor, target                                                  *prometheus.Desc // by meter
	foldWaits                                                       *prometheus.Desc
	plain                                                           []plainFigure
}

// plainFigure is a figure of the whole server.
type plainFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *metering.Stats) float64
}

// Groups tell how many usage record groups the ledger has refused so far: *records.Service.
type Groups interface{ Unposted() int64 }

// Of returns the collector of a service's figures and those of usage record
// groups. What it tells names all organizations.
func Of(service *metering.Service, groups Groups) prometheus.Collector {
	c := &collector{service: service}
	c.events = c.desc("odometer_events_total", "Events by verdict, for all time.", "organization", "verdict")
	c.sent = c.desc("odometer_events_sent_total", "Events sent, for all time: the sum of their verdicts.", "organization")
	c.voided = c.desc("odometer_events_voided_total", "Accepted events that were voided, for all time.", "organization")
	c.rejections = c.desc("odometer_rejections_kept", "Rejected events that are kept with their reason.", "organization")
	c.stopped = c.desc("odometer_organization_stopped", "1 where stored data is damaged and the organization's usage is not served.", "organization")
	c.meters = c.desc("odometer_meters", "Meters defined.", "organization")
	c.unattributed = c.desc("odometer_unattributed", "Customers, services, contracts and account groups that usage of this month names and the catalog does not know for it.", "organization", "reason")
	c.cursor = c.desc("odometer_backfill_sequence", "Log sequence up to which a meter that is being backfilled has been folded.", "organization", "meter")
	c.target = c.desc("odometer_backfill_target", "Log sequence at which the meter's backfill is done.", "organization", "meter")
	c.gauge("odometer_log_sequence", "Sequence of the last block stored and folded.", func(s *metering.Stats) float64 { return float64(s.Last) })
	c.gauge("odometer_checkpoint_timestamp_seconds", "When the last checkpoint ended, unix time; 0 if none since the start.", func(s *metering.Stats) float64 {
		if s.CheckpointedAt.IsZero() {
			return 0
		}
		return float64(s.CheckpointedAt.Unix())
	})
	c.gauge("odometer_checkpoint_sequence", "Log sequence that the last checkpoint reaches; a restart folds what comes after.", func(s *metering.Stats) float64 { return float64(s.Checkpointed) })
	c.gauge("odometer_ingest_waiting_bytes", "Bytes staged or stored and not yet answered.", func(s *metering.Stats) float64 { return float64(s.WaitingBytes) })
	c.gauge("odometer_ingest_waiting_requests", "Requests staged or stored and not yet answered.", func(s *metering.Stats) float64 { return float64(s.Waiting) })
	c.gauge("odometer_identity_memory_bytes", "Memory held to recognize duplicates.", func(s *metering.Stats) float64 { return float64(s.Identities) })
	c.gauge("odometer_cell_memory_bytes", "Memory of totals that the next checkpoint writes.", func(s *metering.Stats) float64 { return float64(s.CellBytes) })
	c.gauge("odometer_disk_low", "1 while free disk is below the floor and usage is refused.", func(s *metering.Stats) float64 { return zeroOrOne(s.DiskLow) })
	c.gauge("odometer_ledger_failed", "1 once the log could not be written.", func(s *metering.Stats) float64 { return zeroOrOne(s.Failed) })
	c.gauge("odometer_damaged_blocks", "Damaged blocks of the log, and damaged tables and pages of the ledger's stores, found since the start.", func(s *metering.Stats) float64 { return float64(s.Damaged) })
	c.gauge("odometer_catalog_damaged_rows", "Rows of the catalog that were read, are not as they were stored, and were not found whole since.", func(s *metering.Stats) float64 { return float64(s.DamagedRows) })
	c.gauge("odometer_catalog_memory_bytes", "Memory held for catalog entries.", func(s *metering.Stats) float64 { return float64(s.CatalogBytes) })
	c.counter("odometer_catalog_hits_total", "Customers and references of large catalogs that were asked for and in memory, since the start.", func(s *metering.Stats) float64 { return float64(s.CatalogHits) })
	c.counter("odometer_catalog_reads_total", "Customers and references of large catalogs that were asked for and read from the database, since the start.", func(s *metering.Stats) float64 { return float64(s.CatalogMisses) })
	c.counter("odometer_log_syncs_total", "Syncs of the log since the start.", func(s *metering.Stats) float64 { return float64(s.Appends) })
	c.counter("odometer_log_blocks_total", "Blocks appended since the start.", func(s *metering.Stats) float64 { return float64(s.AppendBlocks) })
	c.counter("odometer_log_sync_seconds_total", "Time spent appending to the log.", func(s *metering.Stats) float64 { return s.AppendTime.Seconds() })
	c.counter("odometer_checkpoints_total", "Checkpoints since the start.", func(s *metering.Stats) float64 { return float64(s.Checkpoints) })
	c.counter("odometer_checkpoint_seconds_total", "Time spent in checkpoints.", func(s *metering.Stats) float64 { return s.CheckpointTime.Seconds() })
	c.gauge("odometer_checkpoint_last_seconds", "How long the last checkpoint took.", func(s *metering.Stats) float64 { return s.LastCheckpoint.Seconds() })
	c.foldWaits = c.desc("odometer_fold_wait_seconds", "Pauses of the fold for a checkpoint that is being written, since the start: what was acknowledged meanwhile waited as long.")
	c.gauge("odometer_record_groups_unposted", "Usage record groups whose events or void the ledger has refused so far; they are tried again.", func(*metering.Stats) float64 { return float64(groups.Unposted()) })
	c.counter("odometer_periods_closed_total", "Months of customers closed since the start.", func(s *metering.Stats) float64 { return float64(s.PeriodsClosed) })
	c.gauge("odometer_closings_running", "Closings of all customers under way.", func(s *metering.Stats) float64 { return float64(s.CloseJobs) })
	c.gauge("odometer_closings_customers_left", "Customers whose month those closings have still to close.", func(s *metering.Stats) float64 { return float64(s.CloseJobsLeft) })
	c.counter("odometer_period_failures_total", "Months that automatic closing and closings of all customers could not close, each time they tried.", func(s *metering.Stats) float64 { return float64(s.PeriodFailures) })
	return c
}

func (c *collector) desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	c.all = append(c.all, d)
	return d
}

func (c *collector) gauge(name, help string, value func(*metering.Stats) float64) {
	c.plain = append(c.plain, plainFigure{c.desc(name, help), prometheus.GaugeValue, value})
}

func (c *collector) counter(name, help string, value func(*metering.Stats) float64) {
	c.plain = append(c.plain, plainFigure{c.desc(name, help), prometheus.CounterValue, value})
}

func zeroOrOne(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.all {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.service.Stats()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, f := range c.plain {
		send(f.desc, f.kind, f.value(&s))
	}
	within := map[float64]uint64{}
	for most, n := range s.FoldWaits.Within {
		within[most.Seconds()] = n
	}
	to <- prometheus.MustNewConstHistogram(c.foldWaits, s.FoldWaits.Count, s.FoldWaits.Time.Seconds(), within)
	for i := range s.Organizations {
		o := &s.Organizations[i]
		for _, v := range []struct {
			name string
			n    uint64
		}{{"accepted", o.Accepted}, {"duplicate", o.Duplicates}, {"conflict", o.Conflicts}, {"rejected", o.Rejected}} {
			send(c.events, prometheus.CounterValue, float64(v.n), o.Organization, v.name)
		}
		send(c.sent, prometheus.CounterValue, float64(o.Accepted+o.Duplicates+o.Conflicts+o.Rejected), o.Organization)
		send(c.voided, prometheus.CounterValue, float64(o.Voided), o.Organization)
		send(c.rejections, prometheus.GaugeValue, float64(o.KeptRejections), o.Organization)
		send(c.stopped, prometheus.GaugeValue, zeroOrOne(o.Stopped != ""), o.Organization)
		send(c.meters, prometheus.GaugeValue, float64(o.Meters), o.Organization)
	}
	for _, u := range s.Unattributed {
		send(c.unattributed, prometheus.GaugeValue, float64(u.Count), u.Organization, u.Reason)
	}
	for _, b := range s.Backfills {
		send(c.cursor, prometheus.GaugeValue, float64(b.Cursor), b.Organization, b.Meter)
		send(c.target, prometheus.GaugeValue, float64(b.Target), b.Organization, b.Meter)
	}
}
