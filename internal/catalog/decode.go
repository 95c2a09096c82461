package catalog

import (
	"cmp"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
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
	d := &decoder{ctx: ctx}
	doc := &Document{lines: &lineTree{}}
	if root != nil {
		d.decode(root, reflect.ValueOf(doc).Elem(), doc.lines, spot{})
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

// problem is something wrong at a path such as customers[0].contracts[1].id.
type problem struct {
	path, text string
	first      string // where else that is, "" if nowhere
}

// problems are what is wrong with a document: the first ones, and how many there are.
type problems struct {
	told  []problem
	count int
}

func (p *problems) add(path, format string, args ...any) {
	if p.count++; p.count <= MaxProblems {
		p.told = append(p.told, problem{path: path, text: fmt.Sprintf(format, args...)})
	}
}

// addTwice says that a path has what another has already.
func (p *problems) addTwice(path string, what any, first itemPlace) {
	if p.count++; p.count <= MaxProblems {
		p.told = append(p.told, problem{path: path, text: meter.Clip(fmt.Sprint(what)) + " is also that of ", first: first.String()})
	}
}

// with adds what is wrong with the fields that could be read, without what only
// follows from a field that could not. Of a text with more problems than are
// told, it adds nothing: which of them follow cannot be said.
func (p problems) with(checked problems) problems {
	if p.count == 0 {
		return checked
	}
	if p.count > MaxProblems {
		return p
	}
	unread := p.told
	for _, one := range checked.told {
		if slices.ContainsFunc(unread, one.followsFrom) {
			continue
		}
		if p.count++; p.count <= MaxProblems {
			p.told = append(slices.Clip(p.told), one)
		}
	}
	p.count += checked.count - len(checked.told)
	return p
}

// followsFrom says whether a problem may be there only because a field of the
// text was not read: it is of that field or of what is in it, of what is around
// it as a whole, or that a field beside it is missing, as its name may be misspelled.
func (p problem) followsFrom(unread problem) bool {
	rest, inside := strings.CutPrefix(p.path, unread.path)
	around := pathAround(unread.path)
	return inside && (rest == "" || rest[0] == '.' || rest[0] == '[') ||
		p.path == around && unread.text != noSuchField ||
		p.text == isRequired && pathAround(p.path) == around
}

// pathAround is the path of what a field is in.
func pathAround(path string) string { return path[:max(0, strings.LastIndexByte(path, '.'))] }

// sort puts the problems in the order of their lines.
func (p problems) sort(lines *lineTree) {
	slices.SortStableFunc(p.told, func(a, b problem) int { return cmp.Compare(lines.of(a.path), lines.of(b.path)) })
}

// What is wrong with a name that no field has, and with a field that is not there.
const (
	noSuchField = "there is no such field"
	isRequired  = "is required"
)

// problemAt is one problem.
func problemAt(path, text string) problems {
	return problems{told: []problem{{path: path, text: text}}, count: 1}
}

// err makes an error of the problems of a text, nil if there are none.
func (p problems) err(lines *lineTree) error {
	return p.render(func(path string) string {
		if n := lines.of(path); n > 0 {
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
	if p.count == 0 {
		return nil
	}
	var b strings.Builder
	for i, one := range p.told {
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
	if more := p.count - len(p.told); more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return meter.Errorf(meter.KindInvalid, "%s", b.String())
}

// Line returns the line at which the document's text has a path such as
// customers[0].contracts[1], or else what is around it; 0 if the document was
// not read from a text.
func (doc *Document) Line(path string) int { return doc.lines.of(path) }

// lineTree has the lines of a text: of a value and of what is in it.
type lineTree struct {
	line  int
	names []string // of a mapping's members, clipped as in paths; nil for a list
	items []lineTree
}

// of is the line of a path, or of the nearest thing around it.
func (t *lineTree) of(path string) int {
	if t == nil {
		return 0
	}
	if rest, ok := strings.CutPrefix(path, "["); ok {
		number, rest, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(number); err == nil && i < len(t.items) && t.names == nil {
			return t.items[i].of(strings.TrimPrefix(rest, "."))
		}
		return t.line
	}
	for i := len(t.names) - 1; i >= 0; i-- { // where one is given twice, the later is what is wrong
		rest, ok := strings.CutPrefix(path, t.names[i])
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return t.items[i].of(strings.TrimPrefix(rest, "."))
		}
	}
	return t.line
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
	ctx      context.Context
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
func (d *decoder) ended() bool {
	d.seen++
	return d.ctx != nil && d.seen%4096 == 0 && d.ctx.Err() != nil
}

func (d *decoder) decode(n *yaml.Node, to reflect.Value, lines *lineTree, at spot) {
	lines.line = n.Line
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.wrong(at, "anchors and aliases are not read")
		return
	}
	if at.depth > maxDepth {
		d.wrong(at, "nested too deep")
		return
	}
	if n.ShortTag() == "!!null" || d.ended() {
		return // as if it were absent
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	if d.decodeOwn(n, to, lines, at) {
		return
	}
	switch to.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, to, lines, at)
	case reflect.Slice:
		d.decodeList(n, to, lines, at)
	case reflect.Map:
		d.decodeMap(n, to, lines, at)
	default:
		d.decodeScalar(n, to, at)
	}
}

func (d *decoder) decodeList(n *yaml.Node, to reflect.Value, lines *lineTree, at spot) {
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
		d.decode(one, to.Index(i), &lines.items[i], at.at(i))
	}
}

// decodeOwn lets a type that can read itself do so.
func (d *decoder) decodeOwn(n *yaml.Node, to reflect.Value, lines *lineTree, at spot) bool {
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
		d.decodeStruct(n, reflect.ValueOf((*regionsSplit)(own)).Elem(), lines, at)
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

func (d *decoder) decodeStruct(n *yaml.Node, to reflect.Value, lines *lineTree, at spot) {
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
			d.decode(value, to.Field(f.index), &lines.items[i], inner)
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

func (d *decoder) decodeMap(n *yaml.Node, to reflect.Value, lines *lineTree, at spot) {
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
		d.decode(value, one, &lines.items[i], inner)
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
