package main

import (
	"strings"
	"testing"
)

// TestApplySequence: a file of several documents is applied one after another,
// with its lines in messages.
func TestApplySequence(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	admin := s.as(s.adminKey)
	text := "products: [{id: cdn}]\n---\ncustomers: [{id: acme, services: [{id: s}]}]\n---\n" +
		"customers: [{id: zeta, contracts: [{id: K, starts: 2020-01-01, customers: [acme], terms: [{products: [cdn], regions: GLOBAL}]}]}]\n"
	file := textFile(t, text)

	code, out, errs := command(t, admin, "apply", "-f", file)
	if want := "document 1 of 3: 1 created, 0 changed, 0 removed\ndocument 2 of 3: 2 created, 0 changed, 0 removed\ndocument 3 of 3: 2 created, 0 changed, 0 removed\n"; code != exitOK ||
		out != "5 created, 0 changed, 0 removed\n" || errs != want {
		t.Errorf("%d, %s\n%s", code, out, errs)
	}
	env, stdout, stderr := testEnv(admin)
	env.Stdin = strings.NewReader(text)
	if code := Run(t.Context(), env, []string{"apply", "-f", "-"}); code != exitOK || stdout.String() != "nothing to change\n" {
		t.Errorf("applied again: %d, %s\n%s", code, stdout, stderr)
	}

	for _, c := range []struct {
		text, want string
		args       []string
	}{
		{text, "has several documents", []string{"--prune"}},
		{text, "has several documents", []string{"--dry-run"}},
		{"customers: [{id: new}]\n---\ncustomers:\n- {id: x}\n- {nam: x}\n", "nothing was applied: document 2:\nline 5: customers[1].nam: there is no such field", nil},
		{"customers: [{id: new}]\n---\n\ncustomers:\n- {id: x, contracts: [{id: L, terms: [{products: [none]}]}]}\n", "document 2 of 2 (the 1 before it were applied, it and those after it were not):\nline 5: customers[0].contracts[0].terms[0].products[0]: there is no product \"none\"", nil},
	} {
		code, out, errs := command(t, admin, append([]string{"apply", "-f", textFile(t, c.text)}, c.args...)...)
		if code != exitUsage || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%s: %d, %s\n%s", c.want, code, out, errs)
		}
	}
	if all := must(t, admin, "catalog"); !strings.Contains(all, "new") || strings.Contains(all, "id: x") {
		t.Errorf("there is\n%s", all)
	}
}
