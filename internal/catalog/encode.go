package catalog

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"
)

// YAML renders the document so that ParseDocument reads the same.
func (doc *Document) YAML() ([]byte, error) {
	var buf bytes.Buffer
	e := yaml.NewEncoder(&buf)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("render the document: %w", err)
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("render the document: %w", err)
	}
	return buf.Bytes(), nil
}
