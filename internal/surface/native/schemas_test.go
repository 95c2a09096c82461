package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// schemas is openapi.json as a validator sees it.
type schemas struct{ doc map[string]any }

func loadOpenAPI(t testing.TB) schemas {
	t.Helper()
	v, err := decode(openapi)
	if err != nil {
		t.Fatal(err)
	}
	return schemas{v.(map[string]any)}
}

func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// at follows a JSON pointer of the form #/a/b.
func (s schemas) at(ref string) (map[string]any, error) {
	var v any = s.doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := v.(map[string]any)
		part = strings.ReplaceAll(part, "~1", "/")
		if !ok || m[part] == nil {
			return nil, fmt.Errorf("%s leads nowhere", ref)
		}
		v = m[part]
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is no object", ref)
	}
	return m, nil
}

// resolve follows $ref.
func (s schemas) resolve(m map[string]any) (map[string]any, error) {
	for {
		ref, ok := m["$ref"].(string)
		if !ok {
			return m, nil
		}
		var err error
		if m, err = s.at(ref); err != nil {
			return nil, err
		}
	}
}

// understood are the keywords that check handles; others in a schema are an error.
var understood = []string{"$ref", "type", "properties", "required", "additionalProperties", "items", "enum", "const", "pattern",
	"minLength", "maxLength", "minimum", "oneOf", "format", "description", "default"}

// check validates v against a schema, as far as openapi.json uses JSON Schema.
func (s schemas) check(schema map[string]any, v any, path string) error {
	for k := range schema {
		if !slices.Contains(understood, k) {
			return fmt.Errorf("%s: keyword %s is not understood", path, k)
		}
	}
	schema, err := s.resolve(schema)
	if err != nil {
		return err
	}
	if alternatives, ok := schema["oneOf"].([]any); ok {
		fit := 0
		for _, a := range alternatives {
			if s.check(a.(map[string]any), v, path) == nil {
				fit++
			}
		}
		if fit != 1 {
			return fmt.Errorf("%s: %v fits %d of the alternatives", path, v, fit)
		}
	}
	if err := checkType(schema, v, path); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		return checkText(schema, v, path)
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, item := range v {
			if items != nil {
				if err := s.check(items, item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		return s.checkObject(schema, v, path)
	}
	return nil
}

func checkType(schema map[string]any, v any, path string) error {
	if c, ok := schema["const"]; ok && c != v {
		return fmt.Errorf("%s: %v is not %v", path, v, c)
	}
	if e, ok := schema["enum"].([]any); ok && !slices.Contains(e, v) {
		return fmt.Errorf("%s: %v is not one of %v", path, v, e)
	}
	is := "null"
	switch v := v.(type) {
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case json.Number:
		if is = "number"; !strings.ContainsAny(v.String(), ".eE") {
			is = "integer"
		}
		if schema["minimum"] != nil && strings.HasPrefix(v.String(), "-") {
			return fmt.Errorf("%s: %s is below 0", path, v)
		}
	case []any:
		is = "array"
	case map[string]any:
		is = "object"
	}
	var want []any
	switch t := schema["type"].(type) {
	case string:
		want = []any{t}
	case []any:
		want = t
	default:
		return nil
	}
	if !slices.Contains(want, any(is)) && !(is == "integer" && slices.Contains(want, any("number"))) {
		return fmt.Errorf("%s: a %s, want %v", path, is, want)
	}
	return nil
}

func checkText(schema map[string]any, v, path string) error {
	if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
		return fmt.Errorf("%s: %q does not match %s", path, v, p)
	}
	if schema["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if schema["minLength"] != nil && v == "" {
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}

func (s schemas) checkObject(schema, v map[string]any, path string) error {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s lacks %s", path, name)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, member := range v {
		sub, known := properties[name].(map[string]any)
		if !known {
			switch rest := schema["additionalProperties"].(type) {
			case bool:
				return fmt.Errorf("%s.%s is not described", path, name)
			case map[string]any:
				sub = rest
			}
		}
		if sub != nil {
			if err := s.check(sub, member, path+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// operation finds the description of a route.
func (s schemas) operation(method, path string) (map[string]any, []any, error) {
	item, ok := s.doc["paths"].(map[string]any)[path].(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("%s is not described", path)
	}
	op, ok := item[strings.ToLower(method)].(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("%s %s is not described", method, path)
	}
	shared, _ := item["parameters"].([]any)
	own, _ := op["parameters"].([]any)
	return op, slices.Concat(shared, own), nil
}
