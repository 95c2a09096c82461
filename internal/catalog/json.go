package catalog

import (
	"bytes"
	"encoding/json"
	"strings"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
)

// parseJSON returns the root of a valid JSON text as the node that YAML has
// for it. JSON is nearly a part of YAML; but YAML's reader takes no surrogate
// pairs and no keys over 1,024 bytes.
func parseJSON(text []byte) (*yaml.Node, error) {
	r := jsonReader{text: text, line: 1, d: json.NewDecoder(bytes.NewReader(text))}
	r.d.UseNumber()
	return r.value(0)
}

// jsonReader walks a JSON text and counts its lines.
type jsonReader struct {
	text []byte
	d    *json.Decoder
	line int
	seen int // bytes whose lines are counted
}

func (r *jsonReader) token() (json.Token, error) {
	t, err := r.d.Token()
	if err != nil {
		return nil, meter.WrapError(meter.KindInvalid, err, "the text is not JSON")
	}
	end := int(r.d.InputOffset())
	r.line += bytes.Count(r.text[r.seen:end], []byte("\n"))
	r.seen = end
	return t, nil
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line}
	switch t := t.(type) {
	case json.Delim:
		if depth > maxDepth {
			return nil, meter.Errorf(meter.KindInvalid, "line %d: nested too deep", r.line)
		}
		return n, r.inside(n, t, depth)
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", "false"
		if t {
			n.Value = "true"
		}
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// inside reads the members of an object or the items of an array.
func (r *jsonReader) inside(n *yaml.Node, open json.Delim, depth int) error {
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	for r.d.More() {
		if open == '{' {
			key, err := r.value(depth + 1)
			if err != nil {
				return err
			}
			n.Content = append(n.Content, key)
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, v)
	}
	_, err := r.token()
	return err
}
