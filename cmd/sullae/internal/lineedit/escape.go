package lineedit

import (
	"fmt"
	"strings"
)

// What is written to control the terminal (ECMA-48, and XTerm's bracketed
// paste).
const (
	hideCursor  = "\x1b[?25l"
	showCursor  = "\x1b[?25h"
	clearBelow  = "\x1b[J"
	clearScreen = "\x1b[H\x1b[2J"
	resetStyle  = "\x1b[0m"
	pasteOn     = "\x1b[?2004h"
	pasteOff    = "\x1b[?2004l"
)

func up(b *strings.Builder, n int) {
	if n > 0 {
		fmt.Fprintf(b, "\x1b[%dA", n)
	}
}

func right(b *strings.Builder, n int) {
	if n > 0 {
		fmt.Fprintf(b, "\x1b[%dC", n)
	}
}
