package semanticstest

import (
	"context"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the zones of the scripts, whatever the machine has

	"odometer/internal/meter"
)

func (w *world) setClock(a arguments, _ part) error {
	w.clock.Set(w.time(a.words[0]))
	return nil
}

func (w *world) setOrganization(a arguments, _ part) error {
	w.org = a.words[0]
	return nil
}

func (w *world) setLimits(a arguments, _ part) error {
	for name, field := range map[string]*int{"kept_rejections": &w.limits.KeptRejections, "errors_per_answer": &w.limits.ErrorsPerAnswer,
		"events_per_request": &w.events.EventsPerRequest, "warnings_per_answer": &w.limits.WarningsPerAnswer} {
		if text := a.get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			*field = n
		}
	}
	return nil
}

func (w *world) setCustomerAttribute(a arguments, _ part) error {
	return w.open().SetCustomerAttribute(context.Background(), w.org, a.words[0], "script")
}

func (w *world) setTimeAssigned(a arguments, _ part) error {
	return w.open().SetTimeAssigned(context.Background(), w.org, a.words[0] == "true", "script")
}

func (w *world) createMeter(_ arguments, p part) error {
	m, err := meter.DecodeMeter([]byte(strings.Join(p.input, "\n")))
	if err != nil {
		return err
	}
	state, err := w.open().CreateMeter(context.Background(), w.org, m, "script")
	if err == nil {
		w.printf("%s, sequence %d\n", state.Key, state.CreatedSequence)
	}
	return err
}

func (w *world) updateMeter(a arguments, _ part) error {
	var patch meter.MeterPatch
	for name, field := range map[string]**string{"name": &patch.Name, "description": &patch.Description, "unit": &patch.Unit, "status": &patch.Status} {
		if v, ok := a.values[name]; ok {
			*field = &v[0]
		}
	}
	m, err := w.open().UpdateMeter(context.Background(), w.org, a.words[0], patch, "script")
	if err == nil {
		w.printf("%s: name %q, unit %q, status %s\n", m.Key, m.Name, m.Unit, m.Status)
	}
	return err
}

func (w *world) deleteMeter(a arguments, _ part) error {
	return w.open().DeleteMeter(context.Background(), w.org, a.words[0], "script")
}

func (w *world) listMeters(arguments, part) error {
	for _, m := range w.open().Meters(w.org) {
		w.printf("%s: skipped %d, groups %d\n", m.Key, m.Skipped, m.Groups)
	}
	return nil
}

// awaitBackfill asks until no meter is behind; there is no other signal.
func (w *world) awaitBackfill(arguments, part) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		behind := 0
		for _, m := range w.open().Meters(w.org) {
			if !m.Backfill.Done {
				behind++
			}
		}
		if behind == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-w.t.Context().Done():
			return w.t.Context().Err()
		}
	}
}
