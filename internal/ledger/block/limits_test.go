package block

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"odometer/internal/meter"
)

func plainEvent(i int) generated {
	return generated{env: Envelope{Source: []byte("s"), ID: fmt.Append(nil, i), Type: []byte("t"), Time: int64(i)}}
}

// commit stages one event and returns what Commit says.
func commit(b *Builder, g generated) error {
	b.Begin()
	g.put(b)
	return b.Commit(&g.env)
}

func wantTooLarge(t *testing.T, err error, limit int) {
	t.Helper()
	if meter.KindOf(err) != meter.KindTooLarge || !strings.Contains(err.Error(), fmt.Sprint(limit)) {
		t.Fatalf("past the limit: %v", err)
	}
}

func TestRowsLimit(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testKey, "acme", "")
	for i := range MaxRows {
		if err := commit(b, plainEvent(i)); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	full := NewBuilder(testKey, "acme", "")
	one := NewBuilder(testKey, "acme", "")
	if err := commit(one, plainEvent(0)); err != nil {
		t.Fatal(err)
	}
	rows := b.Rows()
	if !full.Fits(rows) {
		t.Fatal("a full block does not fit into an empty one")
	}
	full.Merge(rows)
	if full.Fits(one.Rows()) {
		t.Fatal("one row more than a block holds fits")
	}
	if decoded, err := Decode(Encode(nil, rows), testKey, false, testAccepted); err != nil || decoded.N != MaxRows {
		t.Fatal(err)
	}
	b.Reset("acme", "")
	for i := range MaxRows {
		_ = commit(b, plainEvent(i))
	}
	wantTooLarge(t, commit(b, plainEvent(MaxRows)), MaxRows)
	if _, err := Decode(Encode(nil, b.Rows()), testKey, false, testAccepted); meter.KindOf(err) != meter.KindCorrupt {
		t.Fatalf("decoding too many rows: %v", err)
	}
}

func TestColumnsLimit(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testKey, "acme", "")
	named := func(i int) generated {
		g := plainEvent(i)
		g.data = []attribute{{fmt.Sprint("attr", i), meter.BoolValue(true)}}
		return g
	}
	for i := range MaxColumns {
		if err := commit(b, named(i)); err != nil {
			t.Fatalf("column %d: %v", i, err)
		}
	}
	if _, err := Decode(Encode(nil, b.Rows()), testKey, true, testAccepted); err != nil {
		t.Fatal(err)
	}
	b.Reset("acme", "")
	for i := range MaxColumns {
		_ = commit(b, named(i))
	}
	one := NewBuilder(testKey, "acme", "")
	if err := commit(one, named(MaxColumns)); err != nil {
		t.Fatal(err)
	}
	if b.Fits(one.Rows()) {
		t.Fatal("one column more fits")
	}
	wantTooLarge(t, commit(b, named(MaxColumns)), MaxColumns)
	if _, err := Decode(Encode(nil, b.Rows()), testKey, false, testAccepted); meter.KindOf(err) != meter.KindCorrupt {
		t.Fatalf("decoding too many columns: %v", err)
	}
}

func TestEntriesLimit(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testKey, "acme", "")
	b.entries = maxEntries - 1
	g := plainEvent(0)
	g.data = []attribute{{"a", meter.BoolValue(true)}}
	if err := commit(b, g); err != nil {
		t.Fatal(err)
	}
	wantTooLarge(t, commit(b, g), maxEntries)
	r := reader{b: make([]byte, 64), end: 56, entries: maxEntries - 1}
	r.b[1], r.b[2] = rowsAll, byte(meter.True)
	if r.column(1); r.err != nil {
		t.Fatal(r.err)
	}
	r.at = 0
	if r.column(1); r.err == nil {
		t.Fatal("one entry more is read")
	}
}

func TestTextLimit(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testKey, "acme", "")
	g := plainEvent(0)
	g.data = []attribute{{"a", meter.StringValue("text")}}
	b.attrText = maxTextBytes - len("0") - len("s") - len("t") - len("text")
	if err := commit(b, g); err != nil {
		t.Fatal(err)
	}
	wantTooLarge(t, commit(b, g), maxTextBytes)
	r := reader{}
	if !r.takeText(maxTextBytes) || r.takeText(1) || r.err == nil {
		t.Fatal("the reader's bound on text is not maxTextBytes")
	}
}

func TestRequestAndRejectionLimits(t *testing.T) {
	t.Parallel()
	src := NewBuilder(testKey, "acme", "")
	src.Reject("", "", "no", nil)
	rows := src.Rows()
	b := NewBuilder(testKey, "acme", "")
	b.rejections = maxRejections - 1
	if !b.Fits(rows) {
		t.Fatal("the last rejection does not fit")
	}
	b.Merge(rows)
	if b.Fits(rows) {
		t.Fatal("one rejection more fits")
	}
	b.Reset("acme", "")
	empty := NewBuilder(testKey, "acme", "").Rows()
	for b.Fits(empty) {
		b.Merge(empty)
	}
	if n := len(b.rows.Requests); n != maxRequests-1 {
		t.Fatalf("%d requests fit, want one below %d", n, maxRequests)
	}
	if _, err := Decode(Encode(nil, b.Rows()), testKey, false, testAccepted); err != nil {
		t.Fatal(err)
	}
}

func TestRawLimit(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testKey, "acme", "")
	for _, n := range []int{0, MaxRawBytes, MaxRawBytes + 1} {
		b.Reject("", "", "no", bytes.Repeat([]byte("x"), n))
	}
	for i, want := range []int{0, MaxRawBytes, MaxRawBytes} {
		if got := len(b.Rows().Requests[0].Rejections[i].Raw); got != want {
			t.Errorf("rejection %d keeps %d bytes, want %d", i, got, want)
		}
	}
}

// TestAbortedNamesAreForgotten bounds what events that fail leave behind.
func TestAbortedNamesAreForgotten(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testKey, "acme", "plan.name")
	kept := plainEvent(0)
	kept.data = []attribute{{"kept", meter.StringValue("v")}, {"plan\xffname", meter.StringValue("gold")}}
	if err := commit(b, kept); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * MaxColumns {
		b.Begin()
		b.PutString(b.Attr(fmt.Append(nil, "name", i)), []byte("v"))
		b.Abort()
	}
	if n := len(b.attrs); n > 2*MaxColumns+1 {
		t.Fatalf("%d names are remembered", n)
	}
	if err := commit(b, kept); err != nil {
		t.Fatal(err)
	}
	rows := b.Rows()
	if len(rows.Columns) != 2 || rows.column("kept").Len() != 2 || !rows.column("kept").Full() {
		t.Fatalf("columns are %+v", rows.Columns)
	}
	if c, _ := rows.Customers.At(1); string(c) != "gold" {
		t.Fatalf("customer %q", c)
	}
}

func TestCustomerAttribute(t *testing.T) {
	t.Parallel()
	number, err := meter.ParseQuantity("9001.50")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		attribute string
		data      []attribute
		want      string
	}{
		{"", nil, "subject-1"},
		{"subject", nil, "subject-1"},
		{"account", nil, ""},
		{"account", []attribute{{"account", meter.StringValue("acc")}}, "acc"},
		{"account", []attribute{{"account", meter.NumberValue(number)}}, "9001.5"},
		{"account", []attribute{{"account", meter.BoolValue(true)}}, "true"},
		{"account", []attribute{{"account", meter.Value{Kind: meter.Null}}}, ""},
		{"account", []attribute{{"account", meter.Value{Kind: meter.JSON, Str: "[1]"}}}, ""},
		{"plan.name", []attribute{{"plan\xffname", meter.StringValue("nested")}}, "nested"},
		{"plan.name", []attribute{{"plan\xffname", meter.StringValue("nested")}, {"plan.name", meter.StringValue("literal")}}, "literal"},
	} {
		g := plainEvent(1)
		g.env.HasSubject, g.env.Subject = true, []byte("subject-1")
		g.data = c.data
		b := NewBuilder(testKey, "acme", c.attribute)
		if err := commit(b, plainEvent(0)); err != nil {
			t.Fatal(err)
		}
		if err := commit(b, g); err != nil {
			t.Fatal(err)
		}
		rows := b.Rows()
		decoded, err := Decode(Encode(nil, rows), testKey, true, testAccepted)
		if err != nil {
			t.Fatal(err)
		}
		merged := NewBuilder(testKey, "acme", "")
		if err := commit(merged, g); err != nil {
			t.Fatal(err)
		}
		merged.Merge(rows)
		again := merged.Rows()
		if got := again.Event(0).Customer; got != "subject-1" {
			t.Errorf("%s: the row before the merge has customer %q", c.attribute, got)
		}
		for name, got := range map[string]string{"staged": rows.Event(1).Customer, "decoded": decoded.Event(1).Customer, "merged": again.Event(2).Customer} {
			if got != c.want {
				t.Errorf("%s of %q: customer %q %s, want %q", c.attribute, c.data, got, name, c.want)
			}
		}
		if got := rows.Event(0).Customer; got != "" {
			t.Errorf("no subject, no attribute: customer %q", got)
		}
	}
}

func TestDataJSON(t *testing.T) {
	t.Parallel()
	number, err := meter.ParseQuantity("-1.250")
	if err != nil {
		t.Fatal(err)
	}
	g := plainEvent(0)
	g.data = []attribute{
		{"b\xffd\xffe", meter.BoolValue(false)}, {"z", meter.Value{Kind: meter.Null}}, {"b\xffc", meter.StringValue("q\"\\\n\x01é")},
		{"a", meter.NumberValue(number)}, {"b\xffd\xfff", meter.Value{Kind: meter.JSON, Str: `[1,{}]`}}, {"bc", meter.StringValue("")},
		{"", meter.BoolValue(true)},
	}
	b := NewBuilder(testKey, "acme", "")
	if err := commit(b, g); err != nil {
		t.Fatal(err)
	}
	if err := commit(b, plainEvent(1)); err != nil {
		t.Fatal(err)
	}
	const want = `{"":true,"a":-1.25,"b":{"c":"q\"\\\n\u0001é","d":{"e":false,"f":[1,{}]}},"bc":"","z":null}`
	if got := string(b.Rows().DataJSON(0, nil)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := string(b.Rows().DataJSON(1, []byte("x"))); got != "x{}" {
		t.Errorf("without data: %s", got)
	}
}
