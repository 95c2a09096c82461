package catalog

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"odometer/internal/meter"
)

// bombs are documents that are small to send and dear to read, and what is said of them.
func bombs() map[string]struct {
	text []byte
	kind meter.Kind
	want string
} {
	type bomb = struct {
		text []byte
		kind meter.Kind
		want string
	}
	long := func(head, one, tail string) []byte {
		var b bytes.Buffer
		b.WriteString(head)
		b.Write(bytes.Repeat([]byte(one), (MaxDocumentBytes-len(head)-len(tail))/len(one)))
		b.WriteString(tail)
		return b.Bytes()
	}
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 30; i++ {
		n, before := strconv.Itoa(i), strconv.Itoa(i-1)
		laughs.WriteString("a" + n + ": &a" + n + " [" + strings.Repeat("*a"+before+",", 9) + "]\n")
	}
	return map[string]bomb{
		"items, JSON":            {long(`{"customers":[`, `1,`, `1]}`), meter.KindTooLarge, "more than 1000000 values and names"},
		"items, YAML":            {long(`customers: [`, `a,`, `a]`), meter.KindTooLarge, "values and names, more than 1000000"},
		"empty items, YAML":      {long("customers:\n", "-\n", ""), meter.KindTooLarge, "values and names, more than 1000000"},
		"lists in lists, YAML":   {long("customers:\n", "- - - a\n", ""), meter.KindTooLarge, "values and names, more than 1000000"},
		"members, JSON":          {long(`{"units":{"rates":[{}`, `,{"a":1}`, `]}}`), meter.KindTooLarge, "more than 1000000 values and names"},
		"members, YAML":          {long("units:\n rates:\n", "  a:\n", ""), meter.KindTooLarge, "values and names, more than 1000000"},
		"quoted members, YAML":   {long(`x: {`, `"a":1,`, `z: 1}`), meter.KindTooLarge, "values and names, more than 1000000"},
		"questions, YAML":        {long("", "? a\n", ""), meter.KindTooLarge, "values and names, more than 1000000"},
		"aliases, YAML":          {long("meters: &a [1]\ncustomers: [", "*a,", "*a]"), meter.KindTooLarge, "values and names, more than 1000000"},
		"aliases of aliases":     {[]byte(laughs.String()), meter.KindInvalid, "there is no such field"},
		"aliases of themselves":  {[]byte("customers: &a [*a]"), meter.KindInvalid, "anchors and aliases are not read"},
		"merged":                 {[]byte("customers: [{id: a, <<: {name: b}}]"), meter.KindInvalid, "there is no such field"},
		"depth, JSON":            {long(`{"customers":`, `[`, ``), meter.KindTooLarge, "values and names"},
		"depth, closed, JSON":    {[]byte(`{"customers":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`), meter.KindInvalid, "nested too deep"},
		"depth, YAML":            {[]byte("customers: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), meter.KindInvalid, ""},
		"depth by indents, YAML": {[]byte(indents(3000)), meter.KindInvalid, ""},
		"problems":               {long(`{"customers":[{}`, `,{                         }`, `]}`), meter.KindTooLarge, "values and names"},
		"many problems":          {[]byte(`{"customers":[{}` + strings.Repeat(`,{"x":1}`, 300_000) + `]}`), meter.KindInvalid, "and 299980 more"},
		"comments":               {long("organization:\n", "#\n", "  id: a\n"), meter.KindInternal, ""},
		"a long text":            {long("organization: {name: \"", "a", "\"}"), meter.KindInvalid, "want at most 256 bytes"},
		"a long name":            {long(`{"`, "a", `":1}`), meter.KindInvalid, "there is no such field"},
		"white space":            {long(`{`, " ", `}`), meter.KindInternal, ""},
		"blank lines, YAML":      {long("organization:\n", "\n", "  id: a\n"), meter.KindInternal, ""},
		"colons in a text, YAML": {long("organization: {name: '", "a: ", "'}"), meter.KindTooLarge, "about"},
	}
}

// indents is a YAML text of mappings in each other.
func indents(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// TestDocumentBombs: no document takes much more memory than the largest that
// is of use, whatever its text. KindInternal stands for a document that is taken.
func TestDocumentBombs(t *testing.T) {
	for name, c := range bombs() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseDocument(c.text)
		runtime.ReadMemStats(&after)
		if (err == nil) != (c.kind == meter.KindInternal) || meter.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v", name, err)
		}
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 1000 {
			t.Errorf("%s: %d MiB were allocated in all", name, took)
		}
		t.Logf("%s: %d MiB allocated", name, (after.TotalAlloc-before.TotalAlloc)>>20)
	}
}

// TestDocumentNodes: at the limit, and one past it.
func TestDocumentNodes(t *testing.T) {
	t.Parallel()
	// The object, two names, a list and a customer with a name and a list of services come first.
	document := func(open, one, end string, n int) []byte {
		return []byte(open + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + end)
	}
	const around = 13
	for _, n := range []int{maxDocumentNodes - around, maxDocumentNodes - around + 1} {
		_, err := ParseDocument(document(`{"customers":[{"id":"a","contracts":[{"id":"k","customers":[`, `"c"`, `]}]}]}`, n))
		want := meter.KindInvalid // c is given more than once
		if n > maxDocumentNodes-around {
			want = meter.KindTooLarge
		}
		if meter.KindOf(err) != want {
			t.Errorf("%d items: %.200v, want %s", n, err, want)
		}
	}
	for _, n := range []int{maxDocumentNodes - 100, maxDocumentNodes + 1} {
		_, err := ParseDocument(document(`customers: [{id: a, contracts: [{id: k, customers: [`, `c`, `]}]}]`, n))
		want := meter.KindInvalid
		if n > maxDocumentNodes {
			want = meter.KindTooLarge
		}
		if meter.KindOf(err) != want {
			t.Errorf("%d items of YAML: %.200v, want %s", n, err, want)
		}
	}
}

// TestLongLists: lists are checked by sets; with scans each of these takes minutes.
func TestLongLists(t *testing.T) {
	t.Parallel()
	const n = 40_000
	list := func(format string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.ReplaceAll(format, "@", strconv.Itoa(i+1)))
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"customers of a contract": `{"customers":[{"id":"a","contracts":[{"id":"k","customers":[` + list(`"c@"`) + `]}]}]}`,
		"products of a term":      `{"customers":[{"id":"a","contracts":[{"id":"k","terms":[{"regions":"GLOBAL","products":[` + list(`"c@"`) + `]}]}]}]}`,
		"agents of a test":        `{"customers":[{"id":"a","tests":[{"id":"t","type":"x","account_group":"g","interval_s":60,"agents":[` + list(`"c@"`) + `]}]}]}`,
		"codes of a group":        `{"customers":[{"id":"a","reporting_groups":[{"id":1,"cp_codes":[` + list(`@`) + `]}]}]}`,
		"metrics of a listing": `{"entitlements":[{"id":"e","customer":"c","product":"p","partner":"GCP","status":"active","starts":"2026-01-01","dimensions":[` + list(`{"key":"d@"}`) +
			`],"gcp":{"service":"cdn.example.com","usage_reporting_id":"project_number:1","metrics":{` + list(`"d@":{"name":"cdn.example.com/m","type":"INT64"}`) + `}}}]}`,
		"dimensions": `{"entitlements":[{"id":"e","customer":"c","product":"p","partner":"AWS","status":"active","starts":"2026-01-01","dimensions":[` + list(`{"key":"d@"}`) + `]}]}`,
		"fields":     `{"units":{"rates":{` + list(`"r@":{"cloud":"1"}`) + `}}}`,
	} {
		doc, err := ParseDocument([]byte(text))
		if err != nil {
			t.Errorf("%s: %.200v", name, err)
			continue
		}
		scopeOf(doc, nil).check(doc)
	}
}

// TestReadingEnds: whoever asked for it has left.
func TestReadingEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, text := range []string{`{"customers":[{"id":"a"}` + strings.Repeat(`,{"id":"a"}`, 5000) + `]}`, "customers: [{id: a}]"} {
		if _, err := ReadDocument(ctx, []byte(text)); meter.KindOf(err) != meter.KindUnavailable {
			t.Errorf("%.20s: %v", text, err)
		}
	}
}
