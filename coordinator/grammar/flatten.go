package grammar

import "slices"

// flat is a conjunction with references followed and allOf opened: the bare schemas
// whose keywords all hold, and the groups of alternatives of which one each must hold.
type flat struct {
	bare   []*jsonNode
	groups []group
	at     string
}

type group struct {
	branches []*jsonNode
	oneOf    bool
	at       string
}

func (f *flat) bareElements() conjunction {
	out := make(conjunction, len(f.bare))
	for i, n := range f.bare {
		out[i] = element{n, true}
	}
	return out
}

// unconstrained says that any value will do.
func (f *flat) unconstrained() bool {
	for _, n := range f.bare {
		for _, name := range n.names {
			if _, ok := families[name]; ok && name != "$ref" && name != "allOf" {
				return false
			}
		}
	}
	return true
}

// flatten returns nil where nothing can fit, or after an error.
func (c *schemaCompiler) flatten(cj conjunction) *flat {
	w := &flattener{c: c, f: &flat{at: cj.at()}, open: map[*jsonNode]bool{}, done: map[*jsonNode]bool{}}
	for _, e := range cj {
		if e.bare {
			w.addBare(e.node)
		} else {
			w.visit(e.node)
		}
	}
	if w.never || c.err != nil {
		return nil
	}
	return w.f
}

type flattener struct {
	c          *schemaCompiler
	f          *flat
	open, done map[*jsonNode]bool
	never      bool
}

func (w *flattener) addBare(n *jsonNode) {
	if !slices.Contains(w.f.bare, n) {
		w.f.bare = append(w.f.bare, n)
	}
}

func (w *flattener) visit(n *jsonNode) {
	c := w.c
	if c.err != nil || w.done[n] {
		return
	}
	switch {
	case n.kind == 'b' && n.boolean:
		return
	case n.kind == 'b':
		c.impossible(n.at, "the schema is false")
		w.never = true
		return
	case n.kind != '{':
		c.fail(n.at, "a schema is an object or a boolean, not %s", n.kindName())
		return
	case w.open[n]:
		c.fail(n.at, "this schema refers to itself without anything in between")
		return
	}
	if !c.bud.takeWork(1 + len(n.names)) {
		c.fail(n.at, "the schema is %v", errTooLarge)
		return
	}
	w.open[n] = true
	c.checkKeywords(n)
	w.addBare(n)
	if ref := n.member("$ref"); ref != nil {
		if target := c.resolve(ref); target != nil {
			w.visit(target)
		}
	}
	for _, s := range w.list(n, "allOf") {
		w.visit(s)
	}
	for _, name := range []string{"anyOf", "oneOf"} {
		branches := w.list(n, name)
		switch {
		case len(branches) == 1:
			w.visit(branches[0])
		case len(branches) > 1:
			w.f.groups = append(w.f.groups, group{branches, name == "oneOf", n.member(name).at})
		}
	}
	w.open[n] = false
	w.done[n] = true
}

// list is the value of allOf, anyOf or oneOf.
func (w *flattener) list(n *jsonNode, name string) []*jsonNode {
	v := n.member(name)
	if v == nil {
		return nil
	}
	if v.kind != '[' || len(v.items) == 0 {
		w.c.fail(v.at, "%s must be an array of schemas, at least one", name)
		return nil
	}
	return v.items
}

// typeSet is a set of JSON types. An integer is a number without a fraction, so
// "number" is both bits.
type typeSet uint8

const (
	typeNull typeSet = 1 << iota
	typeBoolean
	typeInteger
	typeFraction // numbers with a fraction
	typeString
	typeArray
	typeObject

	typeNumber = typeInteger | typeFraction
	typeAny    = 1<<7 - 1
)

var typeNames = map[string]typeSet{
	"null": typeNull, "boolean": typeBoolean, "integer": typeInteger, "number": typeNumber,
	"string": typeString, "array": typeArray, "object": typeObject,
}

// types are the types that a value may have. Without the keyword "type" they are those
// that other keywords are about.
func (c *schemaCompiler) types(f *flat) typeSet {
	about, named := typeSet(0), false
	for _, n := range f.bare {
		for _, name := range n.names {
			about |= families[name]
		}
		if _, ok := c.patternOf(n); ok {
			about |= typeString
		}
		named = named || n.member("type") != nil
	}
	if !named && about != 0 {
		return about
	}
	return c.namedTypes(f)
}

// namedTypes are the types that the keyword "type" allows.
func (c *schemaCompiler) namedTypes(f *flat) typeSet {
	set := typeSet(typeAny)
	for _, n := range f.bare {
		v := n.member("type")
		if v == nil {
			continue
		}
		list := v.items
		if v.kind == 's' {
			list = []*jsonNode{v}
		} else if v.kind != '[' || len(list) == 0 {
			c.fail(v.at, "type must be a name or an array of names")
		}
		one := typeSet(0)
		for _, t := range list {
			bit, ok := typeNames[t.text]
			if t.kind != 's' || !ok {
				c.fail(t.at, "there is no type %s", appendJSON(nil, t))
			}
			one |= bit
		}
		set &= one
	}
	return set
}

// plain builds the values of a conjunction without alternatives.
func (c *schemaCompiler) plain(n *nfa, from int32, f *flat) int32 {
	end := n.state()
	if values, ok := c.values(f); ok {
		for _, v := range values {
			n.empty(n.text(from, string(appendJSON(nil, v))), end)
		}
		return end
	}
	types := c.types(f)
	if types == 0 {
		c.impossible(f.at, "the types exclude each other")
	}
	if types&typeNull != 0 {
		n.empty(n.text(from, "null"), end)
	}
	if types&typeBoolean != 0 {
		n.empty(n.text(from, "true"), end)
		n.empty(n.text(from, "false"), end)
	}
	if types&typeNumber != 0 {
		n.empty(n.call(from, c.numbers(f, types)), end)
	}
	if types&typeString != 0 {
		n.empty(n.call(from, c.strings(f)), end)
	}
	if types&typeArray != 0 {
		n.empty(c.array(n, from, f), end)
	}
	if types&typeObject != 0 {
		n.empty(c.object(n, from, f), end)
	}
	return end
}

// sharedScalar is the rule of a conjunction that needs no rule of its own, because all
// it allows is one kind of string or number.
func (c *schemaCompiler) sharedScalar(f *flat) (int32, bool) {
	for _, n := range f.bare {
		if n.member("enum") != nil || n.member("const") != nil {
			return 0, false
		}
	}
	switch types := c.types(f); types {
	case typeInteger, typeNumber:
		return c.numbers(f, types), true
	case typeString:
		return c.strings(f), true
	}
	return 0, false
}
