package topview

import (
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/coordinator/status"
)

// fit paints cells side by side, as far as they fit.
func fit(cells []screen.Cell, width int) string {
	var b strings.Builder
	for _, c := range cells {
		text := strings.ReplaceAll(c.Text, "\n", " ")
		if w := runewidth.StringWidth(text); w > width {
			text = runewidth.Truncate(text, max(width, 0), "")
		}
		width -= runewidth.StringWidth(text)
		b.WriteString(c.Style.Paint(text))
	}
	return b.String()
}

// cut shortens a line that has styles to a width; styles take none.
func cut(line string, width int) string {
	var b strings.Builder
	styled := false
	for at := 0; at < len(line); {
		if line[at] == '\x1b' {
			end := strings.IndexByte(line[at:], 'm') + 1
			b.WriteString(line[at : at+end])
			styled = line[at:at+end] != "\x1b[0m"
			at += end
			continue
		}
		r := []rune(line[at:])[0]
		if width -= runewidth.RuneWidth(r); width < 0 {
			break
		}
		b.WriteRune(r)
		at += len(string(r))
	}
	if styled {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

func clip(lines []string, height int) []string { return lines[:min(len(lines), max(height, 0))] }

// bar shows a share.
func bar(part, whole, width int) string {
	full := 0
	if whole > 0 {
		full = min(width, (part*width+whole-1)/whole)
	}
	return "[" + strings.Repeat("|", full) + strings.Repeat(" ", width-full) + "]"
}

// phases shows where a rank's step goes, against the slowest's.
func phases(w status.Worker, slowest float64, width int) string {
	if slowest <= 0 {
		return strings.Repeat(" ", width)
	}
	cells := func(v float64) int { return int(v/slowest*float64(width) + .5) }
	compute := cells(w.ComputeMs)
	wire := cells(w.ComputeMs+max(w.WaitMs-w.BlockedMs, 0)) - compute
	wait := cells(w.ComputeMs+w.WaitMs) - compute - wire
	s := strings.Repeat("#", compute) + strings.Repeat("+", max(wire, 0)) + strings.Repeat(".", max(wait, 0))
	return s[:min(len(s), width)] + strings.Repeat(" ", max(width-len(s), 0))
}

var levels = []rune("▁▂▃▄▅▆▇█")

// spark draws values as a line of bars.
func spark(values []float64) string {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		i := 0
		if most > 0 {
			i = int(v / most * float64(len(levels)-1))
		}
		b.WriteRune(levels[i])
	}
	return b.String()
}
