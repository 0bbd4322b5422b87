package chattemplate

import (
	"strings"
	"time"
)

// state is one rendering.
type state struct {
	limits    Limits
	stepsLeft int
	bytesLeft int
	depth     int
	line      int // of the statement or expression at work
	scope     *scope
	out       *strings.Builder
	now       func() time.Time
}

// scope holds the names of a template, a loop's pass, a macro's call or a block.
// Reading goes outwards, assigning stays: Jinja's rule, and why namespace exists.
type scope struct {
	vars   map[string]value
	parent *scope
}

func (sc *scope) set(name string, v value) {
	if sc.vars == nil {
		sc.vars = map[string]value{}
	}
	sc.vars[name] = v
}

func (s *state) lookup(name string) value {
	for sc := s.scope; sc != nil; sc = sc.parent {
		if v, ok := sc.vars[name]; ok {
			return v
		}
	}
	return &undefined{"'" + name + "' is undefined"}
}

// inScope runs f with names of its own.
func (s *state) inScope(sc *scope, f func()) {
	outer := s.scope
	s.scope = sc
	f()
	s.scope = outer
}

// capture runs f and returns what it printed.
func (s *state) capture(f func()) string {
	outer := s.out
	s.out = &strings.Builder{}
	f()
	text := s.out.String()
	s.out = outer
	return text
}

func (s *state) print(text string) {
	s.spend(len(text))
	if s.out.Len()+len(text) > s.limits.OutputBytes {
		failf("output is longer than %d bytes", s.limits.OutputBytes)
	}
	s.out.WriteString(text)
}

// defined fails where v is undefined, with what is missing.
func (s *state) defined(v value) {
	if u, ok := v.(*undefined); ok {
		failf("%s", u.msg)
	}
}
