package meter

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// count returns a valid meter, changed.
func count(change func(*Meter)) Meter {
	m := Meter{Key: "requests", EventType: "edge.request", Aggregation: AggCount}
	if change != nil {
		change(&m)
	}
	return m
}

// percentile returns a valid sampled meter, changed.
func percentile(change func(*Meter)) Meter {
	m := Meter{Key: "p95", EventType: "edge.request", Aggregation: AggPercentile, Value: "bytes"}
	if change != nil {
		change(&m)
	}
	return m
}

func attributes(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("a%d", i))
	}
	return out
}

func filters(groups, alternatives int) [][]Filter {
	out := make([][]Filter, groups)
	for i := range out {
		for range alternatives {
			out[i] = append(out[i], Filter{Attribute: "a", Op: OpExists})
		}
	}
	return out
}

func TestMeterValidate(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name string
		m    Meter
		want string // "" if valid
	}{
		{"count", count(nil), ""},
		{"percentile", percentile(nil), ""},
		{"key at the limit", count(func(m *Meter) { m.Key = text(maxKeyBytes) }), ""},
		{"key past it", count(func(m *Meter) { m.Key = text(maxKeyBytes + 1) }), "key"},
		{"key of all characters", count(func(m *Meter) { m.Key = "9A_b.c-d" }), ""},
		{"no key", count(func(m *Meter) { m.Key = "" }), `key ""`},
		{"key with a slash", count(func(m *Meter) { m.Key = "a/b" }), `key "a/b": want 1 to 64`},
		{"key with a leading dot", count(func(m *Meter) { m.Key = ".a" }), "the first a letter or digit"},
		{"key with a line end", count(func(m *Meter) { m.Key = "a\n" }), "key"},
		{"key outside ASCII", count(func(m *Meter) { m.Key = "é" }), "key"},
		{"no event type", count(func(m *Meter) { m.EventType = "" }), "event_type is required"},
		{"event type at the limit", count(func(m *Meter) { m.EventType = text(maxNameBytes) }), ""},
		{"event type past it", count(func(m *Meter) { m.EventType = text(maxNameBytes + 1) }), "has 257 bytes, more than 256"},
		{"event type in bad UTF-8", count(func(m *Meter) { m.EventType = "a\xff" }), "event_type"},
		{"name at the limit", count(func(m *Meter) { m.Name = text(maxNameBytes) }), ""},
		{"name past it", count(func(m *Meter) { m.Name = text(maxNameBytes + 1) }), "name"},
		{"description at the limit", count(func(m *Meter) { m.Description = text(maxDescriptionBytes) }), ""},
		{"description past it", count(func(m *Meter) { m.Description = text(maxDescriptionBytes + 1) }), "description"},
		{"unit at the limit", count(func(m *Meter) { m.Unit = text(maxUnitBytes) }), ""},
		{"unit past it", count(func(m *Meter) { m.Unit = text(maxUnitBytes + 1) }), "unit"},
		{"status active", count(func(m *Meter) { m.Status = StatusActive }), ""},
		{"status deleted", count(func(m *Meter) { m.Status = StatusDeleted }), ""},
		{"status unknown", count(func(m *Meter) { m.Status = "paused" }), `status "paused": want active or deleted`},
		{"no aggregation", count(func(m *Meter) { m.Aggregation = "" }), `aggregation "": want one of COUNT, SUM`},
		{"unknown aggregation", count(func(m *Meter) { m.Aggregation = "MEDIAN" }), `aggregation "MEDIAN"`},
		{"count of a value", count(func(m *Meter) { m.Value = "bytes" }), `value "bytes": COUNT`},
		{"sum of nothing", count(func(m *Meter) { m.Aggregation = AggSum }), "value is required"},
		{"unique count of nothing", count(func(m *Meter) { m.Aggregation = AggUniqueCount }), "value is required"},
		{"value past the limit", percentile(func(m *Meter) { m.Value = text(maxNameBytes + 1) }), "value"},
		{"group_by at the limit", count(func(m *Meter) { m.GroupBy = attributes(MaxGroupBy) }), ""},
		{"group_by past it", count(func(m *Meter) { m.GroupBy = attributes(MaxGroupBy + 1) }), "group_by has 9 attributes, more than 8"},
		{"group_by twice", count(func(m *Meter) { m.GroupBy = []string{"a", "b", "a"} }), `group_by names "a" twice`},
		{"group_by nothing", count(func(m *Meter) { m.GroupBy = []string{""} }), "group_by"},
		{"filters at the limit", count(func(m *Meter) { m.Filters = filters(maxFilterGroups, maxFiltersInGroup) }), ""},
		{"filter groups past it", count(func(m *Meter) { m.Filters = filters(maxFilterGroups+1, 1) }), "filters has 17 groups, more than 16"},
		{"alternatives past it", count(func(m *Meter) { m.Filters = filters(1, maxFiltersInGroup+1) }), "filters[0] has 65 alternatives"},
		{"empty filter group", count(func(m *Meter) { m.Filters = [][]Filter{{}} }), "filters[0] has 0 alternatives"},
		{"bad filter", count(func(m *Meter) { m.Filters = filters(2, 2); m.Filters[1][1].Op = "LIKE" }), `filters[1][1]: op "LIKE"`},
		{"percentile 100", percentile(func(m *Meter) { m.Percentile = "100" }), ""},
		{"percentile 99.9", percentile(func(m *Meter) { m.Percentile = "99.9" }), ""},
		{"percentile past 100", percentile(func(m *Meter) { m.Percentile = "100.000000000001" }), "above 0 and at most 100"},
		{"percentile 0", percentile(func(m *Meter) { m.Percentile = "0" }), `percentile "0"`},
		{"percentile negative", percentile(func(m *Meter) { m.Percentile = "-5" }), "percentile"},
		{"percentile text", percentile(func(m *Meter) { m.Percentile = "most" }), `percentile "most"`},
		{"percentile at 12 decimals", percentile(func(m *Meter) { m.Percentile = "0.000000000001" }), ""},
		{"percentile past 12 decimals", percentile(func(m *Meter) { m.Percentile = "0.0000000000001" }), "at most 12 decimals"},
		{"percentile of a peak", percentile(func(m *Meter) { m.Aggregation = AggPeak; m.Percentile = "95" }), "only PERCENTILE"},
		{"sample of a peak", percentile(func(m *Meter) { m.Aggregation = AggPeak; m.Sample = defaultSample; m.Rate = true }), ""},
		{"sample of a count", count(func(m *Meter) { m.Sample = defaultSample }), "only PERCENTILE and PEAK take one, not COUNT"},
		{"rate of a count", count(func(m *Meter) { m.Rate = true }), "only PERCENTILE and PEAK take it, not COUNT"},
		{"sample at the least", percentile(func(m *Meter) { m.Sample = minSample }), ""},
		{"sample below", percentile(func(m *Meter) { m.Sample = Duration(30 * time.Second) }), `sample "30s"`},
		{"sample at the most", percentile(func(m *Meter) { m.Sample = maxSample }), ""},
		{"sample above", percentile(func(m *Meter) { m.Sample = 2 * maxSample }), `sample "48h"`},
		{"sample of 7m", percentile(func(m *Meter) { m.Sample = Duration(7 * time.Minute) }), `sample "7m": want whole minutes from 1m to 24h that divide a day evenly`},
		{"sample of 90s", percentile(func(m *Meter) { m.Sample = Duration(90 * time.Second) }), `sample "90s"`},
		{"sample negative", percentile(func(m *Meter) { m.Sample = -minSample }), "sample"},
	} {
		checkError(t, c.name, c.m.Validate(), c.want)
		if c.want == "" {
			checkError(t, c.name+", normalized", c.m.Normalize().Validate(), "")
		}
	}
}

func TestMeterDefaults(t *testing.T) {
	t.Parallel()
	p := percentile(nil).Normalize()
	if p.Percentile != "95" || p.Sample != Duration(5*time.Minute) || p.Status != StatusActive {
		t.Errorf("defaults of a percentile are %+v", p)
	}
	if c := count(nil).Normalize(); c.Percentile != "" || c.Sample != 0 || c.SlotWidth() != 15*time.Minute || c.Sampled() {
		t.Errorf("defaults of a count are %+v", c)
	}
	hourly := percentile(func(m *Meter) { m.Sample = Duration(time.Hour) })
	if hourly.SlotWidth() != time.Hour || percentile(nil).SlotWidth() != 5*time.Minute || !hourly.Sampled() {
		t.Error("the slots of a sampled meter are not its samples")
	}
	if p := percentile(func(m *Meter) { m.Percentile = "99.50" }).Normalize(); p.Percentile != "99.5" {
		t.Errorf("99.50 becomes %s", p.Percentile)
	}
	own := count(func(m *Meter) { m.GroupBy = []string{"a"}; m.Filters = filters(1, 1) })
	copied := own.Normalize()
	own.GroupBy[0], own.Filters[0][0].Attribute = "changed", "changed"
	if copied.GroupBy[0] != "a" || copied.Filters[0][0].Attribute != "a" {
		t.Error("a normalized meter shares its slices")
	}
}

func TestSameDefinition(t *testing.T) {
	t.Parallel()
	base := percentile(func(m *Meter) {
		m.GroupBy = []string{"customer", "region"}
		m.Filters = [][]Filter{
			{{"status", OpGTE, NumberValue(mustQuantity(t, "500"))}, {"status", OpExists, Value{}}},
			{{"path", OpIs, StringValue("/")}},
		}
	})
	with := func(change func(*Meter)) Meter {
		m := base.Normalize()
		change(&m)
		return m
	}
	for name, m := range map[string]Meter{
		"itself":           base,
		"normalized":       base.Normalize(),
		"other texts":      with(func(m *Meter) { m.Name, m.Description, m.Unit, m.Status = "n", "d", "u", StatusDeleted }),
		"groups reordered": with(func(m *Meter) { m.GroupBy = []string{"region", "customer"} }),
		"filters reordered": with(func(m *Meter) {
			m.Filters[0], m.Filters[1] = m.Filters[1], m.Filters[0]
			m.Filters[1][0], m.Filters[1][1] = m.Filters[1][1], m.Filters[1][0]
		}),
		"number as text": with(func(m *Meter) { m.Filters[0][0].Value = StringValue("500") }),
		"95.0":           with(func(m *Meter) { m.Percentile = "95.0" }),
	} {
		if !base.SameDefinition(m) || !m.SameDefinition(base) {
			t.Errorf("%s is another definition", name)
		}
	}
	for name, m := range map[string]Meter{
		"key":         with(func(m *Meter) { m.Key = "other" }),
		"event type":  with(func(m *Meter) { m.EventType = "other" }),
		"aggregation": with(func(m *Meter) { m.Aggregation = AggPeak }),
		"value":       with(func(m *Meter) { m.Value = "other" }),
		"group":       with(func(m *Meter) { m.GroupBy = m.GroupBy[:1] }),
		"filter":      with(func(m *Meter) { m.Filters[0][0].Value = StringValue("501") }),
		"op":          with(func(m *Meter) { m.Filters[0][0].Op = OpGT }),
		"alternative": with(func(m *Meter) { m.Filters[0] = m.Filters[0][:1] }),
		"regrouped":   with(func(m *Meter) { m.Filters = [][]Filter{m.Filters[0][:1], {m.Filters[0][1], m.Filters[1][0]}} }),
		"percentile":  with(func(m *Meter) { m.Percentile = "99" }),
		"sample":      with(func(m *Meter) { m.Sample = minSample }),
		"rate":        with(func(m *Meter) { m.Rate = true }),
	} {
		if base.SameDefinition(m) {
			t.Errorf("another %s is the same definition", name)
		}
	}
}

func TestMeterResult(t *testing.T) {
	t.Parallel()
	// 95/5 Mbps: bytes of 5 minutes, times 8/10^6, divided by 300 last.
	m := percentile(func(m *Meter) { m.Rate = true })
	if got := m.Result(NewDecimal(37_500_001), mustDecimal(t, "0.000008")); got.String() != "1.000000026667" {
		t.Errorf("%s Mbps", got)
	}
	m.Rate = false
	if got := m.Result(NewDecimal(3), mustDecimal(t, "0.1")); got.String() != "0.3" {
		t.Errorf("%s without a rate", got)
	}
}

func TestDecodeMeter(t *testing.T) {
	t.Parallel()
	full := `{"key":"p","name":"n","description":"d","event_type":"e","aggregation":"PERCENTILE","value":"bytes",
		"group_by":["customer","region"],"filters":[[{"attribute":"status","op":"GTE","value":500},{"attribute":"x","op":"EXISTS"}]],
		"percentile":99.9,"sample":"1h","rate":true,"unit":"Mbps","status":"active"}`
	want := Meter{Key: "p", Name: "n", Description: "d", EventType: "e", Aggregation: AggPercentile, Value: "bytes",
		GroupBy: []string{"customer", "region"}, Percentile: "99.9", Sample: Duration(time.Hour), Rate: true, Unit: "Mbps", Status: "active",
		Filters: [][]Filter{{{"status", OpGTE, NumberValue(QuantityFromInt64(500))}, {"x", OpExists, Value{}}}}}
	m, err := DecodeMeter([]byte(full))
	if err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("read %+v, %v", m, err)
	}
	out, err := json.Marshal(m)
	compact := strings.NewReplacer("\n", "", "\t", "").Replace(full)
	if err != nil || string(out) != compact {
		t.Errorf("written %s, %v; want %s", out, err, compact)
	}
	base := `"key":"a","event_type":"e","aggregation":"PEAK","value":"v"`
	for _, c := range []struct{ text, want string }{
		{`{` + base + `}`, ""},
		{` {` + base + `,"sample":"15m"} `, ""},
		{`{` + base + `,"percentil":95}`, `unknown field "percentil"`},
		{`{` + base + `,"Key":"b"}`, `unknown field "Key": did you mean "key"?`},
		{`{` + base + `,"key":"b"}`, `meter: key: is given twice`},
		{`{` + base + `,"filters":[[{"attribute":"a","op":"IS","op":"IS"}]]}`, `meter: filters[0][0].op: is given twice`},
		{`{` + base + `,"filters":[[{"attribute":"a","op":"IS","vale":1}]]}`, `filters[0][0]: unknown field "vale"`},
		{`{` + base + `,"filters":[[{"attribute":"a","op":"IS","value":{"a":1}}]]}`, `filters[0][0]: value: IS needs`},
		{`{` + base + `,"filters":[{"attribute":"a"}]}`, `filters[0]: want an array, not an object`},
		{`{` + base + `,"group_by":"a"}`, `group_by: want an array, not a string`},
		{`{` + base + `,"sample":300}`, `sample: want a string, not a number`},
		{`{` + base + `,"sample":"soon"}`, `sample "soon": want a duration`},
		{`{` + base + `,"rate":"yes"}`, `rate: want a boolean, not a string`},
		{`{"key":"a","event_type":"e","aggregation":"PERCENTILE","value":"v","percentile":"95.5"}`, ""},
		{`{"key":"a","event_type":"e","aggregation":"PERCENTILE","value":"v","percentile":true}`, `percentile "true"`},
		{`{"key":"a","event_type":"e","aggregation":"PERCENTILE","value":"v","percentile":1e500}`, `percentile "1e500"`},
		{`{` + base + `}{}`, "more text after the value"},
		{`{` + base, "ends too early"},
		{``, "the text is empty"},
		{`[]`, "want an object, not an array"},
		{`null`, "want an object, not null"},
		{"{\"key\":\"a\xff\"}", "not valid UTF-8"},
		{strings.Repeat("[", 20_000), "meter"},
		{"\xef\xbb\xbf{" + base + "}", ""},
		{`{` + base + `,"name":"\ud800"}`, `holds \ud800, which is half of a surrogate pair`},
		{`{` + base + `,"filters":null}`, "filters: is null"},
		{`{` + base + `,"filters":[[{"attribute":"a","op":"IS","value":"\udc00"}]]}`, `filters[0][0].value: holds \udc00`},
	} {
		m, err := DecodeMeter([]byte(c.text))
		checkError(t, clip(c.text), err, c.want)
		if err != nil && !reflect.DeepEqual(m, Meter{}) {
			t.Errorf("%s: a meter comes with the error", clip(c.text))
		}
	}
	padded := full + strings.Repeat(" ", maxMeterBytes-len(full))
	if _, err := DecodeMeter([]byte(padded)); err != nil {
		t.Errorf("a meter at the size limit: %v", err)
	}
	if _, err := DecodeMeter([]byte(padded + " ")); KindOf(err) != KindTooLarge {
		t.Errorf("a meter past the size limit: %v", err)
	}
}

// catalog has the meters of a catalog file, in its own spelling.
const catalog = `
- {key: edge_requests, event_type: edge.request, aggregation: COUNT, unit: request, group_by: [customer, product, service, region, contract, cp_code]}
- {key: edge_p95, event_type: edge.request, aggregation: PERCENTILE, percentile: 95, sample: 5m, rate: true, value: bytes, group_by: [customer, product, contract, region]}
- {key: edge_p999, event_type: edge.request, aggregation: PERCENTILE, percentile: 99.9, value: bytes}
- {key: errors, event_type: edge.request, aggregation: COUNT, filters: [[{attribute: status, op: GTE, value: 500}]], group_by: [customer, service]}
- {key: named, event_type: edge.request, aggregation: COUNT, filters: [[{attribute: host, op: EXISTS}, {attribute: size, op: EQ, value: 0.1}]]}
- {key: visitors, event_type: edge.request, aggregation: UNIQUE_COUNT, value: client, group_by: [customer, service]}
`

func TestMeterYAML(t *testing.T) {
	t.Parallel()
	read := func(text string) []Meter {
		dec := yaml.NewDecoder(strings.NewReader(text))
		dec.KnownFields(true)
		var meters []Meter
		if err := dec.Decode(&meters); err != nil {
			t.Fatal(err)
		}
		return meters
	}
	meters := read(catalog)
	for _, m := range meters {
		checkError(t, m.Key, m.Validate(), "")
	}
	if p := meters[1]; p.Percentile != "95" || p.Sample != Duration(5*time.Minute) || !p.Rate {
		t.Errorf("percentile reads as %+v", p)
	}
	if f := meters[3].Filters[0][0]; f != (Filter{"status", OpGTE, NumberValue(QuantityFromInt64(500))}) {
		t.Errorf("filter reads as %+v", f)
	}
	out, err := yaml.Marshal(meters)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range read(string(out)) {
		if !m.SameDefinition(meters[i]) {
			t.Errorf("%+v becomes %+v", meters[i], m)
		}
	}
	dec := yaml.NewDecoder(strings.NewReader(`[{key: a, agregation: SUM}]`))
	dec.KnownFields(true)
	if err := dec.Decode(&meters); err == nil || !strings.Contains(err.Error(), "agregation") {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{"5m": 5 * time.Minute, "1h": time.Hour, "24h": 24 * time.Hour, "90m": 90 * time.Minute,
		"90s": 90 * time.Second, "0s": 0, "1.5s": 1500 * time.Millisecond, "-5m": -5 * time.Minute} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%s is rendered %s", want, got)
		}
		var back Duration
		if err := back.UnmarshalText([]byte(want)); err != nil || back != Duration(d) {
			t.Errorf("%s reads as %s, %v", want, back, err)
		}
	}
}

func FuzzMeterJSON(f *testing.F) {
	f.Add([]byte(`{"key":"a","event_type":"e","aggregation":"COUNT","group_by":[],"filters":[[{"attribute":"status","op":"GTE","value":500}]]}`))
	f.Add([]byte(`{"key":"a","event_type":"e","aggregation":"PERCENTILE","value":"v","percentile":"99.90","sample":"5m","rate":true,"status":"deleted"}`))
	f.Add([]byte(`{"key":"a","event_type":"\ud800","aggregation":"PEAK","value":"a.b","filters":[[{"attribute":"x","op":"NOT_EXISTS","value":null}]]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := DecodeMeter(text)
		if err != nil {
			return
		}
		checkError(t, "normalized", m.Normalize().Validate(), "")
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeMeter(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !back.SameDefinition(m) || !reflect.DeepEqual(m.Normalize(), back.Normalize()) {
			t.Fatalf("%+v becomes %+v", m, back)
		}
		if again := m.Normalize().Normalize(); !reflect.DeepEqual(again, m.Normalize()) {
			t.Fatalf("normalizing twice differs: %+v", again)
		}
	})
}
