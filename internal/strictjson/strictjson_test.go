package strictjson

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	ID    string          `json:"id"`
	Where map[string]int  `json:"where" strict:"filled"`
	Raw   json.RawMessage `json:"raw"`
}

type outer struct {
	Customer *string           `json:"customer" strict:"filled"`
	Note     *string           `json:"note" strict:"null"`
	Records  map[string]int64  `json:"records"`
	Items    []inner           `json:"items"`
	Expires  time.Time         `json:"expires" strict:"filled"`
	Tags     []string          `json:"tags" strict:"given"`
	Sub      *inner            `json:"sub"`
	Flag     bool              `json:"flag"`
	Skip     string            `json:"-"`
	Labels   map[string]string `json:"labels"`
}

var reads = []struct {
	text    string
	strict  string // the error where everything is checked, "" = none
	lenient string // and where unknown members are ignored and null means absent
}{
	{`{}`, "", ""},
	{"\xef\xbb\xbf {\"flag\":true}\n", "", ""},
	{"\xef\xbb\xbf\xef\xbb\xbf{}", "malformed JSON", "malformed JSON"},
	{`{"records":{"gb":1,"GB":2}}`, "", ""}, // names of a map are data
	{`{"records":{"gb":1,"gb":2}}`, "records.gb: is given twice", "records.gb: is given twice"},
	{`{"records":{"gb":1,"g\u0062":2}}`, "records.gb: is given twice", "records.gb: is given twice"},
	{`{"records":{},"records":{}}`, "records: is given twice", "records: is given twice"},
	{`{"records":{},"Records":{}}`, `unknown field "Records": did you mean "records"?`, `Records: is given twice, also as "records"`},
	{`{"Record\u017f":{},"records":{}}`, `did you mean "records"?`, "is given twice"},
	{`{"RECORDS":{"a":1}}`, `did you mean "records"?`, ""},
	{`{"x":1,"x":2}`, `unknown field "x"`, "x: is given twice"},
	{`{"x":{"y":1,"Y":2}}`, `unknown field "x"`, ""},
	{`{"items":[{"raw":{"a":{"b":1,"b":2}}}]}`, "items[0].raw.a.b: is given twice", "items[0].raw.a.b: is given twice"},
	{`{"items":[{"id":"a"},{"ID":"b","id":"c"}]}`, `items[1]: unknown field "ID"`, "items[1].id: is given twice"},
	{`{"-":1}`, `unknown field "-"`, ""},
	{`{"skip":"x"}`, `unknown field "skip"`, ""},

	{`{"customer":null}`, "customer: is null", "customer: is null"},
	{`{"customer":""}`, "customer: is empty", "customer: is empty"},
	{`{"note":null}`, "", ""},
	{`{"note":""}`, "", ""},
	{`{"flag":null}`, "flag: is null", ""},
	{`{"items":null}`, "items: is null", ""},
	{`{"tags":null}`, "tags: is null", "tags: is null"},
	{`{"tags":[]}`, "", ""},
	{`{"items":[null]}`, "items[0]: is null", ""},
	{`{"labels":{"a":null}}`, "labels.a: is null", ""},
	{`{"sub":{"where":null}}`, "sub.where: is null", "sub.where: is null"},
	{`{"sub":{"where":{}}}`, "sub.where: is empty", "sub.where: is empty"},
	{`{"sub":{"where":{"a":1}}}`, "", ""},
	{`{"sub":{"raw":null}}`, "sub.raw: is null", ""},
	{`{"sub":{"raw":{"a":null}}}`, "", ""}, // what reads itself decides
	{`{"expires":"0001-01-01T00:00:00Z"}`, "expires: is no time", "expires: is no time"},
	{`{"expires":""}`, "expires: is empty", "expires: is empty"},
	{`{"expires":"soon"}`, `expires: "soon" is not an RFC 3339 time`, `expires: "soon"`},
	{`null`, "want an object, not null", ""},

	{`{"flag":"true"}`, "flag: want a boolean, not a string", "flag: want a boolean"},
	{`{"items":{}}`, "items: want an array, not an object", "items: want an array"},
	{`{"customer":{}}`, "customer: want a string, not an object", "customer: want a string"},
	{`{"records":{"a":"1"}}`, "records.a: want a number, not a string", "records.a: want a number"},
	{`{"records":{"a":1.5}}`, "records", "records"},
	{`[]`, "want an object, not an array", "want an object"},

	{"{\"customer\":\"a\xffb\"}", "customer: is not valid UTF-8", "customer: is not valid UTF-8"},
	{"{\"cust\xffomer\":\"a\"}", "is not valid UTF-8", "is not valid UTF-8"},
	{`{"customer":"\ud83d\ude00"}`, "", ""},
	{`{"customer":"\ud83d"}`, `customer: holds \ud83d, which is half`, `customer: holds \ud83d`},
	{`{"customer":"\ude00\ud83d"}`, `holds \ude00`, `holds \ude00`},
	{`{"customer":"\ud83dx\ude00"}`, `holds \ud83d`, `holds \ud83d`},
	{`{"\uDC00":1}`, `holds \udc00`, `holds \udc00`},
	{`{"sub":{"raw":["\ud800"]}}`, `sub.raw[0]: holds \ud800`, `sub.raw[0]: holds`},

	{``, "the text is empty", "the text is empty"},
	{" \n", "the text is empty", "the text is empty"},
	{`{`, "the text ends too early", "the text ends too early"},
	{`{"flag":tru`, "malformed JSON at byte 8", "malformed JSON"},
	{`{"flag":true,}`, "malformed JSON", "malformed JSON"},
	{`{"tags":["a" "b"]}`, "tags[0]: malformed JSON", "malformed JSON"},
	{`{}{}`, "there is more text after the value", "there is more text"},
	{`{} x`, "there is more text after the value", "there is more text"},
	{`{'flag':true}`, "malformed JSON", "malformed JSON"},
	{"{\"customer\":\"a\nb\"}", "malformed JSON", "malformed JSON"},
	{`{"customer":"\x41"}`, "malformed JSON", "malformed JSON"},
	{`{"records":{"a":01}}`, "malformed JSON", "malformed JSON"},
	{`{"records":{"a":+1}}`, "malformed JSON", "malformed JSON"},
	{`{"records":{"a":NaN}}`, "malformed JSON", "malformed JSON"},
	{strings.Repeat("[", 100), "want an object", "want an object"},
	{`{"sub":{"raw":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}}`, "nested too deep", "nested too deep"},
	{`{"sub":{"raw":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `}}`, "", ""},
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, c := range reads {
		for _, mode := range []struct {
			o    Options
			want string
		}{{Options{}, c.strict}, {Options{Unknown: true, Null: true}, c.lenient}} {
			var v outer
			err := Read([]byte(c.text), &v, mode.o)
			switch {
			case mode.want == "" && err != nil:
				t.Errorf("%.80s with %+v: %v", c.text, mode.o, err)
			case mode.want != "" && (err == nil || !strings.Contains(err.Error(), mode.want)):
				t.Errorf("%.80s with %+v: %v, want %s", c.text, mode.o, err, mode.want)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	var v struct {
		Tags []string `json:"tags"`
	}
	tags := func(n int) []byte {
		return []byte(`{"tags":[` + strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") + `]}`)
	}
	o := Options{Limits: Limits{Nodes: 10, Bytes: 100, Depth: 2}}
	if err := Read(tags(7), &v, o); err != nil || len(v.Tags) != 7 { // and the object, the name and the list
		t.Errorf("at the limit: %v", err)
	}
	var problem *Error
	if err := Read(tags(8), &v, o); !errors.As(err, &problem) || !problem.TooLarge || !strings.Contains(err.Error(), "more than 10 values and names") {
		t.Errorf("past the limit: %v", err)
	}
	padded := append(tags(1), make([]byte, 100-len(tags(1)))...)
	for i := len(tags(1)); i < 100; i++ {
		padded[i] = ' '
	}
	if err := Read(padded, &v, o); err != nil {
		t.Errorf("at the limit of bytes: %v", err)
	}
	if err := Read(append(padded, ' '), &v, o); !errors.As(err, &problem) || !problem.TooLarge {
		t.Errorf("past the limit of bytes: %v", err)
	}
	if _, err := tokens([]byte("[[1]]"), o.Limits); err != nil {
		t.Errorf("at the limit of depth: %v", err)
	}
	if _, err := tokens([]byte("[[[1]]]"), o.Limits); err == nil {
		t.Error("past the limit of depth: taken")
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	r, err := NewReader([]byte("{\r\n\"a\": [1,\n\n 2],\n\"a\":3}"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	for err == nil {
		_, err = r.Next()
		at = append(at, r.Line())
	}
	var problem *Error
	if !errors.As(err, &problem) || problem.Line != 5 || problem.Path != "a" || !reflect.DeepEqual(at, []int{1, 2, 2, 2, 4, 4, 5}) {
		t.Errorf("lines %v, %+v", at, problem)
	}
}

// tokens are those of a text, as one text.
func tokens(text []byte, l Limits) (string, error) {
	r, err := NewReader(text, l)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		t, err := r.Next()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(t.Kind))
		b.WriteString(t.Text())
		b.WriteByte(0)
	}
}

// FuzzRead holds the reader against encoding/json: what it takes is JSON that
// has the same values there.
func FuzzRead(f *testing.F) {
	for _, text := range []string{`{"a":[1,-2.5e+3,"x\u00e9\ud83d\ude00\n",true,false,null,{}]}`, "\xef\xbb\xbf[]", `"\ud800"`, `{"a":1,"a":2}`, `[1,]`, `01`, "\"\xff\"", `{"":{}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := tokens(text, Limits{Bytes: 1 << 20, Depth: 1000, Nodes: 1 << 20})
		plain := SkipMark(text)
		if err != nil {
			return
		}
		if !json.Valid(plain) {
			t.Fatalf("%q is no JSON and was taken", text)
		}
		d := json.NewDecoder(strings.NewReader(string(plain)))
		d.UseNumber()
		var again strings.Builder
		var inObject []bool
		var name bool
		for {
			tok, err := d.Token()
			if err != nil {
				break
			}
			k, s := kindOf(tok)
			if len(inObject) > 0 && inObject[len(inObject)-1] && name && k == String {
				k = Name
			}
			again.WriteByte(byte(k))
			again.WriteString(s)
			again.WriteByte(0)
			switch k {
			case BeginObject, BeginArray:
				inObject = append(inObject, k == BeginObject)
				name = k == BeginObject
				continue
			case EndObject, EndArray:
				inObject = inObject[:len(inObject)-1]
			}
			name = k != Name
		}
		if got != again.String() {
			t.Fatalf("%q reads as %q, want %q", text, got, again.String())
		}
	})
}

func kindOf(t json.Token) (Kind, string) {
	switch t := t.(type) {
	case json.Delim:
		return Kind(t), ""
	case string:
		return String, t
	case json.Number:
		return Number, t.String()
	case bool:
		if t {
			return True, "true"
		}
		return False, "false"
	}
	return null, "null"
}
