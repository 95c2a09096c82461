// Command catalog measures a server whose catalog is large: -customers
// customers, each with a service and a contract, and -keys of them with a key of
// their own. It applies them, starts the server again, and asks for what
// somebody waits for. It prints a table: go run ./bench/catalog.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"odometer/bench/process"
)

// customersOfDocument is how many customers one document has: as many as a
// document's limit of values takes, with room.
const customersOfDocument = 20_000

// asked is how many requests of a kind are sent.
const asked = 100

func main() {
	b := &bench{}
	flag.StringVar(&b.binary, "binary", "bin/odometer", "the program that serves")
	flag.StringVar(&b.catalog, "catalog", "", "address of the catalog in PostgreSQL; empty = SQLite")
	flag.IntVar(&b.customers, "customers", 20_000, "customers")
	flag.IntVar(&b.keys, "keys", 200, "keys, each of one customer")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "catalog:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	binary, catalog string
	customers, keys int

	dir    string
	server *process.Server
	admin  string
	tokens []string // of keys of the last customers
}

func (b *bench) run(ctx context.Context) error {
	var err error
	if b.dir, err = os.MkdirTemp("", "odometer-catalog-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.dir) }()
	args := []string{"--data", filepath.Join(b.dir, "data"), "--limits.keys", "2000000", "--limits.all-keys", "2000000", "--limits.catalog-entries", "10000000"}
	if b.catalog != "" {
		args = append(args, "--catalog", b.catalog)
	}
	b.server = &process.Server{Binary: b.binary, Log: filepath.Join(b.dir, "log"), Args: args}
	defer b.server.Kill()
	if _, err := b.server.Start(ctx); err != nil {
		return err
	}
	b.admin = b.server.Key
	fmt.Printf("%d customers, each with a service and a contract; %d keys\n\n| What | Figure |\n|---|---|\n", b.customers, b.keys)
	for _, step := range []func(context.Context) error{b.apply, b.export, b.makeKeys, b.send, b.changes, b.restart, b.pages, b.restart, b.changes, b.lists} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func row(what, format string, args ...any) {
	fmt.Printf("| %s | %s |\n", what, fmt.Sprintf(format, args...))
}

func customer(i int) string { return fmt.Sprintf("customer-%07d", i) }

// apply brings the catalog in documents.
func (b *bench) apply(ctx context.Context) error {
	began := time.Now()
	head := `{"meters":[{"key":"requests","event_type":"request","aggregation":"COUNT","unit":"request","group_by":["customer","service"]}],` +
		`"products":[{"id":"cdn","name":"CDN","usage_types":[{"name":"Requests","meter":"requests","unit":"request","billable":true}]}]}`
	if _, err := b.call(ctx, http.MethodPost, "/api/v1/catalog", b.admin, head, http.StatusOK); err != nil {
		return err
	}
	var last time.Duration
	for first := 0; first < b.customers; first += customersOfDocument {
		var text strings.Builder
		text.WriteString(`{"customers":[`)
		for i := first; i < min(first+customersOfDocument, b.customers); i++ {
			if i > first {
				text.WriteByte(',')
			}
			fmt.Fprintf(&text, `{"id":"%s","name":"Customer %d","services":[{"id":"s%d","name":"shop"}],"contracts":[{"id":"k%d","starts":"2020-01-01","terms":[{"products":["cdn"],"regions":"GLOBAL"}]}]}`,
				customer(i), i, i, i)
		}
		text.WriteString("]}")
		var err error
		if last, err = b.call(ctx, http.MethodPost, "/api/v1/catalog", b.admin, text.String(), http.StatusOK); err != nil {
			return err
		}
	}
	row("apply, in documents of 20,000 customers", "%s", time.Since(began).Round(time.Millisecond))
	row("the last document", "%s", last.Round(time.Millisecond))
	row("CPU time of the server for it", "%s", b.server.CPU().Round(time.Millisecond))
	row("most memory so far", "%d MiB", b.server.Memory("VmHWM")>>20)
	return nil
}

// makeKeys gives the last customers keys.
func (b *bench) makeKeys(ctx context.Context) error {
	began := time.Now()
	for i := range b.keys {
		var made struct {
			Key string `json:"key"`
		}
		if err := b.post(ctx, "/api/v1/keys", `{"role":"read","customer":"`+customer(b.customers-1-i%b.customers)+`"}`, &made); err != nil {
			return err
		}
		b.tokens = append(b.tokens, made.Key)
	}
	row("a key is created", "%s", (time.Since(began) / time.Duration(max(1, b.keys))).Round(10*time.Microsecond))
	return nil
}

// send sends a few events of this month.
func (b *bench) send(ctx context.Context) error {
	var text strings.Builder
	text.WriteByte('[')
	for i := range 1000 {
		if i > 0 {
			text.WriteByte(',')
		}
		of := b.customers - 1 - i%b.customers
		fmt.Fprintf(&text, `{"specversion":"1.0","source":"s","id":"e%d","type":"request","subject":"%s","time":"%s","data":{"service":"s%d"}}`,
			i, customer(of), time.Now().UTC().Format(time.RFC3339), of)
	}
	text.WriteByte(']')
	_, err := b.call(ctx, http.MethodPost, "/api/v1/events", b.admin, text.String(), http.StatusOK)
	return err
}

// restart ends the server in order and starts it.
func (b *bench) restart(ctx context.Context) error {
	if err := b.server.Stop(); err != nil {
		return err
	}
	ready, err := b.server.Start(ctx)
	if err != nil {
		return err
	}
	row("start, until it answers", "%s", ready.Round(time.Millisecond))
	began := time.Now()
	if err := b.server.Rest(ctx, time.Second, 2*time.Minute); err != nil {
		return err
	}
	busy := max(0, time.Since(began)-time.Second)
	row("memory when it is at rest, "+busy.Round(100*time.Millisecond).String()+" later", "%d MiB, at most %d", b.server.Memory("VmRSS")>>20, b.server.Memory("VmHWM")>>20)
	return nil
}

// pages asks for Fastly's page with keys that were never seen before.
func (b *bench) pages(ctx context.Context) error {
	return b.ask(ctx, "Fastly's page of a new key", min(asked, len(b.tokens)), func(i int) (string, string, string, string) {
		return http.MethodGet, "/billing/v3/service-usage-metrics?product_id=cdn&usage_type_name=Requests", b.tokens[i], ""
	})
}

// changes changes one customer each: after the documents, and after a start.
func (b *bench) changes(ctx context.Context) error {
	return b.ask(ctx, "PATCH of a customer", min(asked, b.customers), func(i int) (string, string, string, string) {
		return http.MethodPatch, "/api/v1/customers/" + customer(i*7919%b.customers), b.admin, fmt.Sprintf(`{"name":"Other %d"}`, time.Now().UnixNano())
	})
}

// lists asks for pages here and there.
func (b *bench) lists(ctx context.Context) error {
	err := b.ask(ctx, "a page of 100 customers", asked, func(i int) (string, string, string, string) {
		return http.MethodGet, "/api/v1/customers?limit=100&cursor=" + customer(i*7919%b.customers), b.admin, ""
	})
	if err != nil {
		return err
	}
	return b.ask(ctx, "a page of 100 keys", asked, func(int) (string, string, string, string) {
		return http.MethodGet, "/api/v1/keys?limit=100", b.admin, ""
	})
}

// ask sends requests one after the other; the first after a start is told by itself.
func (b *bench) ask(ctx context.Context, what string, n int, of func(i int) (method, path, key, body string)) error {
	var took []time.Duration
	for i := range n {
		method, path, key, body := of(i)
		d, err := b.call(ctx, method, path, key, body, http.StatusOK)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	if n < 2 {
		return nil
	}
	rest := slices.Sorted(slices.Values(took[1:]))
	row(what+": the first, median, p99", "%s, %s, %s", short(took[0]), short(rest[len(rest)/2]), short(rest[len(rest)*99/100]))
	return nil
}

func short(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
