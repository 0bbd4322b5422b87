package grammar

import (
	"errors"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// CompileRegex compiles a regular expression in RE2's syntax
// (https://github.com/google/re2/wiki/Syntax). The whole text has to match, as if the
// pattern stood between ^(?: and )$. \d, \w and \s are ASCII; \p{Hangul} and other
// Unicode classes are there. Word boundaries and multi-line anchors are refused, as
// are look-around and back-references, which RE2 has not.
func CompileRegex(pattern string) (*Grammar, error) {
	bud := newBudget()
	a, err := compilePattern(bud, pattern, patternOptions{char: rawChar})
	if err != nil {
		return nil, err
	}
	g := link([]rule{{name: "regex", body: a}}, 0)
	if g == nil {
		return nil, problemAt("1:1", "no text matches this pattern")
	}
	return g, nil
}

type patternOptions struct {
	char charWriter
	ecma bool
	// search: the match may be anywhere in the text.
	search bool
}

// compilePattern makes the automaton of the texts that match. Its errors are
// SyntaxErrors with a place in the pattern.
func compilePattern(bud *budget, pattern string, o patternOptions) (*automaton, error) {
	if len(pattern) > maxPatternBytes {
		return nil, problemAt("1:1", "the pattern is longer than %d bytes", maxPatternBytes)
	}
	if !utf8.ValidString(pattern) {
		return nil, problemAt("1:1", "the pattern is not valid UTF-8")
	}
	source := pattern
	if o.ecma {
		var err error
		if source, err = ecmaToRE2(pattern); err != nil {
			return nil, err
		}
	}
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, regexProblem(pattern, err)
	}
	n := newNFA(bud)
	b := &regexBuilder{n: n, char: o.char, ecma: o.ecma}
	start := n.state()
	at := start
	anything := func(from int32) int32 {
		return n.star(from, func(s int32) int32 { return o.char(n, s, anyRune) })
	}
	if o.search && !anchored(re, syntax.OpBeginText) {
		at = anything(at)
	}
	at = b.build(at, re)
	if o.search && !anchored(re, syntax.OpEndText) {
		at = anything(at)
	}
	if b.problem != "" {
		return nil, problemAt("1:1", "%s", b.problem)
	}
	a, err := determinize(n, start, at)
	if err != nil {
		return nil, problemAt("1:1", "the pattern is %v", err)
	}
	return a.trim(), nil
}

// anchored says whether a pattern plainly begins (or ends) with an anchor, so that
// nothing can stand before (or behind) its match.
func anchored(re *syntax.Regexp, anchor syntax.Op) bool {
	switch re.Op {
	case anchor:
		return true
	case syntax.OpCapture:
		return anchored(re.Sub[0], anchor)
	case syntax.OpConcat:
		if anchor == syntax.OpBeginText {
			return anchored(re.Sub[0], anchor)
		}
		return anchored(re.Sub[len(re.Sub)-1], anchor)
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if !anchored(s, anchor) {
				return false
			}
		}
		return true
	}
	return false
}

// regexProblem finds the place of a parser's complaint: it names the piece of the
// pattern that it is about.
func regexProblem(pattern string, err error) error {
	var e *syntax.Error
	if !errors.As(err, &e) {
		return problemAt("1:1", "%v", err)
	}
	at := strings.Index(pattern, e.Expr)
	switch {
	case e.Code == syntax.ErrMissingParen && e.Expr == pattern:
		at = strings.IndexByte(pattern, '(')
	case at < 0:
		at = 0
	}
	text := e.Code.String()
	if e.Expr != "" && e.Expr != pattern {
		text += ": " + e.Expr
	}
	return problemAt(lineColumn(pattern, at), "%s", text)
}
