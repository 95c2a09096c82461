package block

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"odometer/internal/meter"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// goldenEvents use every form of every section but S2, and from version 2 on
// events without a time, numbers beyond the limits and extension attributes.
func goldenEvents(t *testing.T, version int) []generated {
	t.Helper()
	number := func(s string) meter.Value {
		v, err := meter.ParseNumber(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
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
		if version > 1 {
			if i%5 == 0 {
				g.env.Time, g.env.Untimed = 0, true
			}
			g.data = append(g.data, attribute{meter.ExtensionPrefix + "tenantid", meter.StringValue(fmt.Sprintf("tenant-%d", i%3))})
			if i%4 == 0 {
				g.data = append(g.data, attribute{"latency", number([]string{"0.30000000000000004", "1e999999999", "0.5"}[i/4%3])})
			}
		}
		events = append(events, g)
	}
	return events
}

// storedGolden reads a golden file.
func storedGolden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	golden, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return golden
}

// TestBodiesOfVersion1AreRead: what was stored before is read as it was meant.
func TestBodiesOfVersion1AreRead(t *testing.T) {
	t.Parallel()
	rows, err := Decode(storedGolden(t, "body-v1.hex"), testKey, true, testAccepted)
	if err != nil {
		t.Fatal(err)
	}
	events := goldenEvents(t, 1)
	compareRows(t, rows, events)
	b := NewBuilder(testKey, "acme", "")
	stage(t, b, events)
	if staged := b.Rows(); !slices.Equal(staged.Checks, rows.Checks) || !slices.Equal(staged.Hashes, rows.Hashes) {
		t.Error("an event sent again is another one than in version 1")
	}
}

// TestStoredFormIsFixed fails when what is stored changes: that needs a new version.
func TestStoredFormIsFixed(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testKey, "acme", "")
	events := goldenEvents(t, 2)
	stage(t, b, events[:1])
	b.Reject("id", "source", "reason", []byte("{raw}"))
	stage(t, b, events[1:])
	h := sampleHeader()
	for name, stored := range map[string][]byte{"body-v2.hex": Encode(nil, b.Rows()), "header-v1.hex": h.Append(nil)} {
		path := "testdata/" + name
		if *rewrite {
			if err := os.WriteFile(path, []byte(wrapHex(stored)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden := storedGolden(t, name)
		if !bytes.Equal(golden, stored) {
			t.Errorf("%s: what is stored has changed", name)
		}
		if name == "body-v2.hex" {
			rows, err := Decode(golden, testKey, true, testAccepted)
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
