package main

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in     string
		want   []string
		hidden string
		failed bool
	}{
		"passed": {`{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"skip","Package":"p","Test":"TestB","Elapsed":0}
{"Action":"pass","Package":"p","Elapsed":0.2}
{"Action":"skip","Package":"without tests","Elapsed":0}`,
			[]string{"ok       0.20s p", "skipped p.TestB", "1 passed, 0 failed, 1 skipped"}, "noise", false},
		"failed": {`{"Action":"output","Package":"p","Test":"TestA","Output":"the reason\n"}
{"Action":"fail","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"fail","Package":"p","Elapsed":0.2}`,
			[]string{"FAIL     0.10s p TestA", "the reason", "0 passed, 1 failed, 0 skipped"}, "", true},
		"does not build": {`{"ImportPath":"p","Action":"build-output","Output":"p.go:1: undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p"}`,
			[]string{"undefined: x", "0 passed, 1 failed, 0 skipped"}, "", true},
		"not JSON": {"panic: at the disco\n", []string{"panic: at the disco", "0 passed, 0 failed, 0 skipped"}, "", false},
	} {
		var out strings.Builder
		failed, err := summarize(strings.NewReader(c.in), &out)
		if err != nil || failed != c.failed {
			t.Errorf("%s: failed %v, %v; want %v", name, failed, err, c.failed)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, out.String())
			}
		}
		if c.hidden != "" && strings.Contains(out.String(), c.hidden) {
			t.Errorf("%s: %q is printed:\n%s", name, c.hidden, out.String())
		}
	}
}
