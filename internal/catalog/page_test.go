package catalog

import "testing"

func FuzzParsePosition(f *testing.F) {
	for _, seed := range []string{"", "1.a", "-5.b", "9223372036854775807.x", "01.a", "1", ".", "1.", "+1.a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		p, err := ParsePosition(cursor)
		if err == nil && cursor != "" && p.String() != cursor {
			t.Fatalf("%q became %q", cursor, p)
		}
	})
}
