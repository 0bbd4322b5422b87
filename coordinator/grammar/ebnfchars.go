package grammar

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// literal reads up to the closing quote.
func (p *ebnfParser) literal(start int) string {
	var b strings.Builder
	for p.err == nil {
		if p.at == len(p.text) || p.text[p.at] == '\n' {
			p.fail(start, "this text is not closed")
			break
		}
		if p.take(`"`) {
			break
		}
		b.WriteRune(p.char())
	}
	return b.String()
}

// class reads up to the closing bracket.
func (p *ebnfParser) class(start int) []runeRange {
	not := p.take("^")
	var rs []runeRange
	for p.err == nil && !p.take("]") {
		if p.at == len(p.text) {
			p.fail(start, "this class is not closed")
			break
		}
		at := p.at
		lo := p.char()
		hi := lo
		if strings.HasPrefix(p.rest(), "-") && !strings.HasPrefix(p.rest(), "-]") {
			p.at++
			if hi = p.char(); hi < lo {
				p.fail(at, "this range goes backwards")
			}
		}
		rs = append(rs, runeRange{lo, hi})
	}
	slices.SortFunc(rs, func(a, b runeRange) int { return int(a.lo) - int(b.lo) })
	if not {
		return except(anyRune, rs)
	}
	return rs
}

// char reads one character or escape.
func (p *ebnfParser) char() rune {
	if p.at == len(p.text) {
		p.fail(p.at, "the grammar ends inside a text or class")
		return 0
	}
	c, n := utf8.DecodeRuneInString(p.rest())
	p.at += n
	if c != '\\' {
		return c
	}
	at := p.at - 1
	if p.at == len(p.text) {
		p.fail(at, `nothing follows \`)
		return 0
	}
	c, n = utf8.DecodeRuneInString(p.rest())
	p.at += n
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case '\\', '"', '[', ']', '-', '^':
		return c
	case 'x':
		return p.hex(at, 2)
	case 'u':
		return p.hex(at, 4)
	case 'U':
		return p.hex(at, 8)
	}
	p.fail(at, `\%c is no escape`, c)
	return 0
}

func (p *ebnfParser) hex(at, digits int) rune {
	rest := p.rest()
	if len(rest) < digits {
		p.fail(at, "%d hexadecimal digits are expected here", digits)
		return 0
	}
	n, err := strconv.ParseUint(rest[:digits], 16, 32)
	if err != nil {
		p.fail(at, "%d hexadecimal digits are expected here", digits)
		return 0
	}
	p.at += digits
	if n > utf8.MaxRune || n >= surrogateMin && n <= surrogateMax {
		p.fail(at, "U+%04X is no character", n)
		return 0
	}
	return rune(n)
}
