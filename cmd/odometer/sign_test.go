package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"odometer/internal/surface/akamai/edgegrid"
)

// TestSign reads credentials as EdgeGrid clients keep them.
func TestSign(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "edgerc")
	if err := writeEdgeRC(file, "127.0.0.1:8080", edgegrid.Identity{ClientToken: "akab-c", AccessToken: "akab-a", Secret: "se=cret=="}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	id, err := readEdgeRC(file, "default")
	if err != nil || id != (edgegrid.Identity{ClientToken: "akab-c", AccessToken: "akab-a", Secret: "se=cret=="}) {
		t.Errorf("%+v, %v", id, err)
	}
	out := must(t, nil, "sign", "--edgerc", file, "http://127.0.0.1:1/billing/v1/x?start=1")
	if !regexp.MustCompile(`^Authorization: EG1-HMAC-SHA256 client_token=akab-c;access_token=akab-a;timestamp=\d{8}T\d\d:\d\d:\d\d\+0000;nonce=\w+;signature=\S+\n$`).MatchString(out) {
		t.Errorf("sign printed %q", out)
	}
	if out == must(t, nil, "sign", "--edgerc", file, "http://127.0.0.1:1/billing/v1/x?start=1") {
		t.Error("two signatures are the same")
	}
	for name, args := range map[string][]string{
		"no file":          {"--edgerc", file + "x", "http://h/"},
		"no section":       {"--edgerc", file, "--section", "other", "http://h/"},
		"no host":          {"--edgerc", file, "/billing"},
		"another protocol": {"--edgerc", file, "ftp://h/"},
	} {
		if code, out, errs := command(t, nil, append([]string{"sign"}, args...)...); code != exitUsage || out != "" || strings.Contains(errs, "se=cret") {
			t.Errorf("%s: exit code %d: %s%s", name, code, out, errs)
		}
	}
}

// TestEdgeRC reads files as people write them, and as other clients read them.
func TestEdgeRC(t *testing.T) {
	t.Parallel()
	want := edgegrid.Identity{ClientToken: "akab-c", AccessToken: "akab-a", Secret: "s+/e;c#r=="}
	for name, c := range map[string]struct {
		text string
		err  string
	}{
		"as clients write it":    {"[default]\nclient_secret = s+/e;c#r==\nhost = h\naccess_token = akab-a\nclient_token = akab-c\n", ""},
		"without blanks":         {"[default]\nclient_secret=s+/e;c#r==\naccess_token=akab-a\nclient_token=akab-c", ""},
		"colons":                 {"[default]\nclient_secret: s+/e;c#r==\naccess_token : akab-a\nclient_token:akab-c\n", ""},
		"quotes":                 {"[default]\nclient_secret = \"s+/e;c#r==\"\naccess_token = 'akab-a'\nclient_token = \"akab-c\"\n", ""},
		"comments":               {"; mine\n# and yours\n[default]\nclient_secret = s+/e;c#r== ; secret\naccess_token = akab-a # token\n# client_token = old\nclient_token = akab-c\n", ""},
		"a byte order mark":      {"\ufeff[default]\nclient_secret = s+/e;c#r==\naccess_token = akab-a\nclient_token = akab-c\n", ""},
		"CR LF and blanks":       {"[default]\r\n  client_secret = s+/e;c#r==  \r\n\taccess_token = akab-a\r\n\r\nclient_token = akab-c\r\n", ""},
		"other sections":         {"[papi]\nclient_token = x\n[default]\nclient_secret = s+/e;c#r==\naccess_token = akab-a\nclient_token = akab-c\n[ccu]\nclient_secret = y\n", ""},
		"a line of another kind": {"[default]\nclient_secret = s+/e;c#r==\nwhat is this\naccess_token = akab-a\nclient_token = akab-c\n", ""},
		"no section":             {"[papi]\nclient_token = x\n", "it has no section [default]"},
		"a field is missing":     {"[default]\nclient_secret = s\naccess_token = a\n", "section [default] has no client_token"},
		"a field is empty":       {"[default]\nclient_secret = s\naccess_token =\nclient_token = c\n", "section [default] has no access_token"},
		"a field is given twice": {"[default]\nclient_secret = s\nclient_secret = t\naccess_token = a\nclient_token = c\n", "section [default] has client_secret more than once"},
		"a blank in a value":     {"[default]\nclient_secret = s t\naccess_token = a\nclient_token = c\n", "section [default]: client_secret holds a character that no credential has"},
	} {
		id, err := parseEdgeRC([]byte(c.text), "default")
		switch {
		case c.err == "" && (err != nil || id != want):
			t.Errorf("%s: %+v, %v", name, id, err)
		case c.err != "" && (err == nil || err.Error() != c.err || id != edgegrid.Identity{}):
			t.Errorf("%s: %+v, %v, want %s", name, id, err, c.err)
		}
	}
	file := filepath.Join(t.TempDir(), "edgerc")
	for size, says := range map[int]string{edgeRCBytes: "has no section", edgeRCBytes + 1: "larger than 1048576 bytes"} {
		if err := os.WriteFile(file, []byte(strings.Repeat("#", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readEdgeRC(file, "default"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func FuzzEdgeRC(f *testing.F) {
	f.Add("[default]\nclient_secret = \"s\" ; x\naccess_token: a\nclient_token = 'c'\n")
	f.Add("\ufeff[default]\n[x]\nclient_secret = `s\n`")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := parseEdgeRC([]byte(text), "default")
		if (err != nil) != (id == edgegrid.Identity{}) || err == nil && strings.ContainsAny(id.ClientToken+id.AccessToken+id.Secret, " \t\r\n") {
			t.Errorf("%+v, %v", id, err)
		}
	})
}

// TestWhatCurlSends holds the URL's parts against what curl 8 was seen to send.
func TestWhatCurlSends(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://h/x?start=1":            "http h /x?start=1",
		"http://localhost:80/x":         "http localhost /x",
		"https://localhost:443/x":       "https localhost /x",
		"https://localhost:80/x":        "https localhost:80 /x",
		"http://localhost:8080/x":       "http localhost:8080 /x",
		"http://[::1]:80/x":             "http [::1] /x",
		"http://user:pw@h/x":            "http h /x",
		"http://h":                      "http h /",
		"http://h?a=b":                  "http h /?a=b",
		"http://h/x?":                   "http h /x?",
		"http://h/x#part":               "http h /x",
		"http://h/x?a=b#part":           "http h /x?a=b",
		"http://h/#x":                   "http h /",
		"http://h/a/./b/../c":           "http h /a/c",
		"http://h/./x":                  "http h /x",
		"http://h/../x/.":               "http h /x/",
		"http://h/x/..":                 "http h /",
		"http://h/a//b":                 "http h /a//b",
		"http://h/a?b=/./c":             "http h /a?b=/./c",
		"http://h/%7Ex/caf\u00e9?q=%2e": "http h /%7Ex/caf\u00e9?q=%2e",
	} {
		scheme, host, target, err := whatCurlSends(text)
		if got := scheme + " " + host + " " + target; err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}
