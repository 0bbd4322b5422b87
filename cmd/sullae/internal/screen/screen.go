// Package screen says what a command may write where: colours and live output
// only on a terminal, and never a control character from a model or a server.
package screen

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Style is the escape sequence that begins a style, or "".
type Style string

// Palette is the styles for one stream. Its zero value has none.
type Palette struct{ Bold, Dim, Red, Green, Yellow Style }

// For is the palette of a stream: empty where it is no terminal, TERM is dumb, or
// NO_COLOR is set (https://no-color.org).
func For(w io.Writer) Palette {
	if !IsTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return Palette{}
	}
	return Palette{Bold: "\x1b[1m", Dim: "\x1b[2m", Red: "\x1b[31m", Green: "\x1b[32m", Yellow: "\x1b[33m"}
}

// Paint puts a text in the style.
func (s Style) Paint(text string) string {
	if s == "" || text == "" {
		return text
	}
	return string(s) + text + "\x1b[0m"
}

// Printable replaces the characters that would control a terminal, all but line
// breaks and tabs, by U+FFFD.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
