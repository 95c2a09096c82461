// Package intaketest makes files for tests of what reads them.
package intaketest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// AccessLine is a line of an access log that differs for each n.
func AccessLine(n int) string {
	at := time.Unix(1_760_000_000+int64(n), 0).UTC().Format("02/Jan/2006:15:04:05 -0700")
	return fmt.Sprintf("10.0.0.%d - - [%s] \"GET /p/%d HTTP/1.1\" 200 %d \"-\" \"ua\"\n", n%250, at, n, n)
}

// AccessLines are the lines from one number up to another.
func AccessLines(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(AccessLine(n))
	}
	return b.String()
}

// Write replaces the text of a file, which stays the same file.
func Write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
