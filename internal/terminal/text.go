// Package terminal writes for people at terminals: text cut to columns, tables, durations, small curves. A character may
// take no column, one or two.
package terminal

import (
	"slices"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Width is the number of columns that text takes.
func Width(text string) int { return uniseg.StringWidth(text) }

// Clean replaces what could steer a terminal, or break a line, by question marks: names come from other people's
// folders and machines.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(text, "?"))
}

// Shorten cuts text to at most width columns. It leaves out the middle, because names begin and end with what tells
// them apart.
func Shorten(text string, width int) string {
	if Width(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	front := width / 2
	return Cut(text, front) + "…" + cutEnd(text, width-1-front)
}

// Cut is the beginning of text, of at most width columns.
func Cut(text string, width int) string {
	taken := 0
	for clusters := uniseg.NewGraphemes(text); clusters.Next(); {
		if taken += clusters.Width(); taken > width {
			from, _ := clusters.Positions()
			return text[:from]
		}
	}
	return text
}

// cutEnd is the end of text, of at most width columns.
func cutEnd(text string, width int) string {
	left := Width(text)
	for clusters := uniseg.NewGraphemes(text); left > width && clusters.Next(); {
		left -= clusters.Width()
		if _, to := clusters.Positions(); left <= width {
			return text[to:]
		}
	}
	return text
}

// Pad adds spaces to the end of text until it takes width columns.
func Pad(text string, width int) string { return text + strings.Repeat(" ", max(0, width-Width(text))) }

// Table lays cells out in columns with two spaces between them, as wide as the widest of each; nothing stands behind the
// last cell of a line. Column flexible, if there is one (else -1), is shortened so that a line takes at most width
// columns, but not to less than 8.
func Table(rows [][]string, flexible, width int) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	if flexible >= 0 && flexible < len(widths) {
		total := 2 * (len(widths) - 1)
		for _, w := range widths {
			total += w
		}
		widths[flexible] = min(widths[flexible], max(8, widths[flexible]-(total-width)))
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(Pad(Shorten(cell, widths[i]), widths[i]+2))
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return text.String()
}

// ShortNames cuts names to three letters, or as many as tell them apart, so that what is said of four tasks
// fits a line of 80 columns.
func ShortNames(names []string) []string {
	short := make([]string, len(names))
	for i, name := range names {
		length := min(3, len(name))
		for length < len(name) && slices.ContainsFunc(names, func(other string) bool {
			return other != name && strings.HasPrefix(other, name[:length])
		}) {
			length++
		}
		short[i] = name[:length]
	}
	return short
}
