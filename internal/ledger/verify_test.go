package ledger

import (
	"context"
	"testing"
)

func verifyClean(t *testing.T, l *Ledger) VerifyReport {
	t.Helper()
	r, err := l.Verify(context.Background(), VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%v", err)
	}
	return r
}

func TestVerifyAgreesWithTheFold(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{})
	createMeters(t, l, "default", testMeters()[:3])
	events := sampleEvents(3000, "a")
	appendAll(t, l, "default", events)
	createMeters(t, l, "default", testMeters()[3:])
	appendAll(t, l, "default", events[:500])
	events[7].data["bytes"] = -1
	appendAll(t, l, "default", events[5:10])
	r := verifyClean(t, l)
	if r.Events != 3505 || r.Identities != 3000 || r.Cells == 0 {
		t.Fatalf("%+v", r)
	}
}
