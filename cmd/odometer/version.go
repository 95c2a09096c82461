package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"odometer/internal/meter"
)

// release is the newest version of CHANGELOG.md, which a test holds.
const release = "0.1.0"

// version is what `make build` says of the commit (git describe). A build
// without its flags (go run, go build, go install) is of the newest release.
var version = release

// VersionCmd prints which build this is, and of which release its time zones are.
type VersionCmd struct{}

// Run prints one line.
func (c *VersionCmd) Run(env *Env) error {
	_, err := fmt.Fprintln(env.Stdout, versionLine())
	return err
}

func versionLine() string {
	return fmt.Sprintf("odometer %s %s/%s %s, time zones %s", buildVersion(), runtime.GOOS, runtime.GOARCH, runtime.Version(), meter.ZoneVersion())
}

// buildVersion is the version with the commit it was built from, when known.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + "+" + s.Value[:12]
		}
	}
	return version
}
