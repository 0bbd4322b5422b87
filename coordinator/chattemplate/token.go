package chattemplate

import (
	"strings"
	"unicode"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokData
	tokVarBegin
	tokVarEnd
	tokBlockBegin
	tokBlockEnd
	tokName
	tokString
	tokNumber
	tokOp
)

type token struct {
	kind  tokenKind
	text  string
	value value // of a number
	line  int
}

func (t token) is(kind tokenKind, text string) bool { return t.kind == kind && t.text == text }

// describe names a token for an error.
func (t token) describe() string {
	switch t.kind {
	case tokEOF:
		return "end of template"
	case tokData:
		return "template data"
	case tokVarBegin:
		return "begin of print statement"
	case tokVarEnd:
		return "end of print statement"
	case tokBlockBegin:
		return "begin of statement block"
	case tokBlockEnd:
		return "end of statement block"
	case tokString:
		return "string"
	}
	return t.text
}

// isPySpace is Python's white space, which has four control characters more than
// Unicode's.
func isPySpace(r rune) bool { return unicode.IsSpace(r) || 0x1C <= r && r <= 0x1F }

func trimSpaceRight(s string) string { return strings.TrimRightFunc(s, isPySpace) }

// spaceLen is the length of the white space that s begins with.
func spaceLen(s string) int { return len(s) - len(strings.TrimLeftFunc(s, isPySpace)) }

// normalizeSource makes every line end \n and drops the last one.
func normalizeSource(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	return strings.TrimSuffix(s, "\n")
}
