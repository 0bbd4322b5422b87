package lineedit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
	"golang.org/x/text/unicode/norm"
)

// line is a text being edited, perhaps of several lines.
//
// Invariant: at is a cluster boundary of text.
type line struct {
	text string
	at   int // the cursor, in bytes
}

// insert puts s before the cursor. The characters that touch are composed (NFC):
// jamo become syllables, as an input method would have sent them.
func (l *line) insert(s string) {
	from := prevBoundary(l.text, l.at)
	before := l.text[:from] + norm.NFC.String(l.text[from:l.at]+clean(s))
	l.text = before + l.text[l.at:]
	l.at = snap(l.text, len(before))
}

// clean leaves of a pasted text what belongs in a message: no control
// characters but tabs and line breaks, which become "\n".
func clean(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}

// remove cuts out the bytes between two boundaries and returns them. What then
// touches may be one cluster, so the cursor is put on a boundary again.
func (l *line) remove(from, to int) string {
	cut := l.text[from:to]
	l.text = l.text[:from] + l.text[to:]
	l.at = snap(l.text, from)
	return cut
}

// lineStart and lineEnd are the ends of the line that the cursor is in.
func (l *line) lineStart() int { return strings.LastIndexByte(l.text[:l.at], '\n') + 1 }

func (l *line) lineEnd() int {
	if i := strings.IndexByte(l.text[l.at:], '\n'); i >= 0 {
		return l.at + i
	}
	return len(l.text)
}

// wordLeft and wordRight are the ends of a word: a run of letters, digits and
// marks.
func (l *line) wordLeft() int {
	at := l.at
	for inWord := false; at > 0; {
		prev := prevBoundary(l.text, at)
		if isWord(l.text[prev:]) {
			inWord = true
		} else if inWord {
			break
		}
		at = prev
	}
	return at
}

func (l *line) wordRight() int {
	at := l.at
	for inWord := false; at < len(l.text); {
		if isWord(l.text[at:]) {
			inWord = true
		} else if inWord {
			break
		}
		at = nextBoundary(l.text, at)
	}
	return at
}

func isWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// vertical moves the cursor to the line above (-1) or below (+1), to the same
// column or the line's end. It reports whether there is such a line.
func (l *line) vertical(dir int) bool {
	start, end := l.lineStart(), l.lineEnd()
	column := Width(l.text[start:l.at])
	var to line
	switch {
	case dir < 0 && start > 0:
		to = line{l.text, start - 1}
	case dir > 0 && end < len(l.text):
		to = line{l.text, end + 1}
	default:
		return false
	}
	from := to.lineStart()
	l.at = from + prefix(l.text[from:to.lineEnd()], column)
	return true
}

// prefix is how many bytes of s take at most the given columns.
func prefix(s string, columns int) int {
	for g := graphemes.FromString(s); g.Next(); {
		if columns -= clusterWidth(g.Value()); columns < 0 {
			return g.Start()
		}
	}
	return len(s)
}
