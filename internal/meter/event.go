package meter

import (
	"strings"
	"time"
)

// CustomerAttribute is the attribute name that means the event's resolved
// customer, whatever its data holds under that name.
const CustomerAttribute = "customer"

// PathSeparator joins the keys of a nested attribute into one path. The byte
// never occurs in UTF-8, so no key can contain it.
const PathSeparator = "\xff"

// ExtensionPrefix begins the path of an extension attribute of the envelope,
// so that it is never that of a member of the data. The byte never occurs in UTF-8.
const ExtensionPrefix = "\xfe"

// IsExtension reports whether a path is that of an extension attribute.
func IsExtension(path string) bool { return strings.HasPrefix(path, ExtensionPrefix) }

// PathName is a stored path as meters and filters name it, for texts that people read.
func PathName(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, ExtensionPrefix), PathSeparator, ".")
}

// Identity is what makes an event unique within its organization.
type Identity struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// Compare orders identities by source, then id, bytewise: -1, 0 or 1.
func (i Identity) Compare(o Identity) int {
	if c := strings.Compare(i.Source, o.Source); c != 0 {
		return c
	}
	return strings.Compare(i.ID, o.ID)
}

// Event is one usage fact.
type Event struct {
	Identity
	Type       string
	Subject    string
	HasSubject bool
	Customer   string // resolved once, when the event was taken in; "" if there is none
	Time       time.Time
	Untimed    bool // no time was sent: Time is when the event's block was accepted
	Data       []Attribute
}

// Attribute is one leaf of an event's data: the keys that lead to it, joined by
// PathSeparator, and its value. Arrays and empty objects are leaves. Or it is an
// extension attribute of the envelope: ExtensionPrefix and its name.
type Attribute struct {
	Path  string
	Value Value
}

// JoinPath joins keys, outermost first, into a path.
func JoinPath(keys ...string) string { return strings.Join(keys, PathSeparator) }

// AttributePaths returns the paths that an attribute name may mean, in order of
// preference: the member of the data of that very name, then, if it has dots,
// the member that they lead to, then the extension attribute.
func AttributePaths(name string) []string {
	if !strings.Contains(name, ".") {
		return []string{name, ExtensionPrefix + name}
	}
	return []string{name, strings.ReplaceAll(name, ".", PathSeparator), ExtensionPrefix + name}
}

// Get returns the value of the named attribute. The name CustomerAttribute is
// the resolved customer (absent if ""). Any other name is a member of the data
// of that very name or, failing that, the nested member its dots lead to or,
// failing that, the extension attribute of that name. An object with members is a value of kind JSON without text: it exists, and
// nothing else can be said of it.
func (e *Event) Get(name string) Value {
	if name == CustomerAttribute {
		if e.Customer == "" {
			return Value{}
		}
		return StringValue(e.Customer)
	}
	if v := e.at(name); v.Kind != Absent {
		return v
	}
	if strings.Contains(name, ".") {
		if v := e.at(strings.ReplaceAll(name, ".", PathSeparator)); v.Kind != Absent {
			return v
		}
	}
	return e.at(ExtensionPrefix + name)
}

// at returns the value at one path.
func (e *Event) at(path string) Value {
	var object bool
	for i := range e.Data {
		p := e.Data[i].Path
		if p == path {
			return e.Data[i].Value
		}
		object = object || Inside(p, path)
	}
	if object {
		return Value{Kind: JSON}
	}
	return Value{}
}

// Inside reports whether path leads into the object at outer.
func Inside(path, outer string) bool {
	return len(path) > len(outer) && path[len(outer)] == PathSeparator[0] && path[:len(outer)] == outer
}
