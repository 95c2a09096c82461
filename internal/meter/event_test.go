package meter

import (
	"slices"
	"testing"
)

func TestEventGet(t *testing.T) {
	t.Parallel()
	e := Event{Customer: "acme", Data: []Attribute{
		{"customer", StringValue("of the data")},
		{"status", StringValue("ok")},
		{"a.b", StringValue("literal")},
		{JoinPath("a", "b"), StringValue("nested")},
		{JoinPath("a", "c"), StringValue("only nested")},
		{JoinPath("x", "y", "z"), StringValue("deep")},
		{JoinPath("m", "n.o"), StringValue("dot inside")},
		{"list", Value{Kind: JSON, Str: "[1]"}},
		{"nothing", Value{Kind: Null}},
		{"p.q", Value{Kind: Null}},
		{JoinPath("p", "q"), StringValue("hidden by null")},
	}}
	for name, want := range map[string]Value{
		"customer": StringValue("acme"),
		"status":   StringValue("ok"),
		"a.b":      StringValue("literal"),
		"a.c":      StringValue("only nested"),
		"x.y.z":    StringValue("deep"),
		"m.n.o":    {},
		"list":     {Kind: JSON, Str: "[1]"},
		"nothing":  {Kind: Null},
		"p.q":      {Kind: Null},
		"a":        {Kind: JSON},
		"x.y":      {Kind: JSON},
		"stat":     {},
		"status.a": {},
		"":         {},
	} {
		if got := e.Get(name); got != want {
			t.Errorf("Get(%q) = %+v; want %+v", name, got, want)
		}
	}
	if got := (&Event{}).Get("customer"); got.Kind != Absent {
		t.Errorf("the customer of an event without one is %+v", got)
	}
}

func TestAttributePaths(t *testing.T) {
	t.Parallel()
	if got := AttributePaths("plain"); !slices.Equal(got, []string{"plain", ExtensionPrefix + "plain"}) {
		t.Errorf("%q", got)
	}
	if got := AttributePaths("a.b.c"); !slices.Equal(got, []string{"a.b.c", JoinPath("a", "b", "c"), ExtensionPrefix + "a.b.c"}) {
		t.Errorf("%q", got)
	}
	for path, want := range map[string]string{"plain": "plain", JoinPath("a", "b"): "a.b", ExtensionPrefix + "tenantid": "tenantid"} {
		if got := PathName(path); got != want {
			t.Errorf("%q is named %q, want %q", path, got, want)
		}
	}
	if !Inside(JoinPath("a", "b"), "a") || Inside("ab", "a") || Inside("a", "a") || Inside("", "a") {
		t.Error("Inside is wrong")
	}
}

func TestIdentityCompare(t *testing.T) {
	t.Parallel()
	ordered := []Identity{{"", "z"}, {"a", ""}, {"a", "b"}, {"a", "c"}, {"b", "a"}}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Compare(b); got != min(max(i-j, -1), 1) {
				t.Errorf("%v.Compare(%v) = %d", a, b, got)
			}
		}
	}
}
