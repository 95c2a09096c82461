package harness

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Client is a program in testdata that makes calls with a vendor's client. It
// reads {"host", "token", ..., "calls": [...]} and prints one result a call.
type Client struct {
	Name    string
	command []string
	env     []string
}

// Result is what the client made of an answer.
type Result struct {
	Value  json.RawMessage // decoded by the client and written as JSON again
	Error  string          // class or text of the client's error; "" = none
	Status int             // of an error
	Body   string          // of an error, as far as the client hands it on
	Data   map[string]any  // the client's model of the error; nil = it has none
}

// Run runs the client once with a job and decodes its output.
func (c Client) Run(t testing.TB, job, results any) {
	t.Helper()
	in, err := json.Marshal(job)
	Check(t, err)
	out, err := run(t.Context(), c.env, in, c.command[0], c.command[1:]...)
	Check(t, err)
	if err := json.Unmarshal(out, results); err != nil {
		t.Fatalf("%s: %v: %s", c.Name, err, out)
	}
}

// Calls runs a client once with calls, in order, beside other members of the
// job. A call is whatever the client's program reads.
func Calls[Call any](t testing.TB, c Client, job map[string]any, calls []Call) []Result {
	t.Helper()
	if len(calls) == 0 {
		return nil
	}
	with := map[string]any{"calls": calls}
	for name, value := range job {
		with[name] = value
	}
	var results []Result
	c.Run(t, with, &results)
	if len(results) != len(calls) {
		t.Fatalf("%s: %d results of %d calls", c.Name, len(results), len(calls))
	}
	return results
}

// Decode decodes the value of a result that has to be an answer.
func Decode[T any](t testing.TB, r Result) T {
	t.Helper()
	var v T
	if r.Error != "" {
		t.Fatalf("%s %d %s", r.Error, r.Status, r.Body)
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		t.Fatalf("%v: %s", err, r.Value)
	}
	return v
}

// With returns a client that runs with further variables, NAME=value, in its environment.
func (c Client) With(env ...string) Client {
	c.env = append(slices.Clip(c.env), env...)
	return c
}

// mayMiss says whether ODOMETER_ALLOW_MISSING, a list with commas, names a
// registry without which a client cannot be installed.
func mayMiss(t testing.TB, registry string) bool {
	t.Helper()
	if !slices.Contains(strings.Split(os.Getenv("ODOMETER_ALLOW_MISSING"), ","), registry) {
		return false
	}
	t.Logf("not run: %s may be missing, as ODOMETER_ALLOW_MISSING allows", registry)
	return true
}

// installs has a function for each client that a test of this process asked for.
var installs sync.Map

// install installs a client once, however many tests want it, and returns
// what install printed.
func install(t testing.TB, name string, install func() (string, error)) string {
	t.Helper()
	once, _ := installs.LoadOrStore(name, sync.OnceValues(install))
	out, err := once.(func() (string, error))()
	Check(t, err)
	return out
}

func script(args ...string) func() (string, error) {
	return func() (string, error) {
		out, err := run(context.Background(), nil, nil, root+"/scripts/"+args[0], args[1:]...)
		return strings.TrimSpace(string(out)), err
	}
}

// Python installs the packages of a file of hashed requirements in an
// environment of that name, and returns the client that a script in testdata
// is; false if ODOMETER_ALLOW_MISSING has pypi.
func Python(t testing.TB, name, requirements, program string) (Client, bool) {
	t.Helper()
	if mayMiss(t, "pypi") {
		return Client{}, false
	}
	interpreter := install(t, name, script("setup-python.sh", name, filepath.Join("testdata", requirements)))
	return Client{Name: "python", command: []string{interpreter, filepath.Join("testdata", program)}}, true
}

// Node installs what the package-lock.json of a folder in testdata names, and
// returns the client that its client.js is; false if ODOMETER_ALLOW_MISSING has npm.
func Node(t testing.TB, folder string) (Client, bool) {
	t.Helper()
	if mayMiss(t, "npm") {
		return Client{}, false
	}
	folder = filepath.Join("testdata", folder)
	install(t, folder, script("setup-node.sh", folder))
	return Client{Name: "node", command: []string{"node", filepath.Join(folder, "client.js")}}, true
}

// Go builds the module in a folder of testdata and returns the client that it
// is; false if ODOMETER_ALLOW_MISSING has goproxy.
func Go(t testing.TB, folder string) (Client, bool) {
	t.Helper()
	if mayMiss(t, "goproxy") {
		return Client{}, false
	}
	path := install(t, folder, func() (string, error) {
		path, err := filepath.Abs(filepath.Join("testdata", folder, "client"))
		if err != nil {
			return "", err
		}
		return path, goBuild(filepath.Join("testdata", folder), path, ".")
	})
	return Client{Name: "go", command: []string{path}}, true
}

// Java fetches the jars that the pom.xml in a folder of testdata names,
// compiles its Client.java and returns the client that it is; false if
// ODOMETER_ALLOW_MISSING has maven.
func Java(t testing.TB, name, folder string) (Client, bool) {
	t.Helper()
	if mayMiss(t, "maven") {
		return Client{}, false
	}
	classes := install(t, "java "+name, script("setup-java.sh", name, filepath.Join("testdata", folder)))
	return Client{Name: "java", command: []string{"java", "-cp", classes, "Client"}}, true
}
