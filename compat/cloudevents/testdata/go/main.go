// Command client sends events with the Go SDK of CloudEvents, as its pages
// show, and prints what a sender makes of the answers. Input and output are
// those of client.py.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

type job struct {
	URL   string
	Token string
	Calls []call
}

type call struct {
	Mode   string
	Events []input
}

type input struct {
	ID, Source, Type string
	Subject          *string
	Time             *time.Time
	DataContentType  string
	Extensions       map[string]any
	Data             json.RawMessage
	Bytes            []byte
}

type value struct {
	Delivered bool   `json:"delivered"`
	Status    int    `json:"status"`
	Body      string `json:"body"`
}

type result struct {
	Value value  `json:"value"`
	Error string `json:"error"`
}

func main() {
	log.SetFlags(0)
	log.SetOutput(os.Stderr)
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		log.Fatal(err)
	}
	results := []result{}
	for _, c := range j.Calls {
		v, err := c.send(j)
		r := result{Value: v}
		if err != nil {
			r.Error = err.Error()
		}
		results = append(results, r)
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		log.Fatal(err)
	}
}

func (in input) event() (event.Event, error) {
	e := cloudevents.NewEvent()
	e.SetID(in.ID)
	e.SetSource(in.Source)
	e.SetType(in.Type)
	if in.Subject != nil {
		e.SetSubject(*in.Subject)
	}
	if in.Time != nil {
		e.SetTime(*in.Time)
	}
	for name, v := range in.Extensions {
		e.SetExtension(name, v)
	}
	media := in.DataContentType
	if media == "" {
		media = cloudevents.ApplicationJSON
	}
	switch {
	case in.Bytes != nil:
		err := e.SetData(media, in.Bytes)
		e.DataBase64 = true
		return e, err
	case in.Data != nil:
		return e, e.SetData(media, in.Data)
	}
	return e, nil
}

func (c call) send(j job) (value, error) {
	var events []event.Event
	for _, in := range c.Events {
		e, err := in.event()
		if err != nil {
			return value{}, err
		}
		events = append(events, e)
	}
	ctx := cloudevents.ContextWithTarget(context.Background(), j.URL)
	if c.Mode == "batch" {
		r, err := cehttp.NewHTTPRequestFromEvents(ctx, j.URL, events)
		if err != nil {
			return value{}, err
		}
		r.Header.Set("Authorization", "Bearer "+j.Token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return value{}, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return value{answer.StatusCode < 300, answer.StatusCode, string(body)}, err
	}
	protocol, err := cloudevents.NewHTTP(cloudevents.WithHeader("Authorization", "Bearer "+j.Token))
	if err != nil {
		return value{}, err
	}
	client, err := cloudevents.NewClient(protocol) // NewClientHTTP's gives an event the time of now where none is said
	if err != nil {
		return value{}, err
	}
	if c.Mode == "binary" {
		ctx = binding.WithForceBinary(ctx)
	} else {
		ctx = binding.WithForceStructured(ctx)
	}
	sent := client.Send(ctx, events[0])
	v := value{Delivered: cloudevents.IsACK(sent)}
	var answered *cehttp.Result
	if !errors.As(sent, &answered) {
		return v, sent
	}
	v.Status = answered.StatusCode
	return v, nil
}
