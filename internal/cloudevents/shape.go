package cloudevents

import (
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// A shape is the tree of the keys seen so far. Each key remembers which key
// followed it last time, with all bytes in between; where the next event
// repeats them, one comparison reads a comma, a key and a colon. The tree
// also finds duplicate keys and the column of each attribute.
type node struct {
	field    field
	path     []byte // of an attribute, keys joined with meter.PathSeparator
	children map[string]*node
	first    edge // to the first key inside
	next     edge // to the key after this one
	event    uint64

	attr       *block.Attr
	generation uint64 // of the builder that attr belongs to
}

// edge is an expectation. Glue is the JSON text from the end of the value
// before (or the opening brace) to the start of the value of node to. It was
// read in that place once, so it means the same whenever it is read there.
type edge struct {
	glue []byte
	to   *node
}

const (
	maxGlueBytes = 512  // longer keys are read without expectations
	maxNodes     = 8192 // keys remembered from event to event
)

// field is an attribute of the envelope that has a meaning here.
type field uint8

const (
	fieldNone field = iota // an attribute of the data
	fieldSpecVersion
	fieldID
	fieldSource
	fieldType
	fieldSubject
	fieldTime
	fieldContentType
	fieldData
	fieldDataBase64
	fieldExtension
)

var fieldNames = map[string]field{
	"specversion": fieldSpecVersion, "id": fieldID, "source": fieldSource, "type": fieldType, "subject": fieldSubject,
	"time": fieldTime, "datacontenttype": fieldContentType, "data": fieldData, "data_base64": fieldDataBase64,
}

// shape owns a tree of keys; the root is the envelope.
type shape struct {
	root  *node
	nodes int
}

// begin forgets the tree if it has grown past its bound. Called between
// events only: within one, the tree finds duplicate keys.
func (s *shape) begin() {
	if s.root == nil || s.nodes > maxNodes {
		s.root = &node{}
		s.nodes = 1
	}
}

// child returns the node of a key, making it if it is new.
func (s *shape) child(parent *node, key []byte) *node {
	if n := parent.children[string(key)]; n != nil {
		return n
	}
	n := &node{}
	switch {
	case parent == s.root:
		n.field = fieldExtension
		if f, ok := fieldNames[string(key)]; ok {
			n.field = f
		} else {
			n.path = append([]byte(meter.ExtensionPrefix), key...)
		}
	case parent.field == fieldData:
		n.path = append([]byte{}, key...)
	default:
		n.path = make([]byte, 0, len(parent.path)+1+len(key))
		n.path = append(append(append(n.path, parent.path...), meter.PathSeparator...), key...)
	}
	if parent.children == nil {
		parent.children = map[string]*node{}
	}
	parent.children[string(key)] = n
	s.nodes++
	return n
}
