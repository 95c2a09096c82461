// Package csvtext has the one rule of texts in CSV, for every surface and
// command: a text of a user's must not be a formula to the spreadsheet that
// opens the file.
package csvtext

import "strings"

// Cell is a text as it stands in a cell: one that a spreadsheet would take for
// a formula is made plain by an apostrophe before it. Numbers need none.
func Cell(text string) string {
	if text != "" && strings.IndexByte("=+-@\t\r", text[0]) >= 0 {
		return "'" + text
	}
	return text
}

// Cells are texts as they stand in cells, in a list of its own.
func Cells(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = Cell(text)
	}
	return out
}
