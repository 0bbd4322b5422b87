package grammar

// maxDisjointDepth is how deep in objects the difference between branches is looked for.
const maxDisjointDepth = 4

// checkDisjoint refuses oneOf where two branches might both hold: the grammar can't
// see to it that exactly one does.
func (c *schemaCompiler) checkDisjoint(f *flat, g group) {
	branch := func(i int) conjunction { return append(f.bareElements(), element{node: g.branches[i]}) }
	for i := range g.branches {
		for j := range i {
			if c.err == nil && !c.disjoint(branch(j), branch(i), 0) {
				c.fail(g.at, "branches %d and %d of oneOf may both hold for a value: tell them apart by type, "+
					"or by a required property with different const values, or use anyOf", j, i)
			}
		}
	}
}

// disjoint says whether certainly no value satisfies both.
func (c *schemaCompiler) disjoint(a, b conjunction, depth int) bool {
	f, g := c.flatten(a), c.flatten(b)
	if f == nil || g == nil || depth > maxDisjointDepth {
		return depth <= maxDisjointDepth
	}
	for _, side := range [2]struct {
		f     *flat
		other conjunction
	}{{f, b}, {g, a}} {
		for _, alternatives := range side.f.groups {
			all := true
			for _, branch := range alternatives.branches {
				all = all && c.disjoint(conjunction{{node: branch}}, side.other, depth+1)
			}
			if all {
				return true
			}
		}
	}
	v, few := c.values(f)
	w, fewToo := c.values(g)
	switch {
	case few && fewToo:
		return len(narrow(v, true, w)) == 0
	case few:
		return c.noneFits(g, v)
	case fewToo:
		return c.noneFits(f, w)
	}
	common := c.namedTypes(f) & c.namedTypes(g)
	if common&typeNumber != 0 {
		if !c.apart(f, g) {
			return false
		}
		common &^= typeNumber
	}
	if common&typeObject != 0 {
		if !c.disjointObjects(f, g, depth) {
			return false
		}
		common &^= typeObject
	}
	return common == 0
}

func (c *schemaCompiler) noneFits(f *flat, values []*jsonNode) bool {
	types := c.namedTypes(f)
	for _, v := range values {
		t := typeOf(v)
		if types&t != 0 && (t == typeArray || t == typeObject || c.fits(f, v)) {
			return false
		}
	}
	return true
}

// apart says whether the ranges of numbers don't touch.
func (c *schemaCompiler) apart(f, g *flat) bool {
	s, t := c.numberSpec(f, typeNumber), c.numberSpec(g, typeNumber)
	below := func(s, t numberSpec) bool {
		if s.max == nil || t.min == nil {
			return false
		}
		d := s.max.Cmp(t.min)
		return d < 0 || d == 0 && (s.below || t.above)
	}
	return below(s, t) || below(t, s)
}

// disjointObjects looks for a name that one of them requires and under which no value
// suits both.
func (c *schemaCompiler) disjointObjects(f, g *flat, depth int) bool {
	s, t := c.objectSpec(f), c.objectSpec(g)
	for _, spec := range []*objectSpec{&s, &t} {
		for _, name := range spec.names {
			if spec.required[name] && c.disjoint(s.member(name), t.member(name), depth+1) {
				return true
			}
		}
	}
	return false
}
