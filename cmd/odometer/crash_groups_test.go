package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"odometer/internal/fixedtest"
)

// TestCrashOfRecordGroups kills the real server while usage is reported against
// an entitlement and deleted again. After each start what the ledger counts is
// what the catalog holds and was not deleted: a group that was accepted is
// counted once, whether its request was answered or not.
func TestCrashOfRecordGroups(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("not run: it builds the program and takes longer than a short test may")
		return
	}
	rounds := envInt(t, "ODOMETER_CRASH_ROUNDS", 4)
	random := fixedtest.Rand(t)
	binary, data := buildBinary(t), filepath.Join(t.TempDir(), "data")
	server := startProcess(t, binary, data, "--limits.min-free-disk", "1MiB")
	key := server.adminKey
	server.call(t, http.MethodPost, "/api/v1/catalog", key, "application/json", []byte(`{
		"meters": [{"key": "posted", "event_type": "suger.record", "aggregation": "SUM", "value": "quantity", "group_by": ["customer", "dimension"]}],
		"products": [{"id": "cdn", "name": "CDN"}], "customers": [{"id": "acme", "name": "Acme"}],
		"entitlements": [{"id": "e1", "customer": "acme", "partner": "AWS", "product": "cdn", "starts": "2020-01-01", "dimensions": [{"key": "gb", "name": "GB"}]}]}`), http.StatusOK, nil)
	acknowledged := map[string]bool{} // reported and not deleted, as far as answers say
	next := 0
	for range rounds {
		reportUntilKilled(t, server, key, acknowledged, &next, 20+random.IntN(100))
		server = startProcess(t, binary, data, "--limits.min-free-disk", "1MiB")
		countGroups(t, server, key, acknowledged)
	}
	server.stop(t)
}

// reportUntilKilled reports and deletes from several connections until the
// server is killed, in the middle of what comes after so many answers.
func reportUntilKilled(t *testing.T, server *process, key string, acknowledged map[string]bool, next *int, after int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	enough := make(chan struct{})
	number := func() int { mu.Lock(); defer mu.Unlock(); *next++; return *next }
	for range crashConnections {
		wg.Go(func() {
			for {
				id := fmt.Sprint("g", number())
				body := fmt.Sprintf(`{"id":%q,"organizationID":"default","entitlementID":"e1","records":{"gb":1}}`, id)
				status, text, err := server.do(http.MethodPost, "/org/default/entitlement/e1/usageRecordGroup", key, "application/json", []byte(body))
				if err != nil {
					return
				}
				if status != http.StatusOK {
					t.Errorf("%s: %d %s", id, status, text)
					return
				}
				mu.Lock()
				acknowledged[id] = true
				if after--; after == 0 {
					close(enough)
				}
				mu.Unlock()
				if len(id)%2 == 0 && id[len(id)-1]%3 == 0 {
					mu.Lock()
					delete(acknowledged, id) // whether or not the next request is answered
					mu.Unlock()
					if _, _, err := server.do(http.MethodDelete, "/org/default/usageRecordGroup/"+id, key, "", nil); err != nil {
						return
					}
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-enough:
	case <-ended: // something failed, and was told
	}
	server.kill(t)
	<-ended
}

// countGroups compares what the catalog lists with what the ledger counts.
func countGroups(t *testing.T, server *process, key string, acknowledged map[string]bool) {
	t.Helper()
	kept, listed := 0, map[string]bool{}
	for offset := 0; ; {
		var page struct {
			UsageRecordGroups []struct{ ID, Status string }
			NextOffset        *int
		}
		server.call(t, http.MethodGet, fmt.Sprintf("/org/default/usageRecordGroup?offset=%d", offset), key, "", nil, http.StatusOK, &page)
		for _, g := range page.UsageRecordGroups {
			listed[g.ID] = true
			if g.Status == "CREATED" {
				kept++
			} else if acknowledged[g.ID] {
				t.Errorf("group %s was accepted and is %s", g.ID, g.Status)
			}
		}
		if page.NextOffset == nil {
			break
		}
		offset = *page.NextOffset
	}
	for id := range acknowledged {
		if !listed[id] {
			t.Errorf("group %s was accepted and is gone", id)
		}
	}
	var usage struct{ Total json.Number }
	server.call(t, http.MethodGet, "/api/v1/meters/posted/usage?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z", key, "", nil, http.StatusOK, &usage)
	if usage.Total.String() != fmt.Sprint(kept) {
		t.Errorf("the ledger counts %s, the catalog holds %d", usage.Total, kept)
	}
	t.Logf("%d groups, %d of them not deleted", len(listed), kept)
}
