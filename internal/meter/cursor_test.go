package meter

import (
	"bytes"
	"testing"
)

// A cursor has one text.
func TestReadCursor(t *testing.T) {
	t.Parallel()
	for _, place := range [][]byte{{}, {0}, {1, 2}, {0xfb, 0xff, 0xfe}, []byte("any place")} {
		text := WriteCursor(place)
		if got, ok := ReadCursor(text); !ok || !bytes.Equal(got, place) {
			t.Errorf("%q became %v, %v", text, got, ok)
		}
		for _, other := range []string{text + "\n", "\r\n" + text, text + "=", text + " ", text + "\r"} {
			if _, ok := ReadCursor(other); ok {
				t.Errorf("%q was taken", other)
			}
		}
	}
	for _, text := range []string{"A", "AB", "A\nA", "A+", "A/", "AA==", "ä"} { // AB has bits beyond its byte
		if _, ok := ReadCursor(text); ok {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzReadCursor(f *testing.F) {
	f.Add("AAAA")
	f.Add("AA\nAA")
	f.Fuzz(func(t *testing.T, text string) {
		if place, ok := ReadCursor(text); ok && WriteCursor(place) != text {
			t.Fatalf("%q is another form of %v", text, place)
		}
	})
}
