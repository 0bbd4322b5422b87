package chattemplate

import (
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tag takes the tokens of an expression or statement up to its end. Inside
// brackets an end is no end: {{ {"a": {}} }} has braces of its own.
func (l *lexer) tag(end string, kind tokenKind) {
	var open []byte
	for {
		l.advance(spaceLen(l.rest()))
		s := l.rest()
		if s == "" {
			failAt(l.line, "unexpected end of template, expected %q", end)
		}
		if len(open) == 0 {
			if n := closeLen(s, end, kind == tokBlockEnd); n > 0 {
				l.emit(kind, end)
				l.advance(n)
				return
			}
		}
		switch c := s[0]; {
		case '0' <= c && c <= '9':
			l.number(s)
		case c == '\'' || c == '"':
			l.str(s)
		case isNameStart(s):
			n := nameLen(s)
			l.emit(tokName, s[:n])
			l.advance(n)
		default:
			op := operatorAt(s)
			if op == "" {
				r, _ := utf8.DecodeRuneInString(s)
				failAt(l.line, "unexpected char %q", string(r))
			}
			open = l.balance(open, op)
			l.emit(tokOp, op)
			l.advance(len(op))
		}
	}
}

func (l *lexer) balance(open []byte, op string) []byte {
	switch op {
	case "(":
		return append(open, ')')
	case "[":
		return append(open, ']')
	case "{":
		return append(open, '}')
	case ")", "]", "}":
		if len(open) == 0 {
			failAt(l.line, "unexpected %q", op)
		}
		if want := open[len(open)-1]; op[0] != want {
			failAt(l.line, "unexpected %q, expected %q", op, string(want))
		}
		return open[:len(open)-1]
	}
	return open
}

func operatorAt(s string) string {
	if len(s) >= 2 {
		switch s[:2] {
		case "//", "**", "==", "!=", ">=", "<=":
			return s[:2]
		}
	}
	if strings.IndexByte("+-/*%~[](){}<>=.:|,;", s[0]) >= 0 {
		return s[:1]
	}
	return ""
}

func isNameStart(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '_' || unicode.IsLetter(r)
}

func nameLen(s string) int {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			return i
		}
	}
	return len(s)
}

// number takes an integer or a float. A dot makes a float only with digits behind
// it, and not behind another dot: x.0.1 asks for elements.
func (l *lexer) number(s string) {
	n := digitsLen(s, "0123456789")
	float := false
	if len(s) > 1 && s[0] == '0' && strings.IndexByte("xXoObB", s[1]) >= 0 {
		if d := digitsLen(s[2:], "0123456789abcdefABCDEF"); d > 0 {
			n = 2 + d
		}
	} else if l.pos == 0 || l.src[l.pos-1] != '.' {
		if strings.HasPrefix(s[n:], ".") {
			if d := digitsLen(s[n+1:], "0123456789"); d > 0 {
				n, float = n+1+d, true
			}
		}
		if e := exponentLen(s[n:]); e > 0 {
			n, float = n+e, true
		}
	}
	if n > maxNumberLen {
		failAt(l.line, "number of %d digits is too long", n)
	}
	text := strings.ReplaceAll(s[:n], "_", "")
	t := token{kind: tokNumber, text: s[:n], line: l.line}
	if float {
		f, _ := strconv.ParseFloat(text, 64) // out of range is inf, as in Python
		t.value = f
	} else if len(text) > 1 && text[0] == '0' && strings.Trim(text, "0") != "" && isDigit(text[1]) {
		failAt(l.line, "number %q begins with zero", text)
	} else if i, ok := new(big.Int).SetString(strings.ToLower(text), base(text)); ok {
		t.value = normalizeInt(i)
	} else {
		failAt(l.line, "%q is not a number", text)
	}
	l.tokens = append(l.tokens, t)
	l.advance(n)
}

// base lets prefixes speak for themselves; without one 0 is no octal.
func base(text string) int {
	if len(text) > 1 && text[0] == '0' && !isDigit(text[1]) {
		return 0
	}
	return 10
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digitsLen counts digits with single underscores between.
func digitsLen(s, digits string) int {
	n := 0
	for n < len(s) {
		switch {
		case strings.IndexByte(digits, s[n]) >= 0:
			n++
		case s[n] == '_' && n > 0 && n+1 < len(s) && strings.IndexByte(digits, s[n+1]) >= 0:
			n += 2
		default:
			return n
		}
	}
	return n
}

func exponentLen(s string) int {
	if s == "" || s[0] != 'e' && s[0] != 'E' {
		return 0
	}
	n := 1
	if len(s) > 1 && (s[1] == '+' || s[1] == '-') {
		n++
	}
	d := digitsLen(s[n:], "0123456789")
	if d == 0 {
		return 0
	}
	return n + d
}

// str takes a quoted string.
func (l *lexer) str(s string) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			l.emit(tokString, l.unescape(s[1:i]))
			l.advance(i + 1)
			return
		}
	}
	failAt(l.line, "unexpected end of template in a string")
}

// simpleEscapes are Python's; a backslash and a line end are nothing.
var simpleEscapes = map[byte]string{
	'n': "\n", 't': "\t", 'r': "\r", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v",
	'\\': "\\", '\'': "'", '"': "\"", '\n': "",
}

func (l *lexer) unescape(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		c := s[i+1]
		s = s[i+2:]
		if plain, ok := simpleEscapes[c]; ok {
			b.WriteString(plain)
			continue
		}
		size := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		switch {
		case size > 0:
			if len(s) < size {
				failAt(l.line, "truncated \\%c escape", c)
			}
			code, err := strconv.ParseUint(s[:size], 16, 32)
			if err != nil || code > unicode.MaxRune || 0xD800 <= code && code < 0xE000 {
				failAt(l.line, "\\%c%s is no character", c, s[:size])
			}
			b.WriteRune(rune(code))
			s = s[size:]
		case c == 'N':
			failAt(l.line, "characters by name (\\N{...}) are not supported")
		case '0' <= c && c <= '7':
			n := 0
			for n < 2 && n < len(s) && '0' <= s[n] && s[n] <= '7' {
				n++
			}
			code, _ := strconv.ParseUint(string(c)+s[:n], 8, 32)
			b.WriteRune(rune(code))
			s = s[n:]
		default: // an unknown escape stays as written
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
}
