package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/fixedtest"
)

// TestCrashOfAClosing kills the server with SIGKILL while it closes a month of
// all customers, again and again, and sends more usage of the month each time.
// In the end every month is as in a closing that nothing broke off.
func TestCrashOfAClosing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("not run: it builds the program and takes longer than a short test may")
		return
	}
	random := fixedtest.Rand(t)
	binary := buildBinary(t)
	c := closingCrash{t: t, customers: 2500, binary: binary, data: filepath.Join(t.TempDir(), "killed")}
	whole := closingCrash{t: t, customers: c.customers, binary: binary, data: filepath.Join(t.TempDir(), "whole")}
	whole.fill()
	c.fill()
	c.begin()
	kills := 0
	for round := 1; ; round++ {
		at := c.progress()
		for now := at; now.Ended == "" && now.Closed < at.Closed+1+random.IntN(c.customers/8); {
			now = c.progress()
		}
		if at = c.progress(); at.Ended != "" {
			break
		}
		c.send(round)
		c.p.kill(t)
		kills++
		c.p = startProcess(t, c.binary, c.data)
	}
	if kills == 0 {
		t.Error("the closing had ended before it was killed: this tests nothing")
	}
	whole.begin()
	for now := whole.progress(); now.Ended == ""; {
		now = whole.progress()
	}
	got, want := c.progress(), whole.progress()
	if got.Status != "DONE" || got.Customers != c.customers || got.Closed != c.customers || got.Failed != 0 || want.Closed != c.customers {
		t.Errorf("%+v and %+v", got, want)
	}
	for i := range c.customers {
		x, y := c.month(i), whole.month(i)
		if x.Sequence != got.Sequence || y.Sequence != want.Sequence || string(x.Figures) != string(y.Figures) || !strings.Contains(string(x.Figures), `"lines":[{`) {
			t.Fatalf("customer %d: %+v, want %+v", i, x, y)
		}
	}
	c.p.stop(t)
	whole.p.stop(t)
}

// closingCrash is a server with customers whose month is closed.
type closingCrash struct {
	t         *testing.T
	customers int
	binary    string
	data, key string
	p         *process
}

// fill gives each customer usage of the month.
func (c *closingCrash) fill() {
	c.p = startProcess(c.t, c.binary, c.data)
	c.key = c.p.adminKey
	var text strings.Builder
	text.WriteString("meters: [{key: edge, event_type: edge, aggregation: SUM, value: bytes, group_by: [customer, product, service, region]}]\n" +
		"products: [{id: delivery, usage_types: [{name: Bytes, meter: edge}]}]\ncustomers:\n")
	for i := range c.customers {
		fmt.Fprintf(&text, "  - {id: c%04d, services: [{id: s%04d, name: service}]}\n", i, i)
	}
	c.p.call(c.t, http.MethodPost, "/api/v1/catalog", c.key, "application/yaml", []byte(text.String()), http.StatusOK, nil)
	c.send(0)
}

func (c *closingCrash) send(round int) {
	var events []string
	for i := range c.customers {
		events = append(events, fmt.Sprintf(`{"specversion":"1.0","id":"%d-%d","source":"s","type":"edge","time":"2026-10-%02dT10:00:00Z","subject":"c%04d","data":{"service":"s%04d","product":"delivery","bytes":%d}}`,
			round, i, 1+i%28, i, i, 1000+i))
	}
	if v, err := c.p.ingest([]byte("["+strings.Join(events, ",")+"]"), c.key); err != nil || v.Accepted != c.customers {
		c.t.Fatalf("%+v, %v", v, err)
	}
}

func (c *closingCrash) begin() {
	c.p.call(c.t, http.MethodPost, "/api/v1/periods", c.key, "application/json", []byte(`{"month":"2026-10"}`), http.StatusAccepted, nil)
}

type closingState struct {
	Status, Ended             string
	Customers, Closed, Failed int
	Sequence                  uint64
}

func (c *closingCrash) progress() (now closingState) {
	c.p.call(c.t, http.MethodGet, "/api/v1/closings/1", c.key, "", nil, http.StatusOK, &now)
	return now
}

type closedMonth struct {
	Closed   time.Time
	Sequence uint64
	Figures  json.RawMessage
}

func (c *closingCrash) month(i int) (m closedMonth) {
	c.p.call(c.t, http.MethodGet, fmt.Sprintf("/api/v1/periods/c%04d/2026-10", i), c.key, "", nil, http.StatusOK, &m)
	return m
}
