package meter

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestFilterTable has a row per value of the attribute and filter value, and
// the operators that match it.
func TestFilterTable(t *testing.T) {
	t.Parallel()
	const negative = "NOT_IS NOT_CONTAINS NOT_EQ"
	for _, c := range []struct{ value, with, matching string }{
		{"", `"x"`, negative + " NOT_EXISTS"},
		{"", `5`, negative + " NOT_EXISTS"},
		{"", `""`, negative + " NOT_EXISTS"},
		{`null`, `"x"`, negative + " NOT_EXISTS"},
		{`null`, `""`, negative + " NOT_EXISTS"},
		{`""`, `"x"`, negative + " EXISTS"},
		{`""`, `""`, "IS EQ CONTAINS EXISTS"},
		{`"x"`, `"x"`, "IS EQ CONTAINS EXISTS"},
		{`"axe"`, `"x"`, "NOT_IS NOT_EQ CONTAINS EXISTS"},
		{`"X"`, `"x"`, negative + " EXISTS"},
		{`5`, `5`, "IS EQ CONTAINS GTE LTE EXISTS"},
		{`5.0`, `5`, "IS EQ CONTAINS GTE LTE EXISTS"},
		{`5`, `"5"`, "IS EQ CONTAINS GTE LTE EXISTS"},
		{`"5"`, `5`, "IS EQ CONTAINS GTE LTE EXISTS"},
		{`"5.0"`, `5`, "NOT_IS EQ CONTAINS GTE LTE EXISTS"},
		{`"5.0"`, `"5"`, "NOT_IS EQ CONTAINS GTE LTE EXISTS"},
		{`5`, `"5.0"`, "NOT_IS EQ NOT_CONTAINS GTE LTE EXISTS"},
		{`"05"`, `5`, "NOT_IS NOT_EQ CONTAINS EXISTS"},
		{`6`, `5`, negative + " GT GTE EXISTS"},
		{`-6`, `5`, negative + " LT LTE EXISTS"},
		{`"10"`, `"9"`, negative + " GT GTE EXISTS"},
		{`1234`, `23`, "NOT_IS NOT_EQ CONTAINS GT GTE EXISTS"},
		{`"abc"`, `5`, negative + " EXISTS"},
		{`5`, `"abc"`, negative + " EXISTS"},
		{`"1e26"`, `5`, negative + " EXISTS"},
		{`0.30000000000000004`, `0.30000000000000004`, "IS EQ CONTAINS GTE LTE EXISTS"},
		{`30000000000000004e-17`, `"0.30000000000000004"`, "IS EQ CONTAINS GTE LTE EXISTS"},
		{`0.30000000000000004`, `0.3`, "NOT_IS NOT_EQ CONTAINS GT GTE EXISTS"},
		{`0.30000000000000004`, `0.30000000000000005`, negative + " LT LTE EXISTS"},
		{`0.3`, `0.30000000000000004`, negative + " LT LTE EXISTS"},
		{`-1e-13`, `0`, "NOT_IS NOT_EQ CONTAINS LT LTE EXISTS"},
		{`1e-13`, `0`, "NOT_IS NOT_EQ CONTAINS GT GTE EXISTS"},
		{`1e999999999`, `1e999999998`, negative + " GT GTE EXISTS"},
		{`1e99999999999999999999`, `1e99999999999999999998`, negative + " GT GTE EXISTS"},
		{`-1e99999999999999999999`, `-10e99999999999999999998`, "IS EQ CONTAINS GTE LTE EXISTS"},
		{`1e26`, `"99999999999999999999999999.5"`, negative + " GT GTE EXISTS"},
		{`1e26`, `"1e26"`, "NOT_IS EQ NOT_CONTAINS GTE LTE EXISTS"},
		{`"1e26"`, `1e26`, negative + " EXISTS"},
		{`"5"`, `1e26`, negative + " LT LTE EXISTS"},
		{`true`, `true`, "IS EQ CONTAINS EXISTS"},
		{`true`, `"true"`, "IS EQ CONTAINS EXISTS"},
		{`true`, `false`, negative + " EXISTS"},
		{`true`, `1`, negative + " EXISTS"},
		{`["x"]`, `"x"`, negative + " EXISTS"},
		{`[]`, `""`, negative + " EXISTS"},
		{`{}`, `""`, negative + " EXISTS"},
	} {
		var v, with Value
		if c.value != "" {
			if err := json.Unmarshal([]byte(c.value), &v); err != nil {
				t.Fatal(err)
			}
		}
		if err := json.Unmarshal([]byte(c.with), &with); err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for _, op := range strings.Fields(c.matching) {
			want[op] = true
		}
		for _, op := range ops {
			f := Filter{Attribute: "a", Op: op, Value: with}
			if got := f.Match(v); got != want[string(op)] {
				t.Errorf("%q %s %s is %t", c.value, op, c.with, got)
			}
		}
	}
	if (Filter{Op: "LIKE", Value: StringValue("x")}).Match(StringValue("x")) {
		t.Error("an unknown operator matches")
	}
}

func TestMatchAny(t *testing.T) {
	t.Parallel()
	is := func(attribute, value string) Filter {
		return Filter{Attribute: attribute, Op: OpIs, Value: StringValue(value)}
	}
	get := func(attribute string) Value { return StringValue("v" + attribute) }
	yes, no := is("a", "va"), is("a", "other")
	for _, c := range []struct {
		groups [][]Filter
		want   bool
	}{
		{nil, true},
		{[][]Filter{{yes}}, true},
		{[][]Filter{{no}}, false},
		{[][]Filter{{no, yes}}, true},
		{[][]Filter{{no, yes}, {is("b", "vb")}}, true},
		{[][]Filter{{no, yes}, {no, is("b", "x")}}, false},
		{[][]Filter{{}}, false},
	} {
		if got := MatchAny(c.groups, get); got != c.want {
			t.Errorf("%v matches: %t", c.groups, got)
		}
	}
}

func TestFilterAllocates(t *testing.T) {
	number, text := NumberValue(mustQuantity(t, "503")), StringValue("503.0")
	filters := []Filter{
		{Op: OpGTE, Value: NumberValue(mustQuantity(t, "500"))}, {Op: OpIs, Value: StringValue("503")},
		{Op: OpEq, Value: StringValue("503")}, {Op: OpContains, Value: StringValue("50")},
	}
	values := []Value{number, text}
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range filters {
			for _, v := range values {
				if f.Op != OpContains || v.Kind == String {
					f.Match(v)
				}
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFilterValidate(t *testing.T) {
	t.Parallel()
	limit := strings.Repeat("x", maxFilterValueBytes)
	for _, c := range []struct {
		f    Filter
		want string // "" if valid
	}{
		{Filter{"a", OpIs, StringValue("x")}, ""},
		{Filter{"a", OpIs, StringValue("")}, ""},
		{Filter{"a", OpIs, StringValue(limit)}, ""},
		{Filter{"a", OpIs, StringValue(limit + "x")}, "value"},
		{Filter{"a", OpEq, BoolValue(true)}, ""},
		{Filter{"a", OpExists, Value{}}, ""},
		{Filter{"a", OpNotExists, Value{Kind: Null}}, ""},
		{Filter{"a", OpExists, StringValue("x")}, "EXISTS takes none"},
		{Filter{"a", OpIs, Value{}}, "IS needs"},
		{Filter{"a", OpIs, Value{Kind: Null}}, "IS needs"},
		{Filter{"a", OpIs, Value{Kind: JSON, Str: "[]"}}, "IS needs"},
		{Filter{"a", OpGT, StringValue("5.5")}, ""},
		{Filter{"a", OpGT, StringValue("five")}, `"five": GT needs a number`},
		{Filter{"a", OpLTE, BoolValue(true)}, "LTE needs a number"},
		{Filter{"a", OpContains, StringValue("")}, "CONTAINS needs a text"},
		{Filter{"", OpIs, StringValue("x")}, "attribute"},
		{Filter{strings.Repeat("a", maxNameBytes), OpIs, StringValue("x")}, ""},
		{Filter{strings.Repeat("a", maxNameBytes+1), OpIs, StringValue("x")}, "more than 256"},
		{Filter{"a" + PathSeparator + "b", OpIs, StringValue("x")}, "not valid UTF-8"},
		{Filter{"a\nb", OpIs, StringValue("x")}, "control character"},
		{Filter{"a", "is", StringValue("x")}, `op "is": want one of IS, NOT_IS`},
		{Filter{"a", "", StringValue("x")}, `op "": want one of`},
	} {
		checkError(t, fmt.Sprintf("%+v", c.f), c.f.Validate(), c.want)
	}
}

// checkError checks that err holds want and is of KindInvalid, or is nil if want is "".
func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && err == nil:
		t.Errorf("%s is fine; want an error with %q", what, want)
	case want != "" && (KindOf(err) != KindInvalid || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v (%s); want an error with %q", what, err, KindOf(err), want)
	}
}
