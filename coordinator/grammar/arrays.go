package grammar

// arraySpec is what a conjunction asks of arrays, by element.
type arraySpec struct {
	parts    []arrayPart
	prefix   int // elements that have schemas of their own
	min, max int
}

// arrayPart is one schema's say: for the first elements one by one, and for the rest.
type arrayPart struct {
	first []*jsonNode
	rest  *jsonNode // nil: nothing is said
}

func (c *schemaCompiler) arraySpec(f *flat) arraySpec {
	s := arraySpec{max: unbounded}
	said := false // something is said of the rest
	for _, n := range f.bare {
		if lo, ok := c.count(n, "minItems"); ok {
			s.min = max(s.min, lo)
		}
		if hi, ok := c.count(n, "maxItems"); ok {
			s.max = min(s.max, hi)
		}
		p := arrayPart{rest: n.member("items")}
		if first := n.member("prefixItems"); first != nil {
			if first.kind != '[' {
				c.fail(first.at, "prefixItems must be an array, not %s", first.kindName())
			}
			p.first = first.items
		} else if p.rest != nil && p.rest.kind == '[' { // draft 7
			p.first, p.rest = p.rest.items, n.member("additionalItems")
		}
		s.parts = append(s.parts, p)
		s.prefix = max(s.prefix, len(p.first))
		said = said || p.rest != nil
	}
	if s.prefix > 0 && !said && s.min <= s.prefix {
		s.max = min(s.max, s.prefix)
	}
	for i := 0; i <= s.prefix; i++ {
		for _, e := range s.element(i) {
			if e.node.kind == 'b' && !e.node.boolean {
				s.max = min(s.max, i)
			}
		}
	}
	return s
}

// element is what element i has to satisfy; all from prefix on are alike.
func (s *arraySpec) element(i int) conjunction {
	var cj conjunction
	for _, p := range s.parts {
		if i < len(p.first) {
			cj = append(cj, element{node: p.first[i]})
		} else if p.rest != nil {
			cj = append(cj, element{node: p.rest})
		}
	}
	return cj
}

func (c *schemaCompiler) array(n *nfa, from int32, f *flat) int32 {
	s := c.arraySpec(f)
	end := n.state()
	if s.min > s.max {
		c.impossible(f.at, "arrays of at least %d and at most %d elements", s.min, s.max)
		return end
	}
	open := n.bytes(from, '[', '[')
	if s.min == 0 {
		n.empty(n.bytes(open, ']', ']'), end)
	}
	if s.max == 0 {
		return end
	}
	shut := func(at int32) int32 { return n.bytes(c.around(n, at), ']', ']') }
	next := func(at int32) int32 { return c.around(n, n.bytes(at, ',', ',')) }
	// Elements one by one, at least the first, which has no comma before it.
	at := c.around(n, open)
	i := 0
	for {
		at = c.value(n, at, s.element(i))
		if i++; i == s.max || n.full || c.err != nil {
			n.empty(shut(at), end)
			return end
		}
		if i >= s.prefix {
			break
		}
		if i >= s.min {
			n.empty(shut(at), end)
		}
		at = next(at)
	}
	more := func(at int32) int32 { return c.value(n, next(at), s.element(s.prefix)) }
	least := max(0, s.min-i)
	if s.max == unbounded && least == 0 {
		n.empty(shut(n.star(at, more)), end)
		return end
	}
	most := s.max
	if most != unbounded {
		most -= i
	}
	n.empty(n.counted(at, int32(least), int32(most), more, shut), end)
	return end
}
