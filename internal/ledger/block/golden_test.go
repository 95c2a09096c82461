package block

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"odometer/internal/meter"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// goldenEvents use every form of every section but S2.
func goldenEvents(t *testing.T) []generated {
	t.Helper()
	number := func(s string) meter.Value {
		q, err := meter.ParseQuantity(s)
		if err != nil {
			t.Fatal(err)
		}
		return meter.NumberValue(q)
	}
	var events []generated
	for i := range 40 {
		g := generated{env: Envelope{
			ID: fmt.Appendf(nil, "id-%03d", i), Source: []byte("source"), Type: []byte("type"), Time: 1_750_000_000_000_000_000 + int64(i*i)*1e6,
		}}
		if i%3 > 0 {
			g.env.HasSubject, g.env.Subject = true, fmt.Appendf(nil, "customer-%d", i%5)
		}
		g.data = []attribute{
			{"service", meter.StringValue(fmt.Sprintf("svc-%02d", i*7%40))},
			{"status", number([]string{"200", "404", "500"}[i%3])},
			{"nested\xffprice", number(fmt.Sprintf("-%d.25", i))},
			{"request", meter.StringValue(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i))},
		}
		if i == 17 {
			g.data = append(g.data, attribute{"rare", number("99999999999999999999999999.000000000001")})
		}
		if i%2 == 0 {
			g.data = append(g.data, attribute{"mixed", []meter.Value{
				meter.StringValue("[1]"), {Kind: meter.JSON, Str: "[1]"}, {Kind: meter.Null}, meter.BoolValue(true), meter.BoolValue(false), number("1"),
			}[i/2%6]})
		}
		events = append(events, g)
	}
	return events
}

// TestStoredFormIsFixed fails when what is stored changes: that needs a new version.
func TestStoredFormIsFixed(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testKey, "acme", "")
	events := goldenEvents(t)
	stage(t, b, events[:1])
	b.Reject("id", "source", "reason", []byte("{raw}"))
	stage(t, b, events[1:])
	h := sampleHeader()
	for name, stored := range map[string][]byte{"body-v1.hex": Encode(nil, b.Rows()), "header-v1.hex": h.Append(nil)} {
		path := "testdata/" + name
		if *rewrite {
			if err := os.WriteFile(path, []byte(wrapHex(stored)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		golden, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(golden, stored) {
			t.Errorf("%s: what is stored has changed", name)
		}
		if name == "body-v1.hex" {
			rows, err := Decode(golden, testKey, true)
			if err != nil {
				t.Fatal(err)
			}
			compareRows(t, rows, events)
		}
	}
}

func wrapHex(b []byte) string {
	var out strings.Builder
	for at := 0; at < len(b); at += 40 {
		fmt.Fprintf(&out, "%x\n", b[at:min(at+40, len(b))])
	}
	return out.String()
}
