package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

// A setting is a flag marked `setting:""`. It has one name in three places:
// --tls-cert on the command line, ODOMETER_TLS_CERT in the environment and
// tls-cert (or tls_cert, or nested for dotted names) in the YAML file, in that
// order of precedence.

const envPrefix = "ODOMETER_"

// envName is the environment variable of a setting.
func envName(setting string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(setting))
}

// settingName is the flag name that a YAML key stands for.
func settingName(yamlKey string) string {
	return strings.ReplaceAll(yamlKey, "_", "-")
}

func isSetting(flag *kong.Flag) bool { return flag.Tag.Has("setting") }
func isSecret(flag *kong.Flag) bool  { return flag.Tag.Has("secret") }

// settings resolves flags that were not given on the command line from the
// environment and the configuration file, and remembers where each came from.
type settings struct {
	getenv func(string) string
	origin map[string]string // setting -> "environment ODOMETER_X" or "file:line"
	file   map[string]fileValue
	loaded bool
	failed error // to read the file
}

type fileValue struct {
	text  string
	place string // path:line
}

func newSettings(getenv func(string) string) *settings {
	return &settings{getenv: getenv, origin: map[string]string{}}
}

// Validate implements kong.Resolver: a key of the file that no command knows
// is an error, since it is most often a misspelt one.
func (s *settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, flag := range allFlags(app.Node) {
		known[flag.Name] = known[flag.Name] || isSetting(flag)
	}
	known["config"] = false // a file does not name another
	for name, v := range s.file {
		if !known[name] {
			return fmt.Errorf("%s: no setting is called %q (`odometer config` lists them)", v.place, name)
		}
	}
	return nil
}

// Resolve implements kong.Resolver.
func (s *settings) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if !isSetting(flag) {
		return nil, nil
	}
	if text := s.getenv(envName(flag.Name)); text != "" {
		s.origin[flag.Name] = "environment " + envName(flag.Name)
		return text, nil
	}
	if v, ok := s.file[flag.Name]; ok {
		s.origin[flag.Name] = v.place
		return v.text, nil
	}
	return nil, nil
}

// load reads the file that --config or ODOMETER_CONFIG names, once.
func (s *settings) load(ctx *kong.Context) error {
	if s.loaded {
		return s.failed
	}
	if node := ctx.Selected(); node != nil && needsNoSettings[node.Name] {
		return nil
	}
	s.loaded = true
	s.failed = s.read(ctx)
	return s.failed
}

// needsNoSettings are the commands that work whatever the configuration is.
var needsNoSettings = map[string]bool{"help": true, "completion": true, "version": true}

func (s *settings) read(ctx *kong.Context) error {
	path := s.getenv(envName("config"))
	for _, flag := range ctx.Flags() {
		if flag.Name != "config" {
			continue
		}
		if given, ok := ctx.FlagValue(flag).(string); ok && given != "" {
			path = given
		}
	}
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		var reason *fs.PathError
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	if s.file, err = parseSettings(path, text); err != nil {
		return err
	}
	for _, flag := range allFlags(ctx.Model.Node) {
		v := s.file[flag.Name]
		if !isSecret(flag) || !holdsSecret(flag.Name, v.text) {
			continue
		}
		if err := checkSecretFile(v.place+": "+flag.Name, path); err != nil {
			return err
		}
	}
	return nil
}

// parseSettings reads the YAML of a configuration file: nested maps stand for
// dotted names, lists for comma-separated values.
func parseSettings(path string, text []byte) (map[string]fileValue, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	values := map[string]fileValue{}
	if doc.Kind == 0 { // an empty file
		return values, nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return values, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want `setting: value` lines", path, root.Line)
	}
	return values, flatten(path, "", root, values)
}

func flatten(path, prefix string, node *yaml.Node, into map[string]fileValue) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := prefix + settingName(key.Value)
		place := fmt.Sprintf("%s:%d", path, key.Line)
		if _, twice := into[name]; twice {
			return fmt.Errorf("%s: %s is set twice", place, name)
		}
		switch value.Kind {
		case yaml.MappingNode:
			if err := flatten(path, name+".", value, into); err != nil {
				return err
			}
		case yaml.ScalarNode:
			into[name] = fileValue{text: value.Value, place: place}
		case yaml.SequenceNode:
			var items []string
			for _, item := range value.Content {
				if item.Kind != yaml.ScalarNode {
					return fmt.Errorf("%s: %s: want a list of plain values", place, name)
				}
				items = append(items, item.Value)
			}
			into[name] = fileValue{text: strings.Join(items, ","), place: place}
		default:
			return fmt.Errorf("%s: %s: want a plain value", place, name)
		}
	}
	return nil
}

// source says where a flag's effective value came from.
func (s *settings) source(ctx *kong.Context, flag *kong.Flag) string {
	for _, path := range ctx.Path {
		if path.Flag == flag && !path.Resolved {
			return "flag"
		}
	}
	if from, ok := s.origin[flag.Name]; ok {
		return from
	}
	return "default"
}

// explain adds where a bad value came from to an error about it: kong only
// names the flag, which the user may never have typed.
func (s *settings) explain(err error) error {
	if s.failed != nil {
		return s.failed // the parser puts a flag before it that has nothing to do with it
	}
	text := err.Error()
	for name, from := range s.origin {
		if strings.HasPrefix(text, "--"+name+":") || strings.HasPrefix(text, "--"+name+"=") ||
			strings.HasPrefix(text, "--"+name+" ") {
			return errors.New(text + " (from " + from + ")")
		}
	}
	return err
}

// allFlags returns the flags of node and of every command below it.
func allFlags(node *kong.Node) []*kong.Flag {
	flags := append([]*kong.Flag(nil), node.Flags...)
	for _, child := range node.Children {
		flags = append(flags, allFlags(child)...)
	}
	return flags
}
