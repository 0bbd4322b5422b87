package grammar

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// stringSpec is what a conjunction asks of strings.
type stringSpec struct {
	min, max int // characters; max is unbounded where there is no limit
	patterns []stringPattern
	at       string
}

type stringPattern struct {
	text   string
	search bool // a keyword "pattern", which may match anywhere; else a format
	at     string
}

type patternKey struct {
	text   string
	search bool
}

func (c *schemaCompiler) stringSpec(f *flat) stringSpec {
	s := stringSpec{max: unbounded, at: f.at}
	for _, n := range f.bare {
		if lo, ok := c.count(n, "minLength"); ok {
			s.min = max(s.min, lo)
		}
		if hi, ok := c.count(n, "maxLength"); ok {
			s.max = min(s.max, hi)
		}
		if p := n.member("pattern"); p != nil {
			if p.kind != 's' {
				c.fail(p.at, "pattern must be a string, not %s", p.kindName())
			}
			s.patterns = append(s.patterns, stringPattern{p.text, true, p.at})
		}
		if text, ok := c.patternOf(n); ok {
			s.patterns = append(s.patterns, stringPattern{text, false, n.member("format").at})
		}
	}
	return s
}

// free says that the spec asks for nothing.
func (s *stringSpec) free() bool { return s.min == 0 && s.max == unbounded && len(s.patterns) == 0 }

func (s *stringSpec) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "string %d %d", s.min, s.max)
	for _, p := range s.patterns {
		fmt.Fprintf(&b, " %t %q", p.search, p.text)
	}
	return b.String()
}

// strings is the rule of a conjunction's strings.
func (c *schemaCompiler) strings(f *flat) int32 {
	s := c.stringSpec(f)
	if s.free() {
		return c.anyString()
	}
	return c.define(s.key(), s.at, func(n *nfa, from int32) int32 {
		from = n.bytes(from, '"', '"')
		if s.min > s.max {
			c.impossible(s.at, "minLength is above maxLength")
			return n.state()
		}
		char, lo, hi := builder(anyChar), s.min, s.max
		counts := len(s.patterns) == 0
		if len(s.patterns) == 1 {
			if class, least, most, ok := classLoop(s.patterns[0]); ok && max(lo, least) <= min(hi, most) {
				char, lo, hi, counts = class, max(lo, least), min(hi, most), true
			}
		}
		if counts {
			return n.counted(from, int32(lo), int32(hi),
				func(s int32) int32 { return char(n, s) },
				func(s int32) int32 { return n.bytes(s, '"', '"') })
		}
		a := c.content(&s)
		if a == nil {
			return n.state()
		}
		return n.bytes(n.embed(from, a), '"', '"')
	})
}

// content is the language of what may stand between the quotes, in jsonChar's form. It
// is nil after an error.
func (c *schemaCompiler) content(s *stringSpec) *automaton {
	var a *automaton
	for _, p := range s.patterns {
		b := c.pattern(p)
		if b == nil {
			return nil
		}
		if a == nil {
			a = b
			continue
		}
		var err error
		if a, err = intersect(c.bud, a, b); err != nil {
			c.fail(p.at, "together with the other patterns this is %v", err)
			return nil
		}
	}
	if a == nil {
		a = c.pattern(stringPattern{search: true, at: s.at})
	}
	if a != nil && (s.min > 0 || s.max < unbounded) {
		var err error
		if a, err = limitLength(c.bud, a, s.min, s.max); err != nil {
			c.fail(s.at, "pattern and length together are %v", err)
			return nil
		}
	}
	if a != nil && a.empty() {
		c.impossible(s.at, "no string has this pattern, format and length")
	}
	return a
}

// pattern is the language of one pattern's contents.
func (c *schemaCompiler) pattern(p stringPattern) *automaton {
	key := patternKey{p.text, p.search}
	if a := c.patterns[key]; a != nil {
		return a
	}
	a, err := compilePattern(c.bud, p.text, patternOptions{char: jsonChar, ecma: p.search, search: p.search})
	if err == nil {
		c.patterns[key] = a
		return a
	}
	var se *SyntaxError
	if errors.As(err, &se) {
		c.fail(p.at, "%s (at %s of the pattern)", se.Problem, se.Where)
	} else {
		c.fail(p.at, "%v", err)
	}
	return nil
}

// limitLength is the language of the texts, in jsonChar's form, of lo to hi characters:
// where that would be too many states, of fewer.
func limitLength(bud *budget, a *automaton, lo, hi int) (*automaton, error) {
	type state struct {
		at, length int32
		escape     uint8 // hexadecimal digits still to come, or backslash just after one
	}
	const backslash = 255
	if hi < unbounded {
		hi = max(lo, min(hi, maxLengthStates/len(a.states)))
	}
	var used byteSet
	for i := range a.states {
		for _, e := range a.states[i].bytes {
			used.addRange(e.lo, e.hi)
		}
	}
	var alphabet []byte
	for b := range 256 {
		if used.has(byte(b)) {
			alphabet = append(alphabet, byte(b))
		}
	}
	out, err := explore(bud, state{}, alphabet, func(s state, b byte) (state, bool) {
		s.at = a.next(s.at, b)
		switch {
		case s.escape == backslash:
			s.escape = 0
			if b == 'u' {
				s.escape = 4
			}
		case s.escape > 0:
			s.escape--
		case utf8.RuneStart(b):
			if s.length++; int(s.length) > hi {
				return s, false
			}
			if hi == unbounded {
				s.length = min(s.length, int32(lo))
			}
			if b == '\\' {
				s.escape = backslash
			}
		}
		return s, s.at >= 0
	}, func(s state) bool { return a.states[s.at].accept && int(s.length) >= lo })
	if err != nil {
		return nil, err
	}
	return out.trim(), nil
}

// admits says whether a string satisfies the spec.
func (c *schemaCompiler) admits(s *stringSpec, text string) bool {
	if n := utf8.RuneCountInString(text); n < s.min || n > s.max {
		return false
	}
	for _, p := range s.patterns {
		if a := c.pattern(p); a == nil || !a.matches(jsonContent(text)) {
			return false
		}
	}
	return true
}
