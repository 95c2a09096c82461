package catalog

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
	"odometer/internal/strictjson"
)

// parseJSON returns the root of a JSON text as the node that YAML has for it.
// JSON is nearly a part of YAML; but YAML's reader takes no surrogate pairs and
// no keys over 1,024 bytes, and takes what strictjson refuses. Errors are
// strictjson's.
func parseJSON(ctx context.Context, text []byte, limit strictjson.Limits) (*yaml.Node, error) {
	r, err := strictjson.NewReader(text, limit)
	if err != nil {
		return nil, err
	}
	tree := jsonTree{r: r}
	root, err := tree.next(ctx)
	if err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return root, nil
}

// jsonError is an error of parseJSON as one of ours. at is the text as messages
// name it, "" where they name lines.
func jsonError(err error, at string) error {
	wrong, ok := errors.AsType[*strictjson.Error](err)
	if !ok {
		return err
	}
	kind := meter.KindInvalid
	if wrong.TooLarge {
		kind = meter.KindTooLarge
	}
	if at == "" {
		at = "line " + strconv.Itoa(wrong.Line)
	}
	return meter.Errorf(kind, "%s: %s", at, wrong)
}

// jsonTree makes nodes of tokens.
type jsonTree struct {
	r    *strictjson.Reader
	seen int // tokens
}

var errEnd = errors.New("the end of an array or object")

// next is the next value, errEnd at the end of what is around it.
func (t *jsonTree) next(ctx context.Context) (*yaml.Node, error) {
	token, err := t.r.Next()
	if t.seen++; err == nil && t.seen%4096 == 0 {
		err = gone(ctx) // now and then
	}
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: t.r.Line()}
	switch token.Kind {
	case strictjson.EndArray, strictjson.EndObject:
		return nil, errEnd
	case strictjson.BeginArray:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		return n, t.inside(ctx, n)
	case strictjson.BeginObject:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		return n, t.inside(ctx, n)
	case strictjson.Name, strictjson.String:
		n.Tag, n.Value, n.Style = "!!str", token.Text(), yaml.DoubleQuotedStyle
	case strictjson.Number:
		n.Tag, n.Value = "!!int", token.Text()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case strictjson.True, strictjson.False:
		n.Tag, n.Value = "!!bool", token.Text()
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// inside reads the names and values of an object, or the items of an array.
func (t *jsonTree) inside(ctx context.Context, n *yaml.Node) error {
	for {
		c, err := t.next(ctx)
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return err
		}
		n.Content = append(n.Content, c)
	}
}

// nounLimits bound the JSON of one noun.
var nounLimits = strictjson.Limits{Bytes: maxNounBytes, Depth: maxDepth, Nodes: 400_000}

// maxNounBytes bounds the JSON of one noun.
const maxNounBytes = 8 << 20

// NounFields are the fields of a noun, or some of them, as a JSON object gave them.
type NounFields struct{ node *yaml.Node }

// ReadNoun reads the fields of a noun from a JSON object. Errors are
// KindInvalid, or KindTooLarge past maxNounBytes.
func ReadNoun(ctx context.Context, text []byte) (NounFields, error) {
	n, err := parseJSON(ctx, text, nounLimits)
	if err != nil {
		return NounFields{}, jsonError(err, "body")
	}
	if n.Kind != yaml.MappingNode {
		return NounFields{}, meter.Errorf(meter.KindInvalid, "body: want a JSON object")
	}
	return NounFields{n}, nil
}
