package meter

import (
	"encoding/json"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestValueTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		json    string
		kind    ValueKind
		group   string
		text    bool   // counted by UNIQUE_COUNT
		numeric string // "" if not numeric
	}{
		{`null`, Null, "", false, ""},
		{`true`, True, "true", true, ""},
		{`false`, False, "false", true, ""},
		{`9001`, Number, "9001", true, "9001"},
		{`1.0`, Number, "1", true, "1"},
		{`1e2`, Number, "100", true, "100"},
		{`-0`, Number, "0", true, "0"},
		{`"9001"`, String, "9001", true, "9001"},
		{`"1.0"`, String, "1.0", true, "1"},
		{`""`, String, "", true, ""},
		{`" 1"`, String, " 1", true, ""},
		{`"007"`, String, "007", true, ""},
		{`"1e26"`, String, "1e26", true, ""},
		{`"NaN"`, String, "NaN", true, ""},
		{`"a\u0001\"b"`, String, "a\x01\"b", true, ""},
		{`[1,2]`, JSON, "", false, ""},
		{`{"a":1}`, JSON, "", false, ""},
	} {
		var v Value
		if err := json.Unmarshal([]byte(c.json), &v); err != nil {
			t.Fatal(err)
		}
		if v.Kind != c.kind || v.Group() != c.group || string(v.AppendGroup([]byte("x"))) != "x"+c.group {
			t.Errorf("%s is of kind %d in group %q; want %d, %q", c.json, v.Kind, v.Group(), c.kind, c.group)
		}
		if text, ok := v.Text(); ok != c.text || text != c.group {
			t.Errorf("%s has text %q, %t", c.json, text, ok)
		}
		q, ok := v.Numeric()
		if ok != (c.numeric != "") || ok && q.String() != c.numeric {
			t.Errorf("%s is %s, %t; want %q", c.json, q, ok, c.numeric)
		}
		out, err := json.Marshal(v)
		var back Value
		if err != nil || json.Unmarshal(out, &back) != nil || back != v {
			t.Errorf("%s becomes %s, %v", c.json, out, err)
		}
	}
	if v := (Value{}); v.Group() != "" || !v.IsZero() || v != (Value{Kind: Absent}) {
		t.Error("the zero value is not absent")
	}
}

func TestValueYAML(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		yaml string
		want Value
	}{
		{`500`, NumberValue(mustQuantity(t, "500"))},
		{`0.1`, NumberValue(mustQuantity(t, "0.1"))},
		{`12345678901234567890123456.5`, NumberValue(mustQuantity(t, "12345678901234567890123456.5"))},
		{`"500"`, StringValue("500")},
		{`text`, StringValue("text")},
		{`2026-01-01`, StringValue("2026-01-01")},
		{`true`, BoolValue(true)},
		{`"false"`, StringValue("false")},
		{`1e30`, Value{Kind: Excess, Str: "1e30"}},
	} {
		var got struct{ V Value }
		if err := yaml.Unmarshal([]byte("v: "+c.yaml), &got); err != nil || got.V != c.want {
			t.Errorf("%s reads as %+v, %v", c.yaml, got.V, err)
		}
		out, err := yaml.Marshal(got)
		var back struct{ V Value }
		if err != nil || yaml.Unmarshal(out, &back) != nil || back.V.Group() != c.want.Group() {
			t.Errorf("%s becomes %q, %v", c.yaml, out, err)
		}
	}
	for _, in := range []string{`[1]`, `{a: 1}`, `1_000`, `0x1F`, `.inf`, `.nan`} {
		var got struct{ V Value }
		if err := yaml.Unmarshal([]byte("v: "+in), &got); err == nil {
			t.Errorf("%s reads as %+v", in, got.V)
		}
	}
}
