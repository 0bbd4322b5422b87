package grammar

import (
	"slices"
	"strconv"
	"strings"
)

// Options say how JSON is written.
type Options struct {
	// Compact allows no white space outside of strings. Else there may be, as people
	// and models write it: a space after a colon; after a comma, after an opening and
	// before a closing bracket a space or one line end with an indentation of at most
	// 32 spaces or 16 tabs. Never more, so that a model can't run on in white space.
	Compact bool
}

// CompileJSONSchema compiles a JSON schema (2020-12, and draft 7 where that differs in
// spelling only). Every text of the grammar is valid JSON that the schema admits; not
// every such text is in the grammar:
//
//   - The members of an object come in the order of "properties", optional ones may be
//     left out, and there are others only where additionalProperties or
//     patternProperties say so outright or the object names no properties.
//   - Elements beyond "prefixItems" are written only where "items" says so outright or
//     minItems asks for them.
//   - A schema without "type" means the types that its other keywords are about.
//   - Integers have up to 18 digits (or as many as a bound has), other numbers up to 15
//     before the point and 15 after it and an exponent of two; with bounds up to 15 in
//     all and no exponent. So every parser reads them as they are meant.
//   - Strings with a pattern, a format or an exclusion write a character in one way only,
//     and stay below a maxLength that would make too many states.
//
// Names that the schema does not declare may come twice in an object; parsers take the
// last, and both are valid.
//
// Supported are type, enum, const, anyOf, oneOf (where its branches provably exclude
// each other), allOf, $ref into the schema itself, recursive ones too; properties,
// required, additionalProperties, patternProperties, propertyNames, minProperties,
// maxProperties; items, prefixItems, minItems, maxItems; minLength, maxLength, pattern,
// format; minimum, maximum, exclusiveMinimum, exclusiveMaximum, and multipleOf for
// integers. Annotations are ignored. Any other keyword is refused, by name and place:
// what is not enforced must not look as if it were.
func CompileJSONSchema(schema []byte, opts Options) (*Grammar, error) {
	root, err := readJSON(schema)
	if err != nil {
		return nil, err
	}
	c := newSchemaCompiler(root, opts)
	return c.compile(func() int32 { return c.ruleFor(conjunction{{node: root}}) })
}

// CompileJSONObject compiles the grammar of any JSON object.
func CompileJSONObject() (*Grammar, error) {
	c := newSchemaCompiler(nil, Options{})
	return c.compile(c.anyObject)
}

type schemaCompiler struct {
	root    *jsonNode
	compact bool
	bud     *budget
	rules   []rule
	pending []func()
	byKey   map[string]int32
	checked map[*jsonNode]bool
	// patterns are those compiled so far.
	patterns map[patternKey]*automaton
	err      error
	// hint is the first place found that no value fits.
	hint *SyntaxError
}

func newSchemaCompiler(root *jsonNode, opts Options) *schemaCompiler {
	return &schemaCompiler{
		root: root, compact: opts.Compact, bud: newBudget(),
		byKey: map[string]int32{}, checked: map[*jsonNode]bool{}, patterns: map[patternKey]*automaton{},
	}
}

func (c *schemaCompiler) compile(root func() int32) (*Grammar, error) {
	start := root()
	for len(c.pending) > 0 && c.err == nil {
		build := c.pending[0]
		c.pending = c.pending[1:]
		build()
	}
	if c.err != nil {
		return nil, c.err
	}
	g := link(c.rules, start)
	if g == nil {
		if c.hint != nil {
			return nil, c.hint
		}
		return nil, problemAt("#", "no value fits this schema")
	}
	return g, nil
}

// fail notes the first error; building goes on harmlessly until it is noticed.
func (c *schemaCompiler) fail(at, format string, args ...any) {
	if c.err == nil {
		c.err = problemAt(at, format, args...)
	}
}

// impossible notes that nothing fits at a place, which is an error only if it leaves
// the whole schema without a value.
func (c *schemaCompiler) impossible(at, format string, args ...any) {
	if c.hint == nil {
		c.hint = problemAt(at, "no value fits: "+format, args...)
	}
}

// define returns the rule with a key, to be built later if it is new.
func (c *schemaCompiler) define(key, at string, build func(n *nfa, from int32) int32) int32 {
	if id, ok := c.byKey[key]; ok {
		return id
	}
	id := int32(len(c.rules))
	c.byKey[key] = id
	c.rules = append(c.rules, rule{name: key})
	if id >= maxRules {
		c.fail(at, "the schema has more than %d parts", maxRules)
		return 0
	}
	c.pending = append(c.pending, func() {
		n := newNFA(c.bud)
		start := n.state()
		end := build(n, start)
		if c.err != nil {
			return
		}
		body, err := determinize(n, start, end)
		if err != nil {
			c.fail(at, "this part of the schema is %v", err)
			return
		}
		c.rules[id].body = body
	})
	return id
}

// element is one schema that a value has to satisfy. bare: its own keywords only,
// without what it refers to or combines.
type element struct {
	node *jsonNode
	bare bool
}

// conjunction is a list of schemas that a value has to satisfy together.
type conjunction []element

// normal sorts out repeated elements; order stays, since it is the order of properties.
func (cj conjunction) normal() conjunction {
	var out conjunction
	for _, e := range cj {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

func (cj conjunction) key() string {
	var b strings.Builder
	b.WriteString("schema")
	for _, e := range cj {
		b.WriteByte(' ')
		b.WriteString(strconv.Itoa(int(e.node.id)))
		if e.bare {
			b.WriteByte('-')
		}
	}
	return b.String()
}

func (cj conjunction) at() string {
	if len(cj) == 0 {
		return "#"
	}
	return cj[len(cj)-1].node.at
}

// ruleFor is the rule of the values that satisfy a conjunction.
func (c *schemaCompiler) ruleFor(cj conjunction) int32 {
	cj = cj.normal()
	return c.define(cj.key(), cj.at(), func(n *nfa, from int32) int32 { return c.alternatives(n, from, cj) })
}

// alternatives multiplies anyOf and oneOf out and builds each combination.
func (c *schemaCompiler) alternatives(n *nfa, from int32, cj conjunction) int32 {
	f := c.flatten(cj)
	if f == nil {
		return n.state()
	}
	if len(f.groups) == 0 {
		return c.plain(n, from, f)
	}
	combos := []conjunction{f.bareElements()}
	for _, g := range f.groups {
		if g.oneOf {
			c.checkDisjoint(f, g)
		}
		var next []conjunction
		for _, combo := range combos {
			for _, branch := range g.branches {
				if len(next) >= maxAlternatives {
					c.fail(g.at, "more than %d combinations of alternatives", maxAlternatives)
					return from
				}
				next = append(next, append(slices.Clone(combo), element{node: branch}))
			}
		}
		combos = next
	}
	end := n.state()
	for _, combo := range combos {
		n.empty(c.value(n, from, combo), end)
	}
	return end
}

// value adds the values of a conjunction: in place where they are short and end
// plainly, else as a call.
func (c *schemaCompiler) value(n *nfa, from int32, cj conjunction) int32 {
	if c.err != nil || n.full {
		return from
	}
	cj = cj.normal()
	if f := c.flatten(cj); f != nil && len(f.groups) == 0 {
		if f.unconstrained() {
			return n.call(from, c.anyValue())
		}
		if rule, ok := c.sharedScalar(f); ok {
			return n.call(from, rule)
		}
	}
	return n.call(from, c.ruleFor(cj))
}
