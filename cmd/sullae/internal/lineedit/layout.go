package lineedit

import (
	"strings"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// frame is a text as rows of a screen.
type frame struct {
	rows     []string
	row, col int // the cursor
}

// layout breaks prompt and text into rows of at most width columns. A wide
// character that would be cut goes to the next row whole. Lines after the first
// begin with as many blanks as the prompt takes. A prompt that leaves no room is
// left out.
func layout(prompt, text string, at, width int) frame {
	width = max(width, 2) // room for one character
	indent := Width(prompt)
	if indent+2 > width {
		prompt, indent = "", 0
	}
	f := frame{}
	var row strings.Builder
	row.WriteString(prompt)
	col := indent
	end := func() {
		f.rows = append(f.rows, row.String())
		row.Reset()
		col = 0
	}
	for g := graphemes.FromString(text); g.Next(); {
		c := g.Value()
		w := clusterWidth(c)
		if c != "\n" && col+w > width {
			end()
		}
		if g.Start() == at {
			f.row, f.col = len(f.rows), col
		}
		switch c {
		case "\n":
			end()
			row.WriteString(strings.Repeat(" ", indent))
			col = indent
		case "\t":
			row.WriteString(strings.Repeat(" ", w))
			col += w
		default:
			row.WriteString(c)
			col += w
		}
	}
	if at == len(text) {
		// Behind a full row the cursor stands on the next one, where the next
		// character will be.
		if col >= width {
			end()
		}
		f.row, f.col = len(f.rows), col
	} else if f.col >= width { // before a line break, behind a full row
		f.col = width - 1
	}
	end()
	return f
}

// clip leaves the rows that a screen of some height can show, the cursor's among
// them.
func (f frame) clip(height int) frame {
	height = max(height, 1)
	if len(f.rows) <= height {
		return f
	}
	top := min(f.row, len(f.rows)-height)
	f.rows, f.row = f.rows[top:top+height], f.row-top
	return f
}

// above is how many rows of the screen lie above the cursor, after the screen
// has become width columns wide: terminals break the rows that no longer fit.
func (f frame) above(width int) int {
	width = max(width, 1)
	n := f.col / width
	for _, row := range f.rows[:min(f.row, len(f.rows))] {
		n += max(1, (Width(row)+width-1)/width)
	}
	return n
}

// draw is what to write to replace one frame, on a screen of some width, by
// another. style and reset go around the prompt.
func draw(old, now frame, width int, prompt, style string) string {
	var b strings.Builder
	b.WriteString(hideCursor)
	up(&b, old.above(width))
	b.WriteString("\r" + clearBelow)
	for i, row := range now.rows {
		if i > 0 {
			b.WriteString("\r\n")
		}
		if rest, ok := strings.CutPrefix(row, prompt); ok && i == 0 && style != "" {
			row = style + prompt + resetStyle + rest
		}
		b.WriteString(row)
	}
	up(&b, len(now.rows)-1-now.row)
	b.WriteByte('\r')
	right(&b, now.col)
	b.WriteString(showCursor)
	return b.String()
}
