package catalog

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
)

// YAML renders the document so that ParseDocument reads the same.
func (doc *Document) YAML() ([]byte, error) {
	root, err := nodeOf(reflect.ValueOf(doc).Elem())
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	e := yaml.NewEncoder(&buf)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("render the document: %w", err)
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("render the document: %w", err)
	}
	return buf.Bytes(), nil
}

// nodeOf renders a noun or a part of one. The library's own way goes by a text
// in which << or = stand without quotes, as which its reader does not take them.
func nodeOf(v reflect.Value) (*yaml.Node, error) {
	switch own := v.Interface().(type) {
	case *yaml.Node:
		return own, nil
	case yaml.Marshaler:
		if v.Kind() == reflect.Pointer && v.IsNil() {
			break
		}
		plain, err := own.MarshalYAML()
		if err != nil || plain == nil {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, err
		}
		return nodeOf(reflect.ValueOf(plain))
	case encoding.TextMarshaler:
		text, err := own.MarshalText()
		return textNode(string(text)), err
	}
	switch v.Kind() {
	case reflect.Pointer:
		return nodeOf(v.Elem())
	case reflect.Struct:
		return structNode(v)
	case reflect.Map:
		return mapNode(v)
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range v.Len() {
			one, err := nodeOf(v.Index(i))
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, one)
		}
		return n, nil
	case reflect.String:
		return textNode(v.String()), nil
	case reflect.Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v.Bool())}, nil
	case reflect.Int, reflect.Int64:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(v.Int(), 10)}, nil
	}
	return nil, meter.Errorf(meter.KindInternal, "a %s cannot be rendered as YAML", v.Type())
}

func structNode(v reflect.Value) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "" || options == "omitempty" && absent(v.Field(i)) {
			continue
		}
		one, err := nodeOf(v.Field(i))
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, textNode(name), one)
	}
	return n, nil
}

// absent says whether a field that may be left out is.
func absent(v reflect.Value) bool {
	if own, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return own.IsZero()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

func mapNode(v reflect.Value) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		one, err := nodeOf(v.MapIndex(key))
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, textNode(key.String()), one)
	}
	return n, nil
}

// plainText matches texts that no reader of YAML takes for anything else, but
// for the words below: a letter, and then nothing that has a meaning. Durations
// stand without quotes too.
var (
	plainText  = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*|[0-9]+[hms])$`)
	plainWords = regexp.MustCompile(`(?i)^(?:y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

// textNode is a text, in quotes unless it is plainly one.
func textNode(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if !plainText.MatchString(text) || plainWords.MatchString(text) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
