package main

import (
	"reflect"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// checkText refuses a command line that is not UTF-8: the parser would put
// U+FFFD in the place of what is not, so that two texts become one.
func checkText(args []string) error {
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			return usageErrorf("argument %q is not UTF-8", arg)
		}
	}
	return nil
}

// checkGiven refuses a value that is given and empty, as of a variable that is
// not set, where one restricts what is meant: it would mean everything. Empty
// settings mean something: off, or none.
func checkGiven(parsed *kong.Context) error {
	for _, step := range parsed.Path {
		switch {
		case step.Flag != nil && !isSetting(step.Flag) && holdsNothing(step.Flag.Target):
			return usageErrorf("--%s is empty: leave it out where nothing is meant", step.Flag.Name)
		case step.Positional != nil && holdsNothing(step.Positional.Target):
			return usageErrorf("%s is empty", step.Positional.Summary())
		}
	}
	return nil
}

// holdsNothing says whether a text, or one of a list, is empty.
func holdsNothing(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.String() == ""
	case reflect.Slice:
		for i := range v.Len() {
			if holdsNothing(v.Index(i)) {
				return true
			}
		}
		return v.Len() == 0
	}
	return false
}
