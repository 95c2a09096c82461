package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"odometer/internal/meter"
)

// version is set by `make build`; a `go run` or `go install` build names its commit instead.
var version = "dev"

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
