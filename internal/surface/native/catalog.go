package native

import (
	"bufio"
	"io"
	"net/http"
	"slices"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

var catalogOperations = []operation{
	{http.MethodGet, "/api/v1/catalog", nil, api.exportCatalog},
	{http.MethodPost, "/api/v1/catalog", []string{"dry_run", "prune", "effective"}, api.applyCatalog},
}

// yamlTypes are the media types of YAML: RFC 9512's and its forerunners.
var yamlTypes = []string{"application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml"}

// difference is what applying a document changed, or would change.
type difference struct {
	DryRun       bool             `json:"dry_run"`
	Organization any              `json:"organization"` // what it becomes; null = no change
	Meters       meterDifference  `json:"meters"`
	Changes      []catalog.Change `json:"changes"`
}

type meterDifference struct {
	Create []meter.Meter `json:"create"`
	Update []meter.Meter `json:"update"`
	Remove []string      `json:"remove"`
}

func differenceOf(d catalog.Diff, dryRun bool) difference {
	out := difference{DryRun: dryRun, Changes: orEmpty(d.Changes),
		Meters: meterDifference{orEmpty(d.Meters.Create), orEmpty(d.Meters.Update), orEmpty(d.Meters.Remove)}}
	if d.Organization != nil {
		out.Organization = d.Organization
	}
	return out
}

// orEmpty makes a list that is rendered as [], never as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// applyCatalog answers POST /api/v1/catalog with the difference.
func (a api) applyCatalog(x *httpserver.Exchange, q query) error {
	if t := contentType(x.Request); t != "" && t != "application/json" && !slices.Contains(yamlTypes, t) {
		return meter.Errorf(meter.KindUnsupported, "content type %.60q is not supported here: want application/yaml or application/json", t)
	}
	var o metering.ApplyOptions
	var err error
	if o.DryRun, err = q.flag("dry_run"); err != nil {
		return err
	}
	if o.Prune, err = q.flag("prune"); err != nil {
		return err
	}
	if o.Effective, err = q.time("effective"); err != nil {
		return err
	}
	body, err := x.Body()
	if err != nil {
		return err
	}
	d, err := a.service.Apply(x.Request.Context(), x.Principal, body, o)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, differenceOf(d, o.DryRun))
}

// exportBuffer is how much of an export is sent at once.
const exportBuffer = 64 << 10

// exportCatalog answers GET /api/v1/catalog: all that an organization has, but for its keys.
func (a api) exportCatalog(x *httpserver.Exchange, _ query) error {
	write, media := catalog.WriteJSON, "application/json"
	if prefers(x.Request.Header, yamlTypes...) {
		media = "application/yaml"
		write = func(w io.Writer, walk catalog.Walk) error {
			return catalog.WriteYAML(w, walk, catalog.DefaultDocumentLimits())
		}
	}
	return a.service.Export(x.Request.Context(), x.Principal, func(walk catalog.Walk) error {
		x.Header().Set("Content-Type", media)
		x.Header().Set("Cache-Control", "no-store")
		w := bufio.NewWriterSize(x, exportBuffer)
		if err := write(w, walk); err != nil {
			return err
		}
		return w.Flush()
	})
}
