package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A customer that is too large for a document comes in several, in which
// nothing refers to what a later one has.
func TestOneCustomerInSequence(t *testing.T) {
	t.Parallel()
	c := Customer{ID: "c", Name: "c", CycleDay: 1, Pricing: PricingUsage}
	for i := range 40 {
		id := fmt.Sprint(i + 1)
		c.Services = append(c.Services, Service{id, id})
		c.Contracts = append(c.Contracts, Contract{ID: id})
		c.CPCodes = append(c.CPCodes, CPCode{ID: int64(i + 1), Name: id, Contract: id})
		c.AccountGroups = append(c.AccountGroups, AccountGroup{id, id})
		c.Agents = append(c.Agents, Agent{ID: id, Name: id, Kind: AgentEnterprise, AccountGroup: id})
		c.Tests = append(c.Tests, Test{ID: id, Name: id, Type: "http", AccountGroup: id, IntervalS: 60, Agents: []string{id}})
	}
	whole := &Document{Customers: []Customer{c}}
	walk := func(visit func(*Document) error) error {
		if err := visit(&Document{Organization: &OrganizationSettings{Name: "o"}}); err != nil {
			return err
		}
		return visit(whole)
	}
	limits := DocumentLimits{Bytes: 4000, Values: 300}
	var text bytes.Buffer
	if err := WriteYAML(&text, walk, limits); err != nil {
		t.Fatal(err)
	}
	have, read := &Document{}, NewDocuments(&text)
	n := 0
	for ; ; n++ {
		one, _, err := read.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(one) > limits.Bytes || yamlNodes(one) > limits.Values+1 {
			t.Errorf("document %d: %d bytes, %v", n, len(one), err)
		}
		doc, err := ParseDocument(one)
		if err != nil {
			t.Fatal(err)
		}
		have = merge(have, doc)
		if err := scopeOf(have, nil).check(doc).errIn(doc); err != nil {
			t.Errorf("document %d: %v", n, err)
		}
	}
	got, err := (&Document{Customers: have.Customers}).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := whole.YAML(); err != nil || !bytes.Equal(got, want) || n < 5 {
		t.Errorf("%d documents, %v:\n%s", n, err, got)
	}
	if err := WriteYAML(io.Discard, walk, DocumentLimits{Bytes: 50, Values: 50}); err == nil || !strings.Contains(err.Error(), "too large for a document") {
		t.Errorf("a noun over the limits: %v", err)
	}
}

// Documents of a text, with their lines.
func TestDocuments(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxDocumentBytes)
	for text, want := range map[string]string{
		"":                                      "",
		"\n \n---\n---\n":                       "",
		"a: 1":                                  "1 a: 1",
		"---\na: 1\nb: 2\n":                     "2 a: 1|b: 2|",
		"a: 1\n---\nb: 2\n--- \r\nc: |\n ---\n": "1 a: 1| 3 b: 2| 5 c: || ---|",
		"{\"a\": 1}\n{\"b\": 2}\n\n{\"c\": 3}":  `1 {"a": 1}| 2 {"b": 2}| 3 |{"c": 3}`,
		"{\n\"a\": 1}\n---\n{b: 2}\n{":          "1 {|\"a\": 1}| 4 {b: 2}|{",
		"a: 1\n---\n" + long + "\n---\nb: 2":    "1 a: 1| 3 " + long + "| 5 b: 2", // as much as shows that it is too large
	} {
		read := NewDocuments(strings.NewReader(text))
		var got []string
		for {
			one, line, err := read.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%d %s", line, strings.ReplaceAll(string(one), "\n", "|")))
		}
		if g := strings.Join(got, " "); g != want && len(text) < 1000 || len(g) != len(want) && len(text) > 1000 {
			t.Errorf("%.60q: %.200q, want %.200q", text, g, want)
		}
	}
}
