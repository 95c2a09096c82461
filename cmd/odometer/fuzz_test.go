package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzSettings reads configuration files: each value has a name and a place.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("limits:\n  meters: 5\nlisten: [a, b]\n"))
	f.Add([]byte("a: &x\n  b: *x\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := parseSettings("odometer.yaml", text)
		if err != nil && !strings.HasPrefix(err.Error(), "odometer.yaml") {
			t.Errorf("%v does not say where", err)
		}
		for name, v := range values {
			if err == nil && !strings.HasPrefix(v.place, "odometer.yaml:") {
				t.Errorf("%q is set at %q", name, v.place)
			}
		}
	})
}

// FuzzBackup reads archives: none makes up a file, or is whole without its manifest.
func FuzzBackup(f *testing.F) {
	f.Add([]byte("not a tar"))
	f.Add(bytes.Repeat([]byte{0}, 1024))
	f.Fuzz(func(t *testing.T, text []byte) {
		var kept int64
		m, err := readBackup(bytes.NewReader(text), func(_ string, _ int64, content io.Reader) error {
			n, err := io.Copy(io.Discard, content)
			kept += n
			return err
		})
		if kept > int64(len(text)) || err == nil && m.Format == 0 {
			t.Errorf("%d bytes of %d were kept; manifest %+v, %v", kept, len(text), m, err)
		}
	})
}
