package grammar

import "slices"

// objectSpec is what a conjunction asks of objects.
type objectSpec struct {
	parts    []objectPart
	names    []string // declared or required, in order
	required map[string]bool
	min, max int
	// open: names beyond those are written, if no additionalProperties forbids it.
	open bool
	// keys are the schemas that propertyNames holds names to.
	keys conjunction
}

// objectPart is one schema's say.
type objectPart struct {
	properties *jsonNode
	patterns   []namePattern
	additional *jsonNode // nil: nothing is said
}

type namePattern struct {
	text   string
	at     string
	names  *automaton
	schema *jsonNode
}

func (c *schemaCompiler) objectSpec(f *flat) objectSpec {
	s := objectSpec{required: map[string]bool{}, max: unbounded, open: true}
	said := false
	var needed []string
	for _, n := range f.bare {
		if lo, ok := c.count(n, "minProperties"); ok {
			s.min = max(s.min, lo)
		}
		if hi, ok := c.count(n, "maxProperties"); ok {
			s.max = min(s.max, hi)
		}
		if k := n.member("propertyNames"); k != nil {
			s.keys = append(s.keys, element{node: k})
		}
		p := objectPart{properties: c.objectMember(n, "properties"), additional: n.member("additionalProperties")}
		said = said || p.additional != nil
		if p.properties != nil {
			s.open = s.open && len(p.properties.names) == 0
			for _, name := range p.properties.names {
				if !slices.Contains(s.names, name) {
					s.names = append(s.names, name)
				}
			}
		}
		if pp := c.objectMember(n, "patternProperties"); pp != nil {
			s.open = false
			for i, text := range pp.names {
				a := c.pattern(stringPattern{text, true, pp.items[i].at})
				if a == nil {
					return s
				}
				p.patterns = append(p.patterns, namePattern{text, pp.items[i].at, a, pp.items[i]})
			}
		}
		s.parts = append(s.parts, p)
		needed = append(needed, c.requiredNames(n)...)
	}
	s.open = s.open || said
	for _, name := range needed {
		s.required[name] = true
		if !slices.Contains(s.names, name) {
			s.names = append(s.names, name)
		}
	}
	return s
}

func (c *schemaCompiler) objectMember(n *jsonNode, name string) *jsonNode {
	v := n.member(name)
	if v != nil && v.kind != '{' {
		c.fail(v.at, "%s must be an object, not %s", name, v.kindName())
		return nil
	}
	return v
}

func (c *schemaCompiler) requiredNames(n *jsonNode) []string {
	v := n.member("required")
	if v == nil {
		return nil
	}
	if v.kind != '[' {
		c.fail(v.at, "required must be an array of names, not %s", v.kindName())
		return nil
	}
	var out []string
	for _, item := range v.items {
		if item.kind != 's' {
			c.fail(item.at, "a required name must be a string, not %s", item.kindName())
		}
		out = append(out, item.text)
	}
	return out
}

// member is what the value under a name has to satisfy.
func (s *objectSpec) member(name string) conjunction {
	return s.collect(func(p *objectPart) (out []*jsonNode) {
		if v := p.properties.memberOf(name); v != nil {
			out = append(out, v)
		}
		for _, pat := range p.patterns {
			if pat.names.matches(jsonContent(name)) {
				out = append(out, pat.schema)
			}
		}
		return out
	})
}

// beyond is what values under undeclared names have to satisfy: names that match the
// pattern (and no other), or none if it is "".
func (s *objectSpec) beyond(pattern string) conjunction {
	return s.collect(func(p *objectPart) (out []*jsonNode) {
		for _, pat := range p.patterns {
			if pat.text == pattern {
				out = append(out, pat.schema)
			}
		}
		return out
	})
}

func (s *objectSpec) collect(named func(*objectPart) []*jsonNode) conjunction {
	var cj conjunction
	for i := range s.parts {
		p := &s.parts[i]
		list := named(p)
		if len(list) == 0 && p.additional != nil {
			list = []*jsonNode{p.additional}
		}
		for _, n := range list {
			cj = append(cj, element{node: n})
		}
	}
	return cj.normal()
}

// memberOf is member for a node that may be nil.
func (n *jsonNode) memberOf(name string) *jsonNode {
	if n == nil {
		return nil
	}
	return n.member(name)
}

// never says that a conjunction plainly has no value.
func (cj conjunction) never() bool {
	return slices.ContainsFunc(cj, func(e element) bool { return e.node.kind == 'b' && !e.node.boolean })
}
