package native

import (
	"net/http"
	"testing"
)

// FuzzPrefers reads Accept headers: a weight is 0 to 1000, and JSON is the
// answer where nothing else is wanted more.
func FuzzPrefers(f *testing.F) {
	for _, seed := range []string{"text/csv", "text/csv;q=0.5, application/json", "text/csv;q=0.-5", "*/*;q=1.000", "TEXT/CSV ; Q=0.001,;q=", ";;q=0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if q := quality(accept); q < 0 || q > 1000 {
			t.Errorf("quality %d", q)
		}
		prefers(http.Header{"Accept": {accept}}, "text/csv")
		if prefers(http.Header{"Accept": {accept, "application/json"}}, "text/csv") {
			t.Error("JSON is wanted as much as can be, and something else is preferred")
		}
	})
}
