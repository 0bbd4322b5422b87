package grammar

import (
	"fmt"
	"slices"
)

// object builds the objects of a conjunction: the declared members in order, then
// others. Its states are how far in that order it is, and, where the number of members
// is limited, how many there are.
func (c *schemaCompiler) object(n *nfa, from int32, f *flat) int32 {
	s := c.objectSpec(f)
	end := n.state()
	if c.err != nil {
		return end
	}
	more := c.otherMembers(f, &s)
	b := &objectBuilder{c: c, n: n, s: &s, more: more, last: len(s.names)}
	if s.max < unbounded {
		b.top = s.max
	} else {
		b.top = s.min
	}
	if len(more) > 0 && s.min > 1 && s.min > len(s.required) {
		c.fail(f.at, "minProperties of more than 1, where names are free, is not supported: they might repeat")
	}
	if b.top < 0 || (b.last+1)*(b.top+1) > maxObjectStates {
		c.fail(f.at, "this object has too many states: fewer properties, or a lower minProperties or maxProperties")
	}
	if c.err != nil {
		return end
	}
	b.mustFrom = make([]bool, b.last+1)
	for i := b.last - 1; i >= 0; i-- {
		b.mustFrom[i] = b.mustFrom[i+1] || s.required[s.names[i]]
	}
	b.build(from, end)
	return end
}

type objectBuilder struct {
	c    *schemaCompiler
	n    *nfa
	s    *objectSpec
	more []otherMember
	last int // number of declared names
	top  int // greatest count of members told apart
	// mustFrom[i]: one of the names from i on is required.
	mustFrom    []bool
	want, after [][]int32 // by names done and members so far: before one, after one
}

func (b *objectBuilder) build(from, end int32) {
	n, c := b.n, b.c
	for _, grid := range []*[][]int32{&b.want, &b.after} {
		*grid = make([][]int32, b.last+1)
		for i := range *grid {
			(*grid)[i] = make([]int32, b.top+1)
			for k := range (*grid)[i] {
				(*grid)[i][k] = n.state()
			}
		}
	}
	open := n.bytes(from, '{', '{')
	if b.mayEnd(0, 0) {
		n.empty(n.bytes(open, '}', '}'), end)
	}
	n.empty(c.around(n, open), b.want[0][0])
	shut := n.state()
	n.empty(n.bytes(c.around(n, shut), '}', '}'), end)
	for i := range b.want {
		for k := range b.want[i] {
			if n.full || c.err != nil {
				return
			}
			b.member(i, k)
			if b.mayEnd(i, k) {
				n.empty(b.after[i][k], shut)
			}
			if i < b.last || len(b.more) > 0 {
				n.empty(c.around(n, n.bytes(b.after[i][k], ',', ',')), b.want[i][k])
			}
		}
	}
}

func (b *objectBuilder) mayEnd(i, k int) bool { return !b.mustFrom[i] && k >= b.s.min }

// member builds the next member where i names are done and k members are there.
func (b *objectBuilder) member(i, k int) {
	n, c := b.n, b.c
	then := k + 1
	if then > b.top {
		if then = b.top; b.s.max < unbounded {
			then = -1
		}
	}
	if i < b.last {
		name := b.s.names[i]
		if then >= 0 && c.nameFits(b.s.keys, name) {
			at := n.text(b.want[i][k], string(appendJSONString(nil, name)))
			n.empty(c.value(n, c.colon(n, at), b.s.member(name)), b.after[i+1][then])
		}
		if !b.s.required[name] {
			n.empty(b.want[i][k], b.want[i+1][k])
		}
		return
	}
	for _, m := range b.more {
		if then >= 0 {
			n.empty(c.value(n, c.colon(n, n.call(b.want[i][k], m.name)), m.value), b.after[i][then])
		}
	}
}

// otherMember is a kind of member beyond the declared ones.
type otherMember struct {
	name  int32 // rule
	value conjunction
}

func (c *schemaCompiler) otherMembers(f *flat, s *objectSpec) []otherMember {
	var patterns []namePattern
	for _, p := range s.parts {
		for _, q := range p.patterns {
			if !slices.ContainsFunc(patterns, func(r namePattern) bool { return r.text == q.text }) {
				patterns = append(patterns, q)
			}
		}
	}
	var out []otherMember
	add := func(pattern string, names *automaton) {
		value := s.beyond(pattern)
		if value.never() || names == nil {
			return
		}
		if pattern == "" && len(patterns)+len(s.names)+len(s.keys) == 0 {
			out = append(out, otherMember{c.anyString(), value})
			return
		}
		names = c.without(f.at, names, c.literals(s.names))
		if len(s.keys) > 0 {
			names = c.both(f.at, names, c.nameContent(s.keys))
		}
		if names == nil || names.empty() {
			return
		}
		key := fmt.Sprintf("names %q %s %q", pattern, s.keys.key(), s.names)
		for _, p := range patterns {
			key += fmt.Sprintf(" %q", p.text)
		}
		rule := c.define(key, f.at, func(n *nfa, from int32) int32 {
			return n.bytes(n.embed(n.bytes(from, '"', '"'), names), '"', '"')
		})
		out = append(out, otherMember{rule, value})
	}
	for i, p := range patterns {
		for _, q := range patterns[:i] {
			if both := c.both(p.at, p.names, q.names); both != nil && !both.empty() {
				c.fail(p.at, "this pattern and %q match the same names, which is not supported", q.text)
				return nil
			}
		}
		add(p.text, p.names)
	}
	if s.open {
		rest := c.pattern(stringPattern{search: true, at: f.at})
		for _, p := range patterns {
			rest = c.without(f.at, rest, p.names)
		}
		add("", rest)
	}
	return out
}

// literals is the language of the given contents, or nil if there are none.
func (c *schemaCompiler) literals(list []string) *automaton {
	if len(list) == 0 {
		return nil
	}
	n := newNFA(c.bud)
	start, end := n.state(), n.state()
	for _, s := range list {
		n.empty(n.text(start, jsonContent(s)), end)
	}
	a, err := determinize(n, start, end)
	if err != nil {
		c.fail("#", "the names of properties are %v", err)
	}
	return a
}

func (c *schemaCompiler) without(at string, a, b *automaton) *automaton {
	if a == nil || b == nil {
		return a
	}
	out, err := subtract(c.bud, a, b)
	if err != nil {
		c.fail(at, "the names of properties are %v", err)
	}
	return out
}

func (c *schemaCompiler) both(at string, a, b *automaton) *automaton {
	if a == nil || b == nil {
		return nil
	}
	out, err := intersect(c.bud, a, b)
	if err != nil {
		c.fail(at, "the names of properties are %v", err)
	}
	return out
}
