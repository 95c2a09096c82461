package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"odometer/internal/intake"
	"odometer/internal/intake/pipeline"
	"odometer/internal/meter"
)

func (c *ingestCmd) combined() *intake.CombinedDecoder {
	return &intake.CombinedDecoder{Type: c.Type, Subject: c.Subject, SubjectField: c.SubjectField, AllowEmptySubject: c.AllowEmptySubject}
}

// columnMap says which column of a table becomes which part of its events.
type columnMap map[string]string

// Decode reads PART=COLUMN, or several with commas between them. A part that is
// given twice is an error: one of the two columns would be lost in silence.
func (m *columnMap) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("PART=COLUMN", &text); err != nil {
		return err
	}
	if text == "" {
		return errors.New("map: is empty")
	}
	if *m == nil {
		*m = columnMap{}
	}
	for _, entry := range kong.SplitEscaped(text, ',') {
		part, name, ok := strings.Cut(entry, "=")
		if !ok {
			return fmt.Errorf("map: %q: want PART=COLUMN", entry)
		}
		if _, given := (*m)[part]; given {
			return fmt.Errorf("map: %q is given twice", part)
		}
		(*m)[part] = name
	}
	return nil
}

// csv returns a new decoder for the file: it keeps its header.
func (c *ingestCmd) csv(name string) *intake.CSVDecoder {
	d := &intake.CSVDecoder{Map: c.Map, Type: c.Type, Subject: c.Subject, Source: c.Source, Time: intake.TimeFormat(c.TimeFormat), AllowEmptySubject: c.AllowEmptySubject}
	switch c.Delimiter {
	case "":
		d.Comma = intake.Comma(name)
	case `\t`:
		d.Comma = '\t'
	default:
		d.Comma = c.Delimiter[0]
	}
	if c.Zone != "" {
		d.Zone, _ = meter.LoadZone(c.Zone) // validate has tried it
	}
	return d
}

// decoder returns the decoder of one file, and its policy for text that was
// rewritten. lines returns the file's first ones, as many as it takes until
// enough says that they tell the format.
func (c *ingestCmd) decoder(name string, lines func(enough func([][]byte) bool) ([][]byte, error)) (intake.Decoder, intake.Policy, error) {
	format := intake.Format(c.Format)
	if format == "auto" {
		first, err := lines(func(lines [][]byte) bool {
			_, err := intake.Detect(name, lines)
			return err == nil
		})
		if err != nil {
			return nil, intake.Policy{}, err
		}
		if format, err = intake.Detect(name, first); err != nil {
			return nil, intake.Policy{}, err
		}
	}
	if err := c.fits(name, format); err != nil {
		return nil, intake.Policy{}, err
	}
	policy := intake.Policy{Fork: c.Rewritten == "count", Edit: c.Rewritten == "count"}
	switch format {
	case intake.NDJSON:
		return intake.NDJSONDecoder{}, policy, nil
	case intake.CSV:
		return c.csv(name), policy, nil
	}
	policy.Fork = policy.Fork || c.Rewritten == "auto"
	return c.combined(), policy, nil
}

// useless are the flags that a format has no use for, and why.
var useless = map[intake.Format]struct {
	flags []string
	why   string
}{
	intake.NDJSON: {[]string{"--map", "--tz", "--subject-field", "--type", "--subject", "--source", "--known-customers", "--allow-empty-subject"},
		"its lines are CloudEvents, sent as they are"},
	intake.CSV:      {[]string{"--subject-field"}, "name the column with --map subject=COLUMN"},
	intake.Combined: {[]string{"--map", "--tz"}, "an access log has fixed fields"},
}

// fits refuses a flag that a file's format has no use for, unless another file
// of the run may have: whoever gives it expects that it does something.
func (c *ingestCmd) fits(file string, format intake.Format) error {
	given := map[string]bool{"--map": len(c.Map) > 0, "--tz": c.Zone != "", "--subject-field": c.SubjectField != "",
		"--known-customers": c.KnownCustomers, "--allow-empty-subject": c.AllowEmptySubject,
		"--type": c.Type != "", "--subject": c.Subject != "", "--source": c.Source != ""}
	for _, flag := range useless[format].flags {
		forOthers := slices.ContainsFunc(c.Files, func(other string) bool {
			if other == file || c.Format != "auto" {
				return false
			}
			byName, err := intake.Detect(other, nil)
			return err != nil || !slices.Contains(useless[byName].flags, flag)
		})
		if given[flag] && !forOthers {
			return pipeline.SettingsError(fmt.Sprintf("%s does nothing for %s: %s", flag, format, useless[format].why))
		}
	}
	return nil
}
