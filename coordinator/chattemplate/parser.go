package chattemplate

// parser turns tokens into statements. It descends by Jinja's grammar.
type parser struct {
	tokens     []token
	pos        int
	depth      int       // of statements and expressions within each other
	nodes      int       // in the expression at hand
	inFor      int       // open for tags, wherever
	loops      int       // open ones in this function: break and continue need one
	conditions int       // open ones
	unknowns   []failure // filters and tests that nobody knows
	macros     []*macroDef
}

const (
	maxNesting = 200
	// maxNodes bounds the operators of one expression, which evaluating recurses over.
	maxNodes = 5_000
)

func (p *parser) peek() token {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	return token{line: 1}
}

func (p *parser) peek2() token {
	if p.pos+1 < len(p.tokens) {
		return p.tokens[p.pos+1]
	}
	return token{}
}

func (p *parser) next() token {
	t := p.peek()
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

func (p *parser) accept(kind tokenKind, text string) bool {
	if p.peek().is(kind, text) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) acceptName(text string) bool { return p.accept(tokName, text) }
func (p *parser) acceptOp(text string) bool   { return p.accept(tokOp, text) }

func (p *parser) expect(kind tokenKind, text string) token {
	t := p.next()
	if !t.is(kind, text) {
		failAt(t.line, "expected %q, got %q", text, t.describe())
	}
	return t
}

func (p *parser) expectOp(text string) token { return p.expect(tokOp, text) }

func (p *parser) name() token {
	t := p.next()
	if t.kind != tokName {
		failAt(t.line, "expected a name, got %q", t.describe())
	}
	return t
}

func (p *parser) nest() func() {
	if p.depth++; p.depth > maxNesting {
		failAt(p.peek().line, "nested more than %d deep", maxNesting)
	}
	return func() { p.depth-- }
}

// grow counts a node of an expression.
func (p *parser) grow() {
	if p.nodes++; p.nodes > maxNodes {
		failAt(p.peek().line, "expression has more than %d parts", maxNodes)
	}
}

func (p *parser) template() []stmt {
	body, end := p.body()
	if end != "" {
		failAt(p.peek().line, "encountered unknown tag %q", end)
	}
	if len(p.unknowns) > 0 {
		panic(p.unknowns[0])
	}
	return body
}

// body parses statements up to one of the end tags, and consumes "{% name" of it.
// Without end tags it parses to the end.
func (p *parser) body(ends ...string) (body []stmt, end string) {
	defer p.nest()()
	for {
		t := p.next()
		switch t.kind {
		case tokEOF:
			if len(ends) > 0 {
				failAt(t.line, "unexpected end of template: a block is not closed, expected %q", ends[len(ends)-1])
			}
			return body, ""
		case tokData:
			body = append(body, &dataStmt{t.text})
		case tokVarBegin:
			p.nodes = 0
			e := p.tuple(true)
			p.expect(tokVarEnd, "}}")
			body = append(body, &printStmt{expr: e, line: t.line})
		case tokBlockBegin:
			name := p.name()
			for _, end := range ends {
				if name.text == end {
					return body, end
				}
			}
			p.nodes = 0
			body = append(body, p.statement(name))
			p.endTag()
		default:
			failAt(t.line, "unexpected %q", t.describe())
		}
	}
}

func (p *parser) endTag() { p.expect(tokBlockEnd, "%}") }

// block parses a body whose opening tag ends here, and the end tag whole.
func (p *parser) block(end string) []stmt {
	p.openBody()
	body, _ := p.body(end)
	return body
}

// openBody ends the opening tag; a colon may stand there, as in Python.
func (p *parser) openBody() {
	p.acceptOp(":")
	p.endTag()
}
