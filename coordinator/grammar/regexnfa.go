package grammar

import (
	"regexp/syntax"
	"unicode"
)

// regexBuilder turns a parsed regular expression into states.
type regexBuilder struct {
	n    *nfa
	char charWriter
	// ecma: "." also stops at the line ends that only ECMAScript knows.
	ecma    bool
	problem string // what is not supported, if anything
}

func (b *regexBuilder) build(from int32, re *syntax.Regexp) int32 {
	n := b.n
	if n.full {
		return 0
	}
	sub := func(i int) part { return func(s int32) int32 { return b.build(s, re.Sub[i]) } }
	switch re.Op {
	case syntax.OpNoMatch:
		return n.state()
	case syntax.OpEmptyMatch:
		return from
	case syntax.OpLiteral:
		for _, c := range re.Rune {
			from = b.char(n, from, literalRanges(c, re.Flags&syntax.FoldCase != 0))
		}
		return from
	case syntax.OpCharClass:
		var rs []runeRange
		for i := 0; i+1 < len(re.Rune); i += 2 {
			rs = append(rs, runeRange{re.Rune[i], re.Rune[i+1]})
		}
		return b.char(n, from, rs)
	case syntax.OpAnyCharNotNL:
		not := []runeRange{{'\n', '\n'}}
		if b.ecma {
			not = []runeRange{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}
		}
		return b.char(n, from, except(anyRune, not))
	case syntax.OpAnyChar:
		return b.char(n, from, anyRune)
	case syntax.OpBeginText:
		return n.assert(from, arcBegin)
	case syntax.OpEndText:
		return n.assert(from, arcEnd)
	case syntax.OpCapture:
		return b.build(from, re.Sub[0])
	case syntax.OpStar:
		return n.star(from, sub(0))
	case syntax.OpPlus:
		return n.repeat(from, 1, -1, sub(0))
	case syntax.OpQuest:
		return n.optional(from, sub(0))
	case syntax.OpRepeat:
		return n.repeat(from, re.Min, re.Max, sub(0))
	case syntax.OpConcat:
		for _, s := range re.Sub {
			from = b.build(from, s)
		}
		return from
	case syntax.OpAlternate:
		parts := make([]part, len(re.Sub))
		for i := range re.Sub {
			parts[i] = sub(i)
		}
		return n.either(from, parts...)
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		b.problem = `word boundaries (\b, \B) are not supported`
	case syntax.OpBeginLine, syntax.OpEndLine:
		b.problem = "multi-line anchors are not supported"
	default:
		b.problem = "this construct is not supported: " + re.String()
	}
	return from
}

// literalRanges is a literal character, with the others of its case where that
// doesn't count.
func literalRanges(c rune, fold bool) []runeRange {
	rs := []runeRange{{c, c}}
	if fold {
		for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
			rs = append(rs, runeRange{f, f})
		}
	}
	return rs
}
