package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"odometer/internal/meter"
)

// release is the newest version of CHANGELOG.md, which a test holds.
const release = "0.1.0"

// version is what `make build` says of the commit (git describe). A build
// without its flags (go run, go build, go install) is of the newest release.
var version = release

// versionCmd prints which build this is, and of which release its time zones are.
type versionCmd struct{}

// Run prints one line.
func (c *versionCmd) Run(env *Env) error {
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
	return withCommit(version, info.Settings)
}

// withCommit is a version with the commit that a build's settings name, and
// whether files had changed since.
func withCommit(version string, settings []debug.BuildSetting) string {
	commit, dirty := "", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = "+" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" || strings.HasSuffix(version, dirty) {
		return version + commit
	}
	return version + commit + dirty
}

// cleanBuild is a version that names a commit and nothing that has changed
// since: two programs of it are the same. "" is any other.
func cleanBuild(version string) string {
	if !strings.Contains(version, "+") || strings.Contains(version, "-dirty") {
		return ""
	}
	return version
}
