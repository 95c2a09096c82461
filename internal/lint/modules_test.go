package lint

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// oldestModules are the oldest versions of modules that may be used, with
// what is wrong with those before. It is what a machine without the
// vulnerability database can check; `make vuln` asks the database.
var oldestModules = map[string]struct{ version, reason string }{
	"github.com/jackc/pgx/v5":       {"v5.13.0", "three vulnerabilities are open in v5.7"},
	"github.com/golang-jwt/jwt/v5":  {"v5.2.2", "CVE-2025-30204: memory for a header of many dots"},
	"golang.org/x/crypto":           {"v0.45.0", "CVE-2025-47914 and CVE-2025-58181, in ssh"},
	"golang.org/x/net":              {"v0.38.0", "CVE-2025-22870 and CVE-2025-22872"},
	"golang.org/x/oauth2":           {"v0.27.0", "CVE-2025-22868: memory for a malformed token"},
	"google.golang.org/protobuf":    {"v1.33.0", "CVE-2024-24786: endless loop in protojson"},
	"google.golang.org/grpc":        {"v1.64.1", "GHSA-xr7q-jx4m-x55m: metadata in logs"},
	"github.com/klauspost/compress": {"v1.18.0", "the decoders that the limits of bodies were tried with"},
	"modernc.org/sqlite":            {"v1.62.0", "SQLite's fixes of 2026"},
}

var moduleRules = []rule{
	{name: "no module is older than its last known vulnerability", check: oldModules},
}

var requirement = regexp.MustCompile(`^\t?(?:require )?([a-z0-9][^\s]*) (v[0-9]+\.[0-9]+\.[0-9]+[^\s]*)`)

func oldModules(t *tree) []violation {
	var found []violation
	for i, line := range strings.Split(t.goMod, "\n") {
		m := requirement.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if oldest, ok := oldestModules[m[1]]; ok && before(m[2], oldest.version) {
			found = append(found, violation{fmt.Sprintf("go.mod:%d", i+1), m[1], m[1] + " " + m[2] + " is older than " + oldest.version + ": " + oldest.reason})
		}
	}
	return found
}

// before compares the three numbers of two versions. What follows them, such
// as -rc.1, makes a version older than the one without.
func before(a, b string) bool {
	split := func(v string) (numbers [3]int, suffix string) {
		plain, suffix, _ := strings.Cut(strings.TrimPrefix(v, "v"), "-")
		for i, part := range strings.SplitN(plain, ".", 3) {
			numbers[i], _ = strconv.Atoi(part)
		}
		return numbers, suffix
	}
	x, xs := split(a)
	y, ys := split(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return xs != "" && ys == ""
}
