package sqlfile

import (
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

type pair struct{ First, Second string }

func TestStatementsAreFoundByName(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"sql/a.sql": {Data: []byte("-- name: First\n-- unchecked: why\nSELECT 1\n\n-- name: Second\nSELECT 2\n")},
		"b.sql":     {Data: []byte("no statement of this folder")},
	}
	if got, want := Load[pair](files, "sql"), (pair{"-- unchecked: why\nSELECT 1", "SELECT 2"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestMistakesInStatementsAreFound(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"the statement Second":        "-- name: First\nSELECT 1\n",
		"the statement Third":         "-- name: First\nSELECT 1\n-- name: Second\nSELECT 2\n-- name: Third\nSELECT 3\n",
		"is empty or given twice":     "-- name: First\nSELECT 1\n-- name: First\nSELECT 2\n",
		"First is empty or":           "-- name: First\n-- name: Second\nSELECT 2\n",
		"a statement has no name":     "SELECT 0\n-- name: First\nSELECT 1\n",
		"no file in sql has the stat": "",
	} {
		var fields pair
		err := load(fstest.MapFS{"sql/a.sql": {Data: []byte(text)}}, "sql", reflect.ValueOf(&fields).Elem())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}
