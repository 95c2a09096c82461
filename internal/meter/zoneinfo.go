package meter

import (
	"archive/zip"
	"bytes"
	_ "embed" // the zones
	"io"
	"strings"
	"sync"
	"time"
)

// The time zones are embedded, and no others are looked at, so that the same
// question has the same answer on every machine. They are those of the Go
// release that go.mod asks for (lib/time).
var (
	//go:embed zoneinfo/zoneinfo.zip
	zoneArchive []byte
	//go:embed zoneinfo/VERSION
	zoneVersion string
)

// ZoneVersion is the release of the IANA time zone database that is embedded, such as 2025c.
func ZoneVersion() string { return strings.TrimSpace(zoneVersion) }

// zoneFiles are the zones by name.
var zoneFiles = sync.OnceValues(func() (map[string]*zip.File, error) {
	r, err := zip.NewReader(bytes.NewReader(zoneArchive), int64(len(zoneArchive)))
	if err != nil {
		return nil, WrapError(KindInternal, err, "the embedded time zones cannot be read")
	}
	files := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		if !strings.HasSuffix(f.Name, "/") {
			files[f.Name] = f
		}
	}
	return files, nil
})

// zones keeps loaded zones; only names that exist get in, so it is bounded.
var zones sync.Map // string -> *time.Location

// LoadZone returns the IANA time zone of a name, such as Europe/Oslo. The
// names are told apart by case. Errors are of KindInvalid.
func LoadZone(name string) (*time.Location, error) {
	if name == "UTC" {
		return time.UTC, nil
	}
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location), nil
	}
	files, err := zoneFiles()
	if err != nil {
		return nil, err
	}
	f := files[name]
	if f == nil {
		return nil, Errorf(KindInvalid, "%q is no IANA time zone such as Europe/Oslo (database %s)", clip(name), ZoneVersion())
	}
	data, err := readZone(f)
	if err != nil {
		return nil, err
	}
	loc, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, WrapError(KindInternal, err, "the embedded time zone %s cannot be read", name)
	}
	kept, _ := zones.LoadOrStore(name, loc)
	return kept.(*time.Location), nil
}

func readZone(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, WrapError(KindInternal, err, "the embedded time zone %s cannot be read", f.Name)
	}
	data, err := io.ReadAll(r)
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		return nil, WrapError(KindInternal, err, "the embedded time zone %s cannot be read", f.Name)
	}
	return data, nil
}
