package billing

import (
	"encoding/json"
	"time"
)

// MaxMetricIDBytes bounds the id of a billable metric.
const MaxMetricIDBytes = 36

// BillableMetric says that a meter is a billable metric, and how it was asked
// for. The meter has the metric's id as its key; its name, description and
// status are the log's.
type BillableMetric struct {
	ID         string
	Definition json.RawMessage // the meter as it was created, so that it can be created again
	Info       json.RawMessage // filters and group-bys in the words they were given
	Created    time.Time
	Updated    time.Time
}
