package native

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzAttributeText: what is taken of a ce- header is UTF-8, and percent-encoded
// it is taken as the same text again.
func FuzzAttributeText(f *testing.F) {
	for _, s := range []string{"acme", `"acme inc"`, `"say \"hi\""`, "%C0%A0", "Euro%20%E2%82%AC", `"`, `"\`, "100%", "\xff", `a"b c"d`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, problem := attributeText(value)
		if problem != "" {
			if text != "" {
				t.Fatalf("%q is %q although it %s", value, text, problem)
			}
			return
		}
		if !utf8.ValidString(text) {
			t.Fatalf("%q is %q", value, text)
		}
		var encoded strings.Builder
		for _, c := range []byte(text) {
			encoded.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
		}
		if again, problem := attributeText(encoded.String()); problem != "" || again != text {
			t.Fatalf("%q, encoded as %s, is %q: %s", text, encoded.String(), again, problem)
		}
		if _, err := structured(http.Header{"Ce-Subject": {value}}, []byte(`{}`)); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
	})
}
