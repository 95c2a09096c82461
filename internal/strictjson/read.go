package strictjson

import (
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"
)

// Options say how strictly values are filled.
type Options struct {
	Limits
	// Unknown members are ignored, and names match in any case, as vendors'
	// servers do; a member that comes in two spellings is refused still.
	// Otherwise names match exactly and any other member is refused.
	Unknown bool
	// null stands for an absent member, unless the field says `strict:"given"`
	// or "filled". Otherwise null is refused, unless the field says `strict:"null"`.
	Null bool
}

// Read fills into, a pointer, from the one JSON value of text, as encoding/json
// does, and refuses what the package's comment lists. A field with the tag
// `strict:"filled"` restricts what is meant: null, an empty text, list or
// object, or the zero time is refused there. Errors are *Error, or what a
// type's own UnmarshalJSON or UnmarshalText returns.
func Read(text []byte, into any, o Options) error {
	r, err := NewReader(text, o.Limits)
	if err != nil {
		return err
	}
	w := walker{r: r, o: o}
	if err := w.walk(shapeOf(reflect.TypeOf(into).Elem())); err != nil {
		return err
	}
	err = json.Unmarshal(r.text, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return &Error{Path: wrong.Field, What: "does not take " + clip(wrong.Value)}
	}
	return err
}

// shape is what a Go type expects of JSON.
type shape struct {
	fields map[string]*field // of a struct; nil of anything else
	folded map[string]*field // by the name in lower case
	elem   *shape            // of a list's items or a map's members
	kind   Kind              // BeginObject, BeginArray, String, Number or True; 0 = any
	time   bool
}

// field is a member that a struct has.
type field struct {
	name   string
	of     *shape
	given  bool // null is refused, whatever the options say
	filled bool // and so is what is empty
	null   bool // null is taken
}

var shapes sync.Map // reflect.Type -> *shape

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType        = reflect.TypeFor[time.Time]()
)

// shapeOf is a type's shape; anything of the opaque ones.
func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := makeShape(t)
	shapes.Store(t, s)
	return s
}

func makeShape(t reflect.Type) *shape {
	switch {
	case t == timeType:
		return &shape{kind: String, time: true}
	case reflect.PointerTo(t).Implements(unmarshaler):
		return &shape{}
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return &shape{kind: String}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return makeShape(t.Elem())
	case reflect.Slice, reflect.Array:
		return &shape{kind: BeginArray, elem: shapeOf(t.Elem())}
	case reflect.Map:
		return &shape{kind: BeginObject, elem: shapeOf(t.Elem())}
	case reflect.String:
		return &shape{kind: String}
	case reflect.Bool:
		return &shape{kind: True}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return &shape{kind: Number}
	case reflect.Struct:
		s := &shape{kind: BeginObject, fields: map[string]*field{}, folded: map[string]*field{}}
		s.addFields(t)
		return s
	}
	return &shape{}
}

func (s *shape) addFields(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			s.addFields(f.Type)
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		one := &field{name: name, of: shapeOf(f.Type)}
		for word := range strings.SplitSeq(f.Tag.Get("strict"), ",") {
			one.filled = one.filled || word == "filled"
			one.given = one.given || word == "given" || word == "filled"
			one.null = one.null || word == "null"
		}
		s.fields[name] = one
		s.folded[fold(name)] = one
	}
}

// fold makes names equal that encoding/json would take for the same. Beyond
// lower case these are two letters: the long s and the Kelvin sign.
func fold(name string) string { return strings.ToLower(odd.Replace(name)) }

var odd = strings.NewReplacer("\u017f", "s", "\u212a", "k")

// walker holds a text against a shape.
type walker struct {
	r     *Reader
	o     Options
	stack []level
}

// level is an array or object that is not closed.
type level struct {
	shape *shape
	field *field            // of the struct's member whose value comes next
	has   map[*field]string // the fields that were given, as they were written
	begun *field            // the field whose value this is
	empty bool              // nothing in it so far
}

// walk reads the whole text.
func (w *walker) walk(top *shape) error {
	for {
		t, err := w.r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = w.step(t, top)
		}
		if err != nil {
			return err
		}
	}
}

func (w *walker) step(t Token, top *shape) error {
	switch t.Kind {
	case EndObject, EndArray:
		l := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		if l.empty && l.begun != nil && l.begun.filled {
			return w.r.fail("is empty; leave it out where nothing is meant")
		}
		return nil
	case Name:
		return w.member(t.Text())
	}
	want, f := top, (*field)(nil)
	if n := len(w.stack); n > 0 {
		l := &w.stack[n-1]
		l.empty = false
		want, f = l.shape.elem, l.field
		if f != nil {
			want = f.of
		}
		l.field = nil
	}
	if want == nil {
		want = &shape{}
	}
	if k := t.Kind; want.kind != 0 && k != null && k != want.kind && !(k == False && want.kind == True) {
		return w.r.fail("want %s, not %s", article(want.kind), article(k))
	}
	switch t.Kind {
	case BeginObject, BeginArray:
		w.stack = append(w.stack, level{shape: want, begun: f, empty: true})
		return nil
	case null:
		return w.null(want, f)
	case String:
		return w.text(t, want, f)
	}
	return nil
}

// article is a kind with its article.
func article(k Kind) string {
	switch name := k.String(); k {
	case BeginObject, EndObject, BeginArray, EndArray:
		return "an " + name
	case null:
		return name
	default:
		return "a " + name
	}
}

// member finds the field of a name.
func (w *walker) member(name string) error {
	l := &w.stack[len(w.stack)-1]
	l.empty = false
	if l.shape.fields == nil {
		return nil
	}
	f := l.shape.fields[name]
	if f == nil {
		like := l.shape.folded[fold(name)]
		switch {
		case w.o.Unknown:
			f = like
		case like != nil:
			return w.r.failHere("unknown field %q: did you mean %q?", clip(name), like.name)
		default:
			return w.r.failHere("unknown field %q", clip(name))
		}
	}
	if f == nil {
		return nil
	}
	if had, twice := l.has[f]; twice {
		return w.r.fail("is given twice, also as %q", had)
	}
	if l.has == nil {
		l.has = map[*field]string{}
	}
	l.has[f], l.field = name, f
	return nil
}

func (w *walker) null(want *shape, f *field) error {
	switch {
	case f != nil && f.given, f != nil && !f.null && !w.o.Null:
		return w.r.fail("is null; leave it out where nothing is meant")
	case f == nil && len(w.stack) > 0 && w.stack[len(w.stack)-1].shape.elem != nil && !w.o.Null:
		return w.r.fail("is null")
	case len(w.stack) == 0 && want.kind != 0 && !w.o.Null:
		return w.r.fail("want %s, not null", article(want.kind))
	}
	return nil
}

func (w *walker) text(t Token, want *shape, f *field) error {
	filled := f != nil && f.filled
	if filled && len(t.raw) == 0 {
		return w.r.fail("is empty; leave it out where nothing is meant")
	}
	if !want.time {
		return nil
	}
	at, err := time.Parse(time.RFC3339, t.Text())
	switch {
	case err != nil:
		return w.r.fail("%q is not an RFC 3339 time such as 2026-01-31T00:00:00Z", clip(t.Text()))
	case filled && at.IsZero():
		return w.r.fail("is no time")
	}
	return nil
}

// failHere says what is wrong with the object around a member.
func (r *Reader) failHere(format string, args ...any) error {
	r.stack[len(r.stack)-1].name = ""
	return r.fail(format, args...)
}
