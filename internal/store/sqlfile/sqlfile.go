// Package sqlfile reads SQL statements that stand in files under their names:
//
//	-- name: KeyGet
//	SELECT ...
//
// One file holds the statements of one table.
package sqlfile

import (
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strings"
)

// header begins the line above each statement.
const header = "-- name: "

// Load fills the fields of T, which are strings, with the statements in the
// files *.sql of a folder that have their names. A field without a statement, a
// statement without a field, and a name that is given twice end the program:
// each is a mistake in the source.
func Load[T any](files fs.FS, folder string) T {
	var filled T
	if err := load(files, folder, reflect.ValueOf(&filled).Elem()); err != nil {
		panic(err)
	}
	return filled
}

func load(files fs.FS, folder string, fields reflect.Value) error {
	found, err := Read(files, folder)
	if err != nil {
		return err
	}
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		text, ok := found[name]
		if !ok {
			return fmt.Errorf("no file in %s has the statement %s", folder, name)
		}
		fields.Field(i).SetString(text)
		delete(found, name)
	}
	for name := range found {
		return fmt.Errorf("no field is named as the statement %s in %s", name, folder)
	}
	return nil
}

// Read returns the statements in the files *.sql of a folder by their names.
func Read(files fs.FS, folder string) (map[string]string, error) {
	names, err := fs.Glob(files, path.Join(folder, "*.sql"))
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, file := range names {
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}
		before, rest, _ := strings.Cut("\n"+string(text), "\n"+header)
		if strings.TrimSpace(before) != "" {
			return nil, fmt.Errorf("%s: a statement has no name", file)
		}
		for rest != "" {
			var one string
			one, rest, _ = strings.Cut(rest, "\n"+header)
			name, statement, _ := strings.Cut(one, "\n")
			if statement = strings.TrimSpace(statement); statement == "" || all[name] != "" {
				return nil, fmt.Errorf("%s: the statement %s is empty or given twice", file, name)
			}
			all[name] = statement
		}
	}
	return all, nil
}
