package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// ApplyOptions say how a catalog document is applied.
type ApplyOptions struct {
	DryRun    bool      // only tell the difference
	Prune     bool      // remove what the document does not have
	Effective time.Time // from when changes hold; zero = now
}

// Difference is what applying a document changed, or would change.
type Difference struct {
	DryRun       bool                  `json:"dry_run"`
	Organization *OrganizationSettings `json:"organization"` // what it becomes; nil = no change
	Meters       struct {
		Create []Meter  `json:"create"`
		Update []Meter  `json:"update"`
		Remove []string `json:"remove"` // keys
	} `json:"meters"`
	Changes []Change `json:"changes"` // of nouns, in the order in which they are made
}

// OrganizationSettings is what a document says of its organization.
type OrganizationSettings struct {
	ID                string `json:"id,omitempty"`
	Name              string `json:"name,omitempty"`
	CustomerAttribute string `json:"customer_attribute,omitempty"`
	AssignTime        *bool  `json:"assign_time,omitempty"` // whether events without a time are taken
}

// Change is what happens to one noun of the catalog.
type Change struct {
	Action   string          `json:"action"` // create, update or delete
	Noun     string          `json:"noun"`
	Customer string          `json:"customer"` // "" for what is no customer's own
	ID       string          `json:"id"`
	Before   json.RawMessage `json:"before"` // nil where it is created
	After    json.RawMessage `json:"after"`  // nil where it is removed
}

// Empty says whether nothing changes.
func (d *Difference) Empty() bool {
	return d.Organization == nil && len(d.Meters.Create)+len(d.Meters.Update)+len(d.Meters.Remove)+len(d.Changes) == 0
}

const catalogPath = "/api/v1/catalog"

// compressFrom is the size from which a document is compressed on its way.
const compressFrom = 64 << 10

// Apply makes the organization's catalog what a document (YAML or JSON)
// says, all or nothing. Applying it again changes nothing, so it is repeated
// when the outcome is unknown; the difference is then of the last attempt. An
// Error of kind Invalid names the document's lines.
func (c *Client) Apply(ctx context.Context, document []byte, o ApplyOptions) (*Difference, error) {
	k := call{method: http.MethodPost, path: catalogPath, query: url.Values{}, body: document,
		header: map[string]string{"Content-Type": "application/yaml"}}
	for name, set := range map[string]bool{"dry_run": o.DryRun, "prune": o.Prune} {
		if set {
			k.query.Set(name, "true")
		}
	}
	setTime(k.query, "effective", o.Effective)
	if len(document) >= compressFrom {
		var err error
		if k.body, err = Gzip.compress(document); err != nil {
			return nil, fmt.Errorf("odometer: cannot compress the document: %w", err)
		}
		k.header["Content-Encoding"] = string(Gzip)
	}
	d := new(Difference)
	if err := c.do(ctx, k, d); err != nil {
		return nil, err
	}
	return d, nil
}

// Export returns the organization's catalog as YAML that Apply reproduces
// exactly, here or in another organization. Keys are no part of it. What is
// larger than one document is several, see ExportTo.
func (c *Client) Export(ctx context.Context) ([]byte, error) {
	return c.try(ctx, call{method: http.MethodGet, path: catalogPath, header: map[string]string{"Accept": "application/yaml"}})
}

// ExportTo writes what Export returns as it arrives, however large it is: a
// catalog over the limits of a document comes as several, each of which begins
// after a line ---, to be applied in their order. It is not
// repeated once the catalog begins to arrive.
func (c *Client) ExportTo(ctx context.Context, w io.Writer) error {
	k := call{method: http.MethodGet, path: catalogPath, header: map[string]string{"Accept": "application/yaml"}}
	var resp *http.Response
	err := c.repeat(ctx, k, func() (err error) {
		if resp, err = c.send(ctx, k); err != nil || resp.StatusCode < 300 {
			return err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("odometer: the answer broke off: %w", err)
		}
		return errorOf(resp, answer)
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("odometer: the catalog was not exported to its end: %w", err)
	}
	return nil
}
