package native

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
)

// event is one stored event as it is answered. A rejected one has what could be read of it.
type event struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	Type       string          `json:"type,omitempty"`
	Subject    *string         `json:"subject,omitempty"`
	Customer   string          `json:"customer"`
	Time       time.Time       `json:"time,omitzero"`
	Assigned   bool            `json:"time_assigned,omitempty"`
	Extensions json.RawMessage `json:"extensions,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Verdict    string          `json:"verdict"`
	Reason     string          `json:"reason,omitempty"`
	Sequence   uint64          `json:"sequence,omitempty"` // 0: the key is told no places in the log
	Ordinal    *uint32         `json:"ordinal,omitempty"`
	AcceptedAt time.Time       `json:"accepted_at"`
	Voided     *voided         `json:"voided,omitempty"`
}

type voided struct {
	Sequence uint64    `json:"sequence,omitempty"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor,omitempty"`
	Reason   string    `json:"reason"`
}

type counted struct {
	Meter string            `json:"meter"`
	Slot  time.Time         `json:"slot"`
	Group map[string]string `json:"group"`
	Value string            `json:"value"`
}

type skipped struct {
	Meter  string `json:"meter"`
	Reason string `json:"reason"`
}

type lookupBody struct {
	Event     event     `json:"event"`
	Counted   []counted `json:"counted"`
	Skipped   []skipped `json:"skipped"`
	Conflicts []event   `json:"conflicts"`
}

func eventOf(r *meter.EventRecord) event {
	e := event{ID: r.ID, Source: r.Source, Type: r.Type, Subject: r.Subject, Customer: r.Customer, Time: r.Time.UTC(), Data: r.Data,
		Assigned: r.TimeAssigned, Extensions: r.Extensions, Verdict: r.Verdict.String(), Reason: r.Reason, Sequence: r.Sequence, AcceptedAt: r.AcceptedAt.UTC()}
	if r.Sequence != 0 {
		e.Ordinal = &r.Ordinal
	}
	if v := r.Voided; v != nil {
		e.Voided = &voided{Sequence: v.Sequence, At: v.At.UTC(), Actor: v.Actor, Reason: v.Reason}
	}
	return e
}

func eventsOf(list []meter.EventRecord) []event {
	out := make([]event, len(list))
	for i := range list {
		out[i] = eventOf(&list[i])
	}
	return out
}

// cursorOf is null in JSON where there is no next page.
func cursorOf(c string) *string {
	if c == "" {
		return nil
	}
	return &c
}

// events answers GET /api/v1/events.
func (a api) events(x *httpserver.Exchange, q query) error {
	from, to, err := q.span()
	if err != nil {
		return err
	}
	if err := q.given("type", "source"); err != nil { // an empty subject is that of events without one
		return err
	}
	eq := meter.EventsQuery{From: from, To: to, Type: q.text("type"), Subject: q.optional("subject"), Source: q.text("source"), Cursor: q.text("cursor")}
	if name := q.optional("verdict"); name != nil {
		v, err := meter.ParseVerdict(*name)
		if err != nil {
			return err
		}
		eq.Verdict = &v
	}
	if eq.Limit, err = q.limit(); err != nil {
		return err
	}
	page, err := a.service.Events(x.Request.Context(), x.Principal, eq)
	if err != nil {
		return err
	}
	return writeEvents(x, page)
}

// writeEvents streams a page: its events are encoded one by one, and no more
// of the answer is in memory than that.
func writeEvents(x *httpserver.Exchange, page meter.EventsPage) error {
	h := x.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w := bufio.NewWriterSize(x, 32<<10)
	_, err := w.WriteString(`{"events":[`)
	for i := range page.Events {
		if i > 0 && err == nil {
			err = w.WriteByte(',')
		}
		var one []byte
		if err == nil {
			one, err = json.Marshal(eventOf(&page.Events[i]))
		}
		if err == nil {
			_, err = w.Write(one)
		}
		page.Events[i] = meter.EventRecord{} // it is on its way
	}
	var cursor []byte
	if err == nil {
		cursor, err = json.Marshal(cursorOf(page.NextCursor))
	}
	if err == nil {
		_, err = fmt.Fprintf(w, `],"next_cursor":%s}`+"\n", cursor)
	}
	return errors.Join(err, w.Flush())
}

// lookup answers GET /api/v1/events/lookup.
func (a api) lookup(x *httpserver.Exchange, q query) error {
	if err := q.require("source", "id"); err != nil {
		return err
	}
	r, err := a.service.Lookup(x.Request.Context(), x.Principal, q.text("source"), q.text("id"))
	if err != nil {
		return err
	}
	body := lookupBody{Event: eventOf(&r.Event), Counted: []counted{}, Skipped: []skipped{}, Conflicts: eventsOf(r.Conflicts)}
	for _, c := range r.Counted {
		if c.Group == nil {
			c.Group = map[string]string{}
		}
		body.Counted = append(body.Counted, counted{Meter: c.Meter, Slot: c.Slot.UTC(), Group: c.Group, Value: c.Value})
	}
	for _, s := range r.Skipped {
		body.Skipped = append(body.Skipped, skipped{Meter: s.Meter, Reason: s.Reason})
	}
	return writeJSON(x, http.StatusOK, body)
}
