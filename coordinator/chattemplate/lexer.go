package chattemplate

import "strings"

// lexer cuts a template into tokens. Outside of tags it looks for the next tag;
// which white space around tags goes is decided here:
//
//	{%- and -%}      take all white space on their side
//	{% at the start of a line takes the blanks before it (lstrip_blocks)
//	%} at the end of a line takes the line end (trim_blocks)
//	{%+ and +%}      switch these two off
//
// Comments do as statements do, prints only as they are told.
type lexer struct {
	src       string
	pos       int
	line      int
	lineStart bool // the token before ended a line, or there was none
	tokens    []token
}

func lex(source string) []token {
	l := &lexer{src: normalizeSource(source), line: 1, lineStart: true}
	for l.pos < len(l.src) {
		l.data()
	}
	l.emit(tokEOF, "")
	return l.tokens
}

func (l *lexer) emit(kind tokenKind, text string) {
	l.tokens = append(l.tokens, token{kind: kind, text: text, line: l.line})
}

// advance moves over n bytes, counting lines.
func (l *lexer) advance(n int) {
	if n == 0 {
		return
	}
	s := l.src[l.pos : l.pos+n]
	l.line += strings.Count(s, "\n")
	l.lineStart = s[n-1] == '\n'
	l.pos += n
}

func (l *lexer) rest() string { return l.src[l.pos:] }

// data takes the text up to the next tag, and the tag.
func (l *lexer) data() {
	i := tagIndex(l.rest())
	if i < 0 {
		l.emit(tokData, l.rest())
		l.advance(len(l.rest()))
		return
	}
	kind := l.src[l.pos+i+1]
	open, sign := 2, byte(0)
	if after := l.src[l.pos+i+2:]; after != "" && (after[0] == '-' || after[0] == '+') {
		open, sign = 3, after[0]
	}
	l.text(i, sign, kind != '{')
	switch kind {
	case '#':
		l.advance(open)
		l.comment()
	case '{':
		l.emit(tokVarBegin, "{{")
		l.advance(open)
		l.tag("}}", tokVarEnd)
	default:
		if n := rawOpenLen(l.rest()[open:]); n > 0 {
			l.advance(open + n)
			l.raw()
			return
		}
		l.emit(tokBlockBegin, "{%")
		l.advance(open)
		l.tag("%}", tokBlockEnd)
	}
}

// text emits the n bytes before a tag, without the white space that the tag takes.
func (l *lexer) text(n int, sign byte, lstrip bool) {
	s := l.rest()[:n]
	switch {
	case sign == '-':
		s = trimSpaceRight(s)
	case sign != '+' && lstrip:
		from := strings.LastIndexByte(s, '\n') + 1
		if (from > 0 || l.lineStart) && trimSpaceRight(s[from:]) == "" {
			s = s[:from]
		}
	}
	if s != "" {
		l.emit(tokData, s)
	}
	l.advance(n)
}

func tagIndex(s string) int {
	for i := 0; ; i++ {
		n := strings.IndexByte(s[i:], '{')
		if n < 0 || i+n+1 >= len(s) {
			return -1
		}
		i += n
		if c := s[i+1]; c == '%' || c == '{' || c == '#' {
			return i
		}
	}
}

// closeLen is the length of a tag's end at the start of s, with the white space it
// takes along, or 0.
func closeLen(s, end string, trim bool) int {
	switch {
	case strings.HasPrefix(s, "-"+end):
		n := 1 + len(end)
		return n + spaceLen(s[n:])
	case trim && strings.HasPrefix(s, "+"+end):
		return 1 + len(end)
	case strings.HasPrefix(s, end):
		n := len(end)
		if trim && strings.HasPrefix(s[n:], "\n") {
			n++
		}
		return n
	}
	return 0
}

func (l *lexer) comment() {
	s := l.rest()
	for i := range s {
		if n := closeLen(s[i:], "#}", true); n > 0 {
			l.advance(i)
			l.advance(n)
			return
		}
	}
	failAt(l.line, "missing end of comment tag")
}

// rawOpenLen is the length of " raw %}" behind "{%", or 0.
func rawOpenLen(s string) int {
	n := spaceLen(s)
	if !strings.HasPrefix(s[n:], "raw") {
		return 0
	}
	n += 3
	n += spaceLen(s[n:])
	end := closeLen(s[n:], "%}", false)
	if end == 0 {
		return 0
	}
	return n + end
}

// raw takes the text up to {% endraw %} as it stands.
func (l *lexer) raw() {
	s := l.rest()
	for i := 0; i < len(s); i++ {
		if !strings.HasPrefix(s[i:], "{%") {
			continue
		}
		n, sign := i+2, byte(0)
		if n < len(s) && (s[n] == '-' || s[n] == '+') {
			sign = s[n]
			n++
		}
		n += spaceLen(s[n:])
		if !strings.HasPrefix(s[n:], "endraw") {
			continue
		}
		n += len("endraw")
		n += spaceLen(s[n:])
		if end := closeLen(s[n:], "%}", true); end > 0 {
			l.text(i, sign, true)
			l.advance(n - i)
			l.advance(end)
			return
		}
	}
	failAt(l.line, "missing end of raw directive")
}
