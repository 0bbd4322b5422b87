package lineedit

import (
	"github.com/clipperhouse/uax29/v2/graphemes"
	"github.com/mattn/go-runewidth"
)

// tabColumns is what a tab takes; it is shown as blanks, without tab stops.
const tabColumns = 4

// columns counts a character's columns. It ignores the locale: terminals show
// characters of ambiguous width in one column also where the locale is Korean.
var columns = &runewidth.Condition{StrictEmojiNeutral: true}

// clusterWidth is the number of columns that one cluster takes.
func clusterWidth(cluster string) int {
	if cluster == "\t" {
		return tabColumns
	}
	width, flags := 0, 0
	for _, r := range cluster {
		switch {
		case r >= 0x1F1E6 && r <= 0x1F1FF: // a pair of regional indicators is a flag
			flags++
			width = max(width, flags)
		case r == 0xFE0F && width > 0: // asks for the emoji's form, which is wide
			width = 2
		default:
			width = max(width, columns.RuneWidth(r))
		}
	}
	return width
}

// Width is the number of columns that a text takes on one row.
func Width(s string) int {
	n := 0
	for g := graphemes.FromString(s); g.Next(); {
		n += clusterWidth(g.Value())
	}
	return n
}

// nextBoundary is the first cluster boundary after at, or the end.
func nextBoundary(s string, at int) int {
	for g := graphemes.FromString(s); g.Next(); {
		if g.End() > at {
			return g.End()
		}
	}
	return len(s)
}

// prevBoundary is the last cluster boundary before at, or 0. It looks from the
// start, since whether two flags or two joined emoji are one cluster depends on
// what comes before them.
func prevBoundary(s string, at int) int {
	prev := 0
	for g := graphemes.FromString(s); g.Next() && g.End() < at; {
		prev = g.End()
	}
	return prev
}

// snap is the first cluster boundary at or after at.
func snap(s string, at int) int {
	if at == 0 {
		return 0
	}
	return nextBoundary(s, at-1)
}
