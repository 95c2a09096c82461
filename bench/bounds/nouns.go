package main

import (
	"fmt"
	"net/http"
	"strings"
)

// noun is one kind of the catalog with the largest of it.
type noun struct {
	path   string
	one    string // the id that is read and changed
	first  string // and one that is created, then removed
	what   string // the largest of it
	create func(w *world) string
	patch  func(w *world) string
}

// same is a body that does not depend on the world.
func same(body string) func(*world) string { return func(*world) string { return body } }

func nouns() []noun {
	const of = "/api/v1/customers/{customer}/"
	types := func(letter string) string {
		return `"usage_types":[` + list(20_000, func(i int) string {
			return fmt.Sprintf(`{"name":"t%05d%s%s","meter":"estate_requests","where":{"region":"r%d"},"unit":"request"}`, i, name128, letter, i)
		}) + `]`
	}
	codes := func() string { return list(wideCodes, func(i int) string { return fmt.Sprintf("4%05d", i) }) }
	return []noun{
		{"/api/v1/products", "wide", "new", "20,000 usage types, 5 MiB", same(`{"id":"new",` + types("n") + `}`), same(`{` + types("y") + `}`)},
		{"/api/v1/customers", "wide", "newer", "40,000 services and more, 7 MiB", func(w *world) string { return w.wide("newer", "n") }, func(w *world) string {
			_, services, _ := strings.Cut(w.wide("wide", "z"), `"services":`)
			services, _, _ = strings.Cut(services, `,"contracts":`)
			return `{"services":` + services + `}`
		}},
		{of + "services", "wide-00000", "new", "one of 40,000", same(`{"id":"new","name":"` + name128 + `"}`), same(`{"name":"new"}`)},
		{of + "contracts", "K-wide", "K-new", "2,000 terms", same(`{"id":"K-new","starts":"2020-01-01","terms":[` + list(2000, term) + `]}`), same(`{"terms":[` + list(1900, term) + `]}`)},
		{of + "cp_codes", "400001", "777", "one of 1,000", same(`{"id":777,"contract":"K-wide"}`), same(`{"name":"new"}`)},
		{of + "reporting_groups", "94", "778", "1,000 CP codes", same(`{"id":778,"name":"new","cp_codes":[` + codes() + `]}`), same(`{"name":"new","cp_codes":[` + codes() + `]}`)},
		{of + "account_groups", "94", "779", "-", same(`{"aid":"779"}`), same(`{"name":"new"}`)},
		{of + "agents", "7400001", "780", "one of 1,000", same(`{"id":"780","kind":"enterprise","account_group":"94"}`), same(`{"name":"new"}`)},
		{of + "tests", "64", "781", "1,000 agents", same(test("781", "4", wideCodes)), same(`{"name":"new"}`)},
		{"/api/v1/entitlements", "wide", "new", "30,000 dimensions, 5 MiB", same(entitlement("new", 30_000)), same(`{"status":"suspended"}`)},
	}
}

func wideOf(path string) string { return strings.Replace(path, "{customer}", "wide", 1) }

func nounReads() (out []entry) {
	for _, n := range nouns() {
		out = append(out,
			entry{route: "GET " + n.path, key: "read", what: "a page of 1,000", make: at(wideOf(n.path) + "?limit=1000")},
			entry{route: "GET " + n.path + "/{id}", key: "read", what: "the largest that is stored", make: at(wideOf(n.path) + "/" + n.one)})
	}
	return out
}

func nounWrites() (out []entry) {
	for _, n := range nouns() {
		out = append(out,
			entry{route: "POST " + n.path, key: "admin", what: n.what, want: http.StatusCreated, make: func(w *world) request {
				return request{target: wideOf(n.path), body: []byte(n.create(w))}
			}},
			entry{route: "PATCH " + n.path + "/{id}", key: "admin", what: n.what, make: func(w *world) request {
				return request{target: wideOf(n.path) + "/" + n.one, body: []byte(n.patch(w)), header: map[string]string{"Content-Type": "application/json"}}
			}},
			entry{route: "DELETE " + n.path + "/{id}", key: "admin", what: n.what, want: http.StatusNoContent, make: at(wideOf(n.path) + "/" + n.first)})
	}
	return out
}
