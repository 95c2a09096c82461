package main

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table aligns lines whose cells end with tabs, as text/tabwriter does, by the
// columns that a terminal gives to characters: two to those of East Asian
// scripts and emoji, none to accents that combine.
type table struct {
	w     io.Writer
	right bool // cells end at the same column, else they begin there
	text  bytes.Buffer
}

const tableGap = 2 // columns between cells

func newTable(w io.Writer, right bool) *table { return &table{w: w, right: right} }

// Write takes lines. Texts of others go through shown first.
func (t *table) Write(p []byte) (int, error) { return t.text.Write(p) }

// Flush writes what was taken.
func (t *table) Flush() error {
	var widths []int
	lines := strings.SplitAfter(t.text.String(), "\n")
	t.text.Reset()
	for _, line := range lines {
		cells := strings.Split(line, "\t")
		for i, cell := range cells[:len(cells)-1] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(cell)+tableGap)
		}
	}
	var out bytes.Buffer
	for _, line := range lines {
		cells := strings.Split(line, "\t")
		for i, cell := range cells[:len(cells)-1] {
			gap := strings.Repeat(" ", widths[i]-columns(cell))
			if t.right {
				out.WriteString(gap + cell)
			} else {
				out.WriteString(cell + gap)
			}
		}
		out.WriteString(cells[len(cells)-1])
	}
	_, err := t.w.Write(out.Bytes())
	return err
}

// wideRunes take two columns: what Unicode's table of East Asian widths calls wide.
var wideRunes = [][2]rune{{0x1100, 0x115f}, {0x231a, 0x231b}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0xa4cf}, {0xa960, 0xa97c}, {0xac00, 0xd7a3},
	{0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff01, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}}

// columns is how many columns of a terminal a text takes.
func columns(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
			continue
		case isWide(r):
			n++
		}
		n++
	}
	return n
}

func isWide(r rune) bool {
	for _, span := range wideRunes {
		if r >= span[0] && r <= span[1] {
			return true
		}
	}
	return false
}

// shown is a text of somebody else's as a terminal may have it: control
// characters, which could move the cursor or set the title, what turns the
// direction of text, and anything else that cannot be seen are written out.
func shown(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteString(text[i : i+size])
		} else {
			quoted := strconv.Quote(text[i : i+size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}

// shownAll is shown of each text.
func shownAll(texts ...string) []any {
	out := make([]any, len(texts))
	for i, text := range texts {
		out[i] = shown(text)
	}
	return out
}
