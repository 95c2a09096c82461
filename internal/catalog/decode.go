package catalog

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
	"odometer/internal/strictjson"
)

// The limits of a document.
const (
	MaxDocumentBytes = 32 << 20  // of its text
	maxDocumentNodes = 1_000_000 // values and names in it
	MaxProblems      = 20        // of what is wrong with it, as one error tells
	maxDepth         = 16        // of its text; no noun needs more
)

// ParseDocument is ReadDocument for callers that nobody waits for.
func ParseDocument(text []byte) (*Document, error) { return ReadDocument(context.Background(), text) }

// ReadDocument reads a document from YAML or JSON. What a document does not
// have is refused, and so are anchors, aliases and a second document.
// It checks all that can be seen from the text alone; what the text refers to
// may be in the catalog already, so Apply checks references. Errors are
// KindInvalid, or KindTooLarge past MaxDocumentBytes or maxDocumentNodes; their
// message has a line for each problem, with its line number. Time and memory
// grow with the text only; it ends when ctx does, with KindUnavailable.
func ReadDocument(ctx context.Context, text []byte) (*Document, error) {
	if len(text) > MaxDocumentBytes {
		return nil, meter.Errorf(meter.KindTooLarge, "the document has %d bytes, more than %d", len(text), MaxDocumentBytes)
	}
	root, err := parse(ctx, text)
	if err != nil {
		return nil, err
	}
	d := &decoder{}
	doc := &Document{lines: &lineTree{}}
	if root != nil {
		d.decode(ctx, root, reflect.ValueOf(doc).Elem(), doc.lines, spot{})
	}
	if err := gone(ctx); err != nil {
		return nil, err
	}
	all := d.problems.with(doc.check())
	all.sort(doc.lines)
	if err := all.err(doc.lines); err != nil {
		return nil, err
	}
	return doc, nil
}

// gone says that nobody waits any more.
func gone(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return meter.WrapError(meter.KindUnavailable, err, "the document was not read to its end")
	}
	return nil
}

// parse returns the root of a text, nil if it is empty.
func parse(ctx context.Context, text []byte) (*yaml.Node, error) {
	text = strictjson.SkipMark(text)
	if !json.Valid(text) {
		return parseYAML(ctx, text)
	}
	root, err := parseJSON(ctx, text, strictjson.Limits{Bytes: MaxDocumentBytes, Depth: maxDepth, Nodes: maxDocumentNodes})
	err = jsonError(err, "")
	if err != nil || root.ShortTag() == "!!null" {
		return nil, err
	}
	return root, nil
}

// spot is a path that is written out only where something is wrong.
type spot struct {
	around *spot
	name   string // "" for an item
	index  int
	depth  int
}

func (p *spot) in(name string) spot { return spot{p, name, 0, p.depth + 1} }
func (p *spot) at(i int) spot       { return spot{p, "", i, p.depth + 1} }

// String is the path.
func (p *spot) String() string {
	switch {
	case p.around == nil:
		return ""
	case p.name == "":
		return item(p.around.String(), p.index)
	}
	return join(p.around.String(), p.name)
}

// decoder fills nouns from nodes and notes the line of each.
type decoder struct {
	seen     int // nodes
	problems problems
}

// wrong notes a problem.
func (d *decoder) wrong(at spot, format string, args ...any) {
	if d.problems.count >= MaxProblems {
		d.problems.count++ // told by its number only
		return
	}
	d.problems.add(at.String(), format, args...)
}

// ended looks now and then whether anybody still waits.
func (d *decoder) ended(ctx context.Context) bool {
	d.seen++
	return d.seen%4096 == 0 && ctx.Err() != nil
}

func (d *decoder) decode(ctx context.Context, n *yaml.Node, to reflect.Value, lines *lineTree, at spot) {
	lines.line = n.Line
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.wrong(at, "anchors and aliases are not read")
		return
	}
	if at.depth > maxDepth {
		d.wrong(at, "nested too deep")
		return
	}
	if n.ShortTag() == "!!null" || d.ended(ctx) {
		return // as if it were absent
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	if d.decodeOwn(ctx, n, to, lines, at) {
		return
	}
	switch to.Kind() {
	case reflect.Struct:
		d.decodeStruct(ctx, n, to, lines, at)
	case reflect.Slice:
		d.decodeList(ctx, n, to, lines, at)
	case reflect.Map:
		d.decodeMap(ctx, n, to, lines, at)
	default:
		d.decodeScalar(n, to, at)
	}
}

func (d *decoder) decodeList(ctx context.Context, n *yaml.Node, to reflect.Value, lines *lineTree, at spot) {
	if !d.want(n, yaml.SequenceNode, at, "a list") || len(n.Content) == 0 {
		return // an empty list is as none
	}
	to.Set(reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content)))
	lines.items = make([]lineTree, len(n.Content))
	for i, one := range n.Content {
		if one.ShortTag() == "!!null" {
			lines.items[i].line = one.Line
			d.wrong(at.at(i), "is empty")
			continue
		}
		d.decode(ctx, one, to.Index(i), &lines.items[i], at.at(i))
	}
}

// decodeOwn lets a type that can read itself do so.
func (d *decoder) decodeOwn(ctx context.Context, n *yaml.Node, to reflect.Value, lines *lineTree, at spot) bool {
	var err error
	switch own := to.Addr().Interface().(type) {
	case *meter.Value:
		if err := checkShape(n, 0); err != "" {
			d.wrong(at, "%s", err)
			return true
		}
		err = n.Decode(own)
	case *Regions:
		if n.Kind == yaml.ScalarNode && n.Value == regionsGlobal {
			*own = Regions{}
			return true
		}
		if n.Kind != yaml.MappingNode {
			d.wrong(at, "want GLOBAL or {attribute: NAME}")
			return true
		}
		d.decodeStruct(ctx, n, reflect.ValueOf((*regionsSplit)(own)).Elem(), lines, at)
		if own.Attribute == "" {
			d.wrong(at, "want GLOBAL or {attribute: NAME}")
		}
	case encoding.TextUnmarshaler:
		if !d.want(n, yaml.ScalarNode, at, "one value") {
			return true
		}
		err = own.UnmarshalText([]byte(n.Value))
	default:
		return false
	}
	if err != nil {
		d.wrong(at, "%s", messageOf(err))
	}
	return true
}

// checkShape says what is wrong with a value that decodes itself.
func checkShape(n *yaml.Node, depth int) string {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return "anchors and aliases are not read"
	}
	if depth > maxDepth {
		return "nested too deep"
	}
	for _, c := range n.Content {
		if what := checkShape(c, depth+1); what != "" {
			return what
		}
	}
	return ""
}

// messageOf is what a caller may read of an error.
func messageOf(err error) string {
	var known *meter.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return strings.TrimPrefix(err.Error(), "yaml: ")
}

func (d *decoder) want(n *yaml.Node, kind yaml.Kind, at spot, what string) bool {
	if n.Kind != kind {
		d.wrong(at, "want %s", what)
	}
	return n.Kind == kind
}

func (d *decoder) decodeStruct(ctx context.Context, n *yaml.Node, to reflect.Value, lines *lineTree, at spot) {
	if !d.want(n, yaml.MappingNode, at, "a mapping of fields") {
		return
	}
	if defaulted, ok := to.Addr().Interface().(interface{ setDefaults() }); ok {
		defaulted.setDefaults()
	}
	fields := fieldsOf(to.Type())
	seen := make([]bool, to.NumField())
	lines.names, lines.items = make([]string, len(n.Content)/2), make([]lineTree, len(n.Content)/2)
	for i := range len(n.Content) / 2 {
		key, value := n.Content[2*i], n.Content[2*i+1]
		f, ok := fields[key.Value]
		lines.names[i], lines.items[i].line = f.name, key.Line
		inner := at.in(f.name)
		switch {
		case !ok || key.Kind != yaml.ScalarNode || key.Anchor != "":
			lines.names[i] = meter.Clip(key.Value)
			d.wrong(at.in(lines.names[i]), noSuchField)
		case seen[f.index]:
			d.wrong(inner, "is given twice")
		case restrictsNothing(f.strict, value):
			lines.items[i].line = value.Line
			d.wrong(inner, "is empty, which would restrict nothing; leave it out where nothing is meant")
		default:
			d.decode(ctx, value, to.Field(f.index), &lines.items[i], inner)
		}
		if ok {
			seen[f.index] = true
		}
	}
}

// restrictsNothing says whether a field that restricts what is meant, as its
// tag says in strictjson's words, is given as nothing.
func restrictsNothing(strict string, n *yaml.Node) bool {
	switch strict {
	case "given":
		return n.ShortTag() == "!!null"
	case "filled":
		return n.ShortTag() == "!!null" || len(n.Content) == 0 && n.Value == ""
	}
	return false
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// docField is a field of a struct as documents name it.
type docField struct {
	name   string
	index  int
	strict string
}

var docFields sync.Map // reflect.Type -> map[string]docField

// fieldsOf are the fields of a struct by the names that documents have for them.
func fieldsOf(t reflect.Type) map[string]docField {
	if known, ok := docFields.Load(t); ok {
		return known.(map[string]docField)
	}
	fields := map[string]docField{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "" {
			fields[name] = docField{name, i, t.Field(i).Tag.Get("strict")}
		}
	}
	docFields.Store(t, fields)
	return fields
}

func (d *decoder) decodeMap(ctx context.Context, n *yaml.Node, to reflect.Value, lines *lineTree, at spot) {
	if !d.want(n, yaml.MappingNode, at, "a mapping") || len(n.Content) == 0 {
		return // an empty one is as none
	}
	to.Set(reflect.MakeMap(to.Type()))
	lines.names, lines.items = make([]string, len(n.Content)/2), make([]lineTree, len(n.Content)/2)
	for i := range len(n.Content) / 2 {
		key, value := n.Content[2*i], n.Content[2*i+1]
		lines.names[i], lines.items[i].line = meter.Clip(key.Value), key.Line
		inner := at.in(lines.names[i])
		name := reflect.ValueOf(key.Value)
		if !isText(key) || key.Value == "" || to.MapIndex(name).IsValid() {
			d.wrong(inner, "is no name, or is given twice")
			continue
		}
		if value.ShortTag() == "!!null" {
			d.wrong(inner, "is empty")
			continue
		}
		one := reflect.New(to.Type().Elem()).Elem()
		d.decode(ctx, value, one, &lines.items[i], inner)
		to.SetMapIndex(name, one)
	}
}

// isText says whether a node is one value that stands for its text, so that ids
// need no quotes: a text, a number or a date.
func isText(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Anchor != "" {
		return false
	}
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!timestamp":
		return true
	}
	return false
}

func (d *decoder) decodeScalar(n *yaml.Node, to reflect.Value, at spot) {
	if !d.want(n, yaml.ScalarNode, at, "one value") {
		return
	}
	tag := n.ShortTag()
	switch to.Kind() {
	case reflect.Bool:
		if tag != "!!bool" {
			d.wrong(at, "want true or false")
			return
		}
		to.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int64:
		v, err := strconv.ParseInt(n.Value, 10, to.Type().Bits())
		if err != nil || tag != "!!int" {
			d.wrong(at, "want a whole number")
			return
		}
		to.SetInt(v)
	case reflect.String:
		if !isText(n) {
			d.wrong(at, "want a text")
			return
		}
		to.SetString(n.Value)
	default:
		d.wrong(at, "cannot be read")
	}
}
