package grammar

// CompileEBNF compiles a grammar in the notation of llama.cpp's GBNF:
//
//	root   ::= "답: " answer ("\n" note)*
//	answer ::= "예" | "아니요" | [0-9]{1,3}
//	note   ::= "- " [^\n]+          # a comment
//
// A text is what root derives. "..." is text and [...] one character of a class ([^...]
// of all others); in both, \n \r \t \\ \" \[ \] \- \xHH \uHHHH and \UHHHHHHHH are
// escapes, each for one character. A dot is any character. Names are made of letters,
// digits, - and _. Parentheses group; * + ? {n} {n,} {,m} {n,m} repeat; | separates
// alternatives and binds least. A rule goes on over line ends until the next "name ::=".
//
// Rules may recurse in every way, left recursion too.
func CompileEBNF(text string) (*Grammar, error) {
	p, err := parseEBNF(text)
	if err != nil {
		return nil, err
	}
	c := &ebnfCompiler{ebnfParser: p, n: newBudget(), plans: map[string]*ebnfPlan{}, ids: map[string]int32{}}
	if p.rules["root"] == nil {
		return nil, problemAt("1:1", "there is no rule named root")
	}
	for _, name := range p.order {
		if err := c.check(p.rules[name]); err != nil {
			return nil, err
		}
	}
	c.id("root")
	for i := 0; i < len(c.rules); i++ {
		name := c.rules[i].name
		node := p.rules[name]
		n := newNFA(c.n)
		start := n.state()
		end := c.build(n, start, node)
		if c.rules[i].body, err = determinize(n, start, end); err != nil {
			return nil, problemAt(lineColumn(text, node.at), "rule %s is %v", name, err)
		}
	}
	g := link(c.rules, 0)
	if g == nil {
		return nil, problemAt(lineColumn(text, p.rules["root"].at), "no text fits this grammar: root never ends")
	}
	return g, nil
}

type ebnfCompiler struct {
	*ebnfParser
	n     *budget
	plans map[string]*ebnfPlan
	ids   map[string]int32
	rules []rule
}

// ebnfPlan says whether a rule is written into its users instead of being called.
type ebnfPlan struct {
	inline bool
	ebnfSize
}

type ebnfSize struct {
	states int
	finite bool // no unlimited repetition, no call
}

// Small finite rules are characters in all but name, and written in place they keep
// strings plain tables. Others are called, so that all their users share the pieces of
// masks.
const (
	inlineStates = 64
	inlineAny    = 8
)

func (c *ebnfCompiler) id(name string) int32 {
	id, ok := c.ids[name]
	if !ok {
		id = int32(len(c.rules))
		c.ids[name] = id
		c.rules = append(c.rules, rule{name: name})
	}
	return id
}

// check finds names that no rule has.
func (c *ebnfCompiler) check(node *ebnfNode) error {
	if node.kind == ebnfName && c.ebnfParser.rules[node.name] == nil {
		return problemAt(lineColumn(c.text, node.at), "there is no rule named %s", node.name)
	}
	for _, s := range node.sub {
		if err := c.check(s); err != nil {
			return err
		}
	}
	return nil
}

func (c *ebnfCompiler) plan(name string) *ebnfPlan {
	if p := c.plans[name]; p != nil {
		return p // of a rule being planned: the zero plan, so recursion is called
	}
	p := &ebnfPlan{}
	c.plans[name] = p
	size := c.size(c.ebnfParser.rules[name])
	p.ebnfSize = size
	p.inline = size.finite && size.states <= inlineStates || size.states <= inlineAny
	return p
}

func (c *ebnfCompiler) size(node *ebnfNode) ebnfSize {
	s := ebnfSize{finite: true}
	for _, sub := range node.sub {
		t := c.size(sub)
		s.states += t.states
		s.finite = s.finite && t.finite
	}
	switch node.kind {
	case ebnfText:
		s.states = len(node.text)
	case ebnfClass:
		s.states = 1 + len(node.class)
	case ebnfName:
		if p := c.plan(node.name); p.inline {
			s = p.ebnfSize
		} else {
			s = ebnfSize{states: inlineAny + 1}
		}
	case ebnfRepeat:
		s.finite = s.finite && node.hi >= 0
		s.states *= max(1, node.lo, node.hi)
	}
	s.states = min(s.states, 1<<20)
	return s
}

func (c *ebnfCompiler) build(n *nfa, from int32, node *ebnfNode) int32 {
	if n.full {
		return 0
	}
	sub := func(i int) part { return func(s int32) int32 { return c.build(n, s, node.sub[i]) } }
	switch node.kind {
	case ebnfText:
		return n.text(from, node.text)
	case ebnfClass:
		return n.class(from, node.class)
	case ebnfName:
		if c.plan(node.name).inline {
			return c.build(n, from, c.ebnfParser.rules[node.name])
		}
		return n.call(from, c.id(node.name))
	case ebnfRepeat:
		return n.repeat(from, node.lo, node.hi, sub(0))
	case ebnfEither:
		parts := make([]part, len(node.sub))
		for i := range node.sub {
			parts[i] = sub(i)
		}
		return n.either(from, parts...)
	}
	for _, s := range node.sub { // ebnfSequence
		from = c.build(n, from, s)
	}
	return from
}
