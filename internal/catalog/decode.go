package catalog

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
	"odometer/internal/strictjson"
)

// MaxDocumentBytes bounds the text of a document.
const MaxDocumentBytes = 32 << 20

// MaxDocumentNodes bounds the values and names of a document.
const MaxDocumentNodes = 1_000_000

// MaxProblems is how many problems of a document one error names.
const MaxProblems = 20

// maxDepth bounds how deep a document's text may nest; no noun needs more.
const maxDepth = 16

// ParseDocument reads a document from YAML or JSON. What a
// document does not have is refused, and so are anchors and a second document.
// It checks all that can be seen from the text alone; what the text refers to
// may be in the catalogue already, so Apply checks references. Errors are
// KindInvalid, or KindTooLarge past MaxDocumentBytes; their message has a line
// for each problem, with its line number.
func ParseDocument(text []byte) (*Document, error) {
	if len(text) > MaxDocumentBytes {
		return nil, meter.Errorf(meter.KindTooLarge, "the document has %d bytes, more than %d", len(text), MaxDocumentBytes)
	}
	d := &decoder{lines: map[string]int{}}
	doc := &Document{lines: d.lines}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	if root != nil {
		d.decode(root, reflect.ValueOf(doc).Elem(), "", 0)
	}
	if err := d.problems.err(d.lines); err != nil {
		return nil, err
	}
	if err := doc.Validate(); err != nil {
		return nil, err
	}
	return doc, nil
}

// parse returns the root of a text, nil if it is empty.
func parse(text []byte) (*yaml.Node, error) {
	text = strictjson.SkipMark(text)
	if !json.Valid(text) {
		return parseYAML(text)
	}
	root, err := parseJSON(text, strictjson.Limits{Bytes: MaxDocumentBytes, Depth: maxDepth, Nodes: MaxDocumentNodes})
	err = jsonError(err, "")
	if err != nil || root.ShortTag() == "!!null" {
		return nil, err
	}
	return root, nil
}

// parseYAML returns the root of the one document that a text holds, nil if it is empty.
func parseYAML(text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var root, more yaml.Node
	err := dec.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, meter.Errorf(meter.KindInvalid, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, meter.Errorf(meter.KindInvalid, "the text holds more than one document")
	}
	if len(root.Content) == 0 || root.Content[0].ShortTag() == "!!null" {
		return nil, nil
	}
	return root.Content[0], nil
}

// problem is something wrong at a path such as customers[0].contracts[1].id.
type problem struct {
	path, text string
	first      string // where else that is, "" if nowhere
}

// problems are what is wrong with a document.
type problems []problem

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, problem{path: path, text: fmt.Sprintf(format, args...)})
}

// addTwice says that a path has what another has already.
func (p *problems) addTwice(path string, what any, first string) {
	*p = append(*p, problem{path: path, text: clip(fmt.Sprint(what)) + " is also that of ", first: first})
}

// err makes an error of the problems of a text, nil if there are none.
func (p problems) err(lines map[string]int) error {
	return p.render(func(path string) string {
		if n := lineOf(lines, path); n > 0 {
			return fmt.Sprintf("line %d: %s", n, path)
		}
		return path
	}, func(path string) string { return path })
}

// errIn makes an error of the problems of a document, which names nouns where
// the document was not read from a text.
func (p problems) errIn(doc *Document) error {
	if doc.lines != nil {
		return p.err(doc.lines)
	}
	return p.render(doc.named, doc.named)
}

func (p problems) render(at, other func(path string) string) error {
	if len(p) == 0 {
		return nil
	}
	var b strings.Builder
	for i, one := range p {
		if i == MaxProblems {
			fmt.Fprintf(&b, "\nand %d more", len(p)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		if place := at(one.path); place != "" {
			b.WriteString(strings.TrimSuffix(place, ": ") + ": ")
		}
		b.WriteString(one.text)
		if one.first != "" {
			b.WriteString(other(one.first))
		}
	}
	return meter.Errorf(meter.KindInvalid, "%s", b.String())
}

// Line returns the line at which the document's text has a path such as
// customers[0].contracts[1], or else what is around it; 0 if the document was
// not read from a text.
func (doc *Document) Line(path string) int { return lineOf(doc.lines, path) }

// lineOf is the line of a path, or of the nearest thing around it.
func lineOf(lines map[string]int, path string) int {
	for {
		if n, ok := lines[path]; ok {
			return n
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return lines[""]
		}
		path = path[:i]
	}
}

// decoder fills nouns from YAML and notes the line of each field.
type decoder struct {
	lines    map[string]int
	problems problems
}

func (d *decoder) decode(n *yaml.Node, to reflect.Value, path string, depth int) {
	d.lines[path] = n.Line
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.problems.add(path, "anchors and aliases are not read")
		return
	}
	if depth > maxDepth {
		d.problems.add(path, "nested too deep")
		return
	}
	if n.ShortTag() == "!!null" {
		return // as if it were absent
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	if d.decodeOwn(n, to, path) {
		return
	}
	switch to.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, to, path, depth)
	case reflect.Slice:
		if !d.want(n, yaml.SequenceNode, path, "a list") {
			return
		}
		if len(n.Content) == 0 {
			return // an empty list is as none
		}
		to.Set(reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			at := path + "[" + strconv.Itoa(i) + "]"
			if item.ShortTag() == "!!null" {
				d.lines[at] = item.Line
				d.problems.add(at, "is empty")
				continue
			}
			d.decode(item, to.Index(i), at, depth+1)
		}
	case reflect.Map:
		d.decodeMap(n, to, path, depth)
	default:
		d.decodeScalar(n, to, path)
	}
}

// decodeOwn lets a type that can read itself do so.
func (d *decoder) decodeOwn(n *yaml.Node, to reflect.Value, path string) bool {
	var err error
	switch own := to.Addr().Interface().(type) {
	case *meter.Value:
		if err := checkShape(n, 0); err != "" {
			d.problems.add(path, "%s", err)
			return true
		}
		err = n.Decode(own)
	case *Regions:
		if n.Kind == yaml.ScalarNode && n.Value == regionsGlobal {
			*own = Regions{}
			return true
		}
		if n.Kind != yaml.MappingNode {
			d.problems.add(path, "want GLOBAL or {attribute: NAME}")
			return true
		}
		d.decodeStruct(n, reflect.ValueOf((*regionsSplit)(own)).Elem(), path, 0)
		if own.Attribute == "" {
			d.problems.add(path, "want GLOBAL or {attribute: NAME}")
		}
	case encoding.TextUnmarshaler:
		if !d.want(n, yaml.ScalarNode, path, "one value") {
			return true
		}
		err = own.UnmarshalText([]byte(n.Value))
	default:
		return false
	}
	if err != nil {
		d.problems.add(path, "%s", messageOf(err))
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

func (d *decoder) want(n *yaml.Node, kind yaml.Kind, path, what string) bool {
	if n.Kind != kind {
		d.problems.add(path, "want %s", what)
	}
	return n.Kind == kind
}

func (d *decoder) decodeStruct(n *yaml.Node, to reflect.Value, path string, depth int) {
	if !d.want(n, yaml.MappingNode, path, "a mapping of fields") {
		return
	}
	if defaulted, ok := to.Addr().Interface().(interface{ setDefaults() }); ok {
		defaulted.setDefaults()
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := join(path, clip(key.Value))
		index, ok := fieldNamed(to.Type(), key.Value)
		switch {
		case !ok || key.Kind != yaml.ScalarNode:
			d.lines[at] = key.Line
			d.problems.add(at, "there is no such field")
		case seen[key.Value]:
			d.lines[at] = key.Line
			d.problems.add(at, "is given twice")
		default:
			d.decodeField(n.Content[i+1], to.Field(index), to.Type().Field(index).Tag.Get("strict"), at, depth)
		}
		seen[key.Value] = true
	}
}

// decodeField is decode of a struct's field. One that restricts what is meant
// says so in its tag, as strictjson has it, and is not given as nothing.
func (d *decoder) decodeField(n *yaml.Node, to reflect.Value, strict, path string, depth int) {
	null := n.ShortTag() == "!!null"
	if strict != "" && null || strict == "filled" && (n.Kind == yaml.ScalarNode && n.Value == "" || n.Kind != yaml.ScalarNode && len(n.Content) == 0) {
		d.lines[path] = n.Line
		d.problems.add(path, "is empty, which would restrict nothing; leave it out where nothing is meant")
		return
	}
	d.decode(n, to, path, depth+1)
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// fieldNamed finds the field of a struct that a document calls name.
func fieldNamed(t reflect.Type, name string) (int, bool) {
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if tag != "" && tag == name {
			return i, true
		}
	}
	return 0, false
}

func (d *decoder) decodeMap(n *yaml.Node, to reflect.Value, path string, depth int) {
	if !d.want(n, yaml.MappingNode, path, "a mapping") {
		return
	}
	if len(n.Content) == 0 {
		return // an empty one is as none
	}
	to.Set(reflect.MakeMap(to.Type()))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := join(path, clip(key.Value))
		name := reflect.ValueOf(key.Value)
		if key.Kind != yaml.ScalarNode || key.Value == "" || key.Anchor != "" || key.Value == "<<" || to.MapIndex(name).IsValid() {
			d.lines[at] = key.Line
			d.problems.add(at, "is no name, or is given twice")
			continue
		}
		if n.Content[i+1].ShortTag() == "!!null" {
			d.lines[at] = n.Content[i+1].Line
			d.problems.add(at, "is empty")
			continue
		}
		value := reflect.New(to.Type().Elem()).Elem()
		d.decode(n.Content[i+1], value, at, depth+1)
		to.SetMapIndex(name, value)
	}
}

func (d *decoder) decodeScalar(n *yaml.Node, to reflect.Value, path string) {
	if !d.want(n, yaml.ScalarNode, path, "one value") {
		return
	}
	tag := n.ShortTag()
	switch to.Kind() {
	case reflect.Bool:
		if tag != "!!bool" {
			d.problems.add(path, "want true or false")
			return
		}
		to.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int64:
		v, err := strconv.ParseInt(n.Value, 10, to.Type().Bits())
		if err != nil || tag != "!!int" {
			d.problems.add(path, "want a whole number")
			return
		}
		to.SetInt(v)
	case reflect.String:
		// A number or a date stands for its text, so that ids need no quotes.
		switch tag {
		case "!!str", "!!int", "!!float", "!!timestamp":
			to.SetString(n.Value)
		default:
			d.problems.add(path, "want a text")
		}
	default:
		d.problems.add(path, "cannot be read")
	}
}
