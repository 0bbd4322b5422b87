package screen

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// widths counts columns without regard to the locale, as package lineedit does.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

// Cell is one field of a table.
type Cell struct {
	Text  string
	Style Style
	Right bool // aligned to the right, as numbers are
}

// Table aligns rows by the columns that their text takes on a screen (Hangul
// takes two), whatever the styles. Two blanks are between columns.
func Table(rows [][]Cell) string {
	var width []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], widths.StringWidth(c.Text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-widths.StringWidth(c.Text))
			if i > 0 {
				line.WriteString("  ")
			}
			if c.Right {
				line.WriteString(pad + c.Style.Paint(c.Text))
			} else {
				line.WriteString(c.Style.Paint(c.Text) + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
