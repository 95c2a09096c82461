package native

import (
	"encoding/json"
	"math/bits"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
)

// meterBody is a meter as it is answered: its definition and its standing.
type meterBody struct {
	meter.Meter
	Version         uint32    `json:"version"`
	CreatedSequence uint64    `json:"created_sequence,omitempty"`
	CreatedAt       time.Time `json:"created_at"`
	Backfill        backfill  `json:"backfill"`
	Skipped         uint64    `json:"skipped"`
	Groups          uint64    `json:"groups"`
	Preview         *preview  `json:"preview,omitempty"` // of a meter that was just made
}

// preview is what a meter makes of the latest events.
type preview struct {
	Events     int            `json:"events"` // that were looked at
	Complete   bool           `json:"complete"`
	From       time.Time      `json:"from,omitzero"`
	To         time.Time      `json:"to,omitzero"`
	OfType     int            `json:"of_type"`
	LeftOut    int            `json:"left_out"` // by the filters
	Skipped    map[string]int `json:"skipped"`  // by reason
	Counted    int            `json:"counted"`
	Sum        *string        `json:"sum,omitempty"` // of the counted values, where numbers are taken
	Types      map[string]int `json:"types"`
	Attributes []string       `json:"attributes"`
	Hints      []string       `json:"hints"`
}

func previewOf(m meter.Meter, s *meter.Sample, hints []string) *preview {
	p := &preview{Events: s.Events, Complete: s.Complete, From: s.From, To: s.To, OfType: s.OfType, LeftOut: s.LeftOut, Skipped: s.Skipped,
		Counted: s.Counted, Types: s.Types, Attributes: s.Names, Hints: hints}
	if m.Value != "" && m.Aggregation != meter.AggUniqueCount {
		sum := s.Sum.String()
		p.Sum = &sum
	}
	if p.Attributes == nil {
		p.Attributes = []string{}
	}
	if p.Hints == nil {
		p.Hints = []string{}
	}
	return p
}

// backfill tells how far the log before the meter's definition has been folded into it.
type backfill struct {
	Done     bool   `json:"done"`
	Cursor   uint64 `json:"cursor"`
	Target   uint64 `json:"target"`
	Progress string `json:"progress"` // from "0.00" to "1.00"
}

func meterOf(m meter.MeterState) meterBody {
	b := backfill{Done: m.Backfill.Done, Cursor: m.Backfill.Cursor, Target: m.Backfill.Target}
	b.Progress = progress(b.Cursor, b.Target, b.Done)
	return meterBody{Meter: m.Meter, Version: m.Version, CreatedSequence: m.CreatedSequence, CreatedAt: m.CreatedAt.UTC(),
		Backfill: b, Skipped: m.Skipped, Groups: m.Groups}
}

// progress renders cursor/target with two decimals, rounded down: "1.00" only when done.
func progress(cursor, target uint64, done bool) string {
	if done || target == 0 {
		return "1.00"
	}
	hi, lo := bits.Mul64(min(cursor, target), 100)
	hundredths, _ := bits.Div64(hi, lo, target)
	text := strconv.FormatUint(100+min(hundredths, 99), 10)
	return "0." + text[1:]
}

// meters answers GET /api/v1/meters.
func (a api) meters(x *httpserver.Exchange, _ query) error {
	list, err := a.service.Meters(x.Request.Context(), x.Principal)
	if err != nil {
		return err
	}
	out := make([]meterBody, len(list))
	for i, m := range list {
		out[i] = meterOf(m)
	}
	return writeJSON(x, http.StatusOK, map[string]any{"meters": out})
}

// meter answers GET /api/v1/meters/{key}.
func (a api) meter(x *httpserver.Exchange, _ query) error {
	m, err := a.service.Meter(x.Request.Context(), x.Principal, x.Param("key"))
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, meterOf(m))
}

// createMeter answers POST /api/v1/meters: 201, or 200 when the same meter was there.
func (a api) createMeter(x *httpserver.Exchange, _ query) error {
	body, err := jsonBody(x)
	if err != nil {
		return err
	}
	m, err := meter.DecodeMeter(body)
	if err != nil {
		return err
	}
	state, created, err := a.service.CreateMeter(x.Request.Context(), x.Principal, m)
	if err != nil {
		return err
	}
	if !created {
		return writeJSON(x, http.StatusOK, meterOf(state))
	}
	answer := meterOf(state)
	sample, hints, err := a.service.PreviewMeter(x.Request.Context(), x.Principal, state.Meter)
	if err == nil { // the meter is made, whatever becomes of its preview
		answer.Preview = previewOf(state.Meter, sample, hints)
	}
	return writeCreated(x, "/api/v1/meters/"+url.PathEscape(state.Key), answer)
}

// definition are the fields that PATCH refuses.
var definition = []string{"key", "event_type", "aggregation", "value", "group_by", "filters", "percentile", "sample", "rate"}

// updateMeter answers PATCH /api/v1/meters/{key}.
func (a api) updateMeter(x *httpserver.Exchange, _ query) error {
	var given map[string]json.RawMessage
	if err := readJSON(x, &given); err != nil {
		return err
	}
	for _, name := range definition {
		if _, ok := given[name]; ok {
			return meter.Errorf(meter.KindConflict, "%s is part of a meter's definition, which does not change: create a meter with a new key", name)
		}
	}
	var patch struct {
		Name        *string `json:"name"`
		Description *string `json:"description"`
		Unit        *string `json:"unit"`
		Status      *string `json:"status" strict:"filled"`
	}
	if err := readJSON(x, &patch); err != nil {
		return err
	}
	m, err := a.service.UpdateMeter(x.Request.Context(), x.Principal, x.Param("key"),
		meter.MeterPatch{Name: patch.Name, Description: patch.Description, Unit: patch.Unit, Status: patch.Status})
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, meterOf(m))
}

// deleteMeter answers DELETE /api/v1/meters/{key}.
func (a api) deleteMeter(x *httpserver.Exchange, _ query) error {
	if err := a.service.DeleteMeter(x.Request.Context(), x.Principal, x.Param("key")); err != nil {
		return err
	}
	x.WriteHeader(http.StatusNoContent)
	return nil
}
