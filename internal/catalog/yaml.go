package catalog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
)

// parseYAML returns the root of the one document that a text holds, nil if it is empty.
func parseYAML(ctx context.Context, text []byte) (*yaml.Node, error) {
	// The reader of YAML builds nodes of 150 bytes and more before anybody can
	// count them, so they are counted beforehand.
	if n := yamlNodes(text); n > maxDocumentNodes {
		return nil, meter.Errorf(meter.KindTooLarge, "the document has about %d values and names, more than %d", n, maxDocumentNodes)
	}
	dec := yaml.NewDecoder(untilDone(ctx, bytes.NewReader(text)))
	var root, more yaml.Node
	err := dec.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if gone := gone(ctx); gone != nil {
		return nil, gone
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

// untilDone reads until nobody waits any more.
func untilDone(ctx context.Context, from io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return from.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// yamlNodes is about how many values and names a YAML text has, counted by the
// characters that set them apart: a colon for a name and its value, a dash, a
// comma or a bracket for an item. It is below the number by no more than half,
// and above it where texts hold such characters followed by a space.
func yamlNodes(text []byte) int {
	nodes := 1
	for i, c := range text {
		switch c {
		case '[', '{', ',':
			nodes++
		case ':', '-', '?':
			if i+1 < len(text) && !separates(text[i+1]) && (c != ':' || !quotes(text, i)) {
				continue // inside of a word, a time or a number
			}
			if nodes++; c == ':' {
				nodes++
			}
		}
	}
	return nodes
}

// separates says whether a colon or dash in front of c stands for itself.
func separates(c byte) bool { return strings.IndexByte(" \t\r\n,[]{}", c) >= 0 }

// quotes says whether the colon at i is behind a quoted name or a bracket, where it needs no space.
func quotes(text []byte, i int) bool { return i > 0 && strings.IndexByte("\"'}]", text[i-1]) >= 0 }
