package chattemplate

// unsupportedTags are Jinja's, but have no place in a chat template.
var unsupportedTags = map[string]bool{
	"extends": true, "block": true, "include": true, "import": true, "from": true, "autoescape": true,
}

// statement parses one statement behind its name, without the final %}.
func (p *parser) statement(name token) stmt {
	switch name.text {
	case "if":
		return p.ifStmt()
	case "for":
		return p.forStmt(name.line)
	case "set":
		return p.setStmt(name.line)
	case "macro":
		return p.macroStmt(name.line)
	case "call":
		return p.callStmt(name.line)
	case "filter":
		return p.filterStmt(name.line)
	case "with":
		return p.withStmt(name.line)
	case "generation":
		// Marks what the model said, for training. The block is a function of its
		// own in Jinja: no loop goes on through it, and no name gets out of it.
		loops := p.loops
		p.loops = 0
		body := p.block("endgeneration")
		p.loops = loops
		return &withStmt{body: body, line: name.line}
	case "print":
		var exprs []expr
		for p.peek().kind != tokBlockEnd {
			if len(exprs) > 0 {
				p.expectOp(",")
			}
			exprs = append(exprs, p.expression())
		}
		return &printStmt{expr: &concatExpr{exprs}, line: name.line}
	case "break", "continue":
		if p.loops == 0 {
			failAt(name.line, "%q outside of a loop", name.text)
		}
		if name.text == "break" {
			return jumpStmt(breakLoop)
		}
		return jumpStmt(continueLoop)
	}
	if unsupportedTags[name.text] {
		failAt(name.line, "tag %q is not supported", name.text)
	}
	failAt(name.line, "encountered unknown tag %q", name.text)
	return nil
}

func (p *parser) ifStmt() stmt {
	p.conditions++
	defer func() { p.conditions-- }()
	s := &ifStmt{}
	for {
		line := p.peek().line
		cond := p.tuple(false)
		p.openBody()
		body, end := p.body("elif", "else", "endif")
		s.branches = append(s.branches, branch{cond, body, line})
		switch end {
		case "else":
			s.otherwise = p.block("endif")
			return s
		case "endif":
			return s
		}
		p.nodes = 0
	}
}

func (p *parser) forStmt(line int) stmt {
	p.inFor++
	defer func() { p.inFor-- }()
	s := &forStmt{line: line, target: p.target(false)}
	if !p.acceptName("in") {
		failAt(p.peek().line, "expected \"in\", got %q", p.peek().describe())
	}
	s.over = p.tuple(false)
	if p.acceptName("if") {
		s.test = p.expression()
	}
	if p.peek().is(tokName, "recursive") {
		failAt(p.peek().line, "recursive loops are not supported")
	}
	p.openBody()
	p.loops++
	body, end := p.body("endfor", "else")
	p.loops--
	s.body = body
	if end == "else" {
		s.otherwise = p.block("endfor")
	}
	return s
}

func (p *parser) setStmt(line int) stmt {
	target := p.target(true)
	if p.acceptOp("=") {
		return &setStmt{target: target, value: p.tuple(true), line: line}
	}
	var filters []*filterExpr
	for p.peek().is(tokOp, "|") {
		p.next()
		filters = append(filters, p.filter(nil))
	}
	return &setBlockStmt{target: target, filters: filters, body: p.block("endset"), line: line}
}

// target parses what can be assigned to: a name, ns.name where that is allowed, or
// a tuple of targets.
func (p *parser) target(namespaced bool) target {
	line := p.peek().line
	targets := []target{p.targetItem(namespaced)}
	tuple := false
	for p.acceptOp(",") {
		tuple = true
		if t := p.peek(); t.kind == tokBlockEnd || t.is(tokOp, "=") || t.is(tokOp, ")") || t.is(tokName, "in") {
			break
		}
		targets = append(targets, p.targetItem(namespaced))
	}
	if !tuple {
		return targets[0]
	}
	return &tupleTarget{targets, line}
}

func (p *parser) targetItem(namespaced bool) target {
	defer p.nest()()
	if p.acceptOp("(") {
		t := p.target(namespaced)
		p.expectOp(")")
		return t
	}
	name := p.next()
	if name.kind != tokName || constants[name.text] {
		failAt(name.line, "cannot assign to %q", name.describe())
	}
	if name.text == "loop" && p.inFor > 0 {
		failAt(name.line, "cannot assign to the special variable loop")
	}
	if namespaced && p.acceptOp(".") {
		return &attrTarget{name.text, p.name().text, name.line}
	}
	return nameTarget(name.text)
}

func (p *parser) macroStmt(line int) stmt {
	m := &macroDef{name: p.name().text, line: line}
	p.signature(m)
	p.function(m, "endmacro")
	return &macroStmt{m}
}

// signature parses (a, b=default).
func (p *parser) signature(m *macroDef) {
	p.expectOp("(")
	for !p.acceptOp(")") {
		if len(m.params) > 0 {
			p.expectOp(",")
		}
		name := p.name()
		var def expr
		if p.acceptOp("=") {
			def = p.expression()
		} else if n := len(m.params); n > 0 && m.params[n-1].def != nil {
			failAt(name.line, "parameter %q without a default follows one with a default", name.text)
		}
		m.params = append(m.params, macroParam{name.text, def})
	}
}

// function parses the body of a macro or of a call block.
func (p *parser) function(m *macroDef, end string) {
	loops := p.loops
	p.loops = 0
	p.macros = append(p.macros, m)
	m.body = p.block(end)
	p.macros = p.macros[:len(p.macros)-1]
	p.loops = loops
}

func (p *parser) callStmt(line int) stmt {
	m := &macroDef{name: "caller", line: line}
	if p.peek().is(tokOp, "(") {
		p.signature(m)
	}
	call, ok := p.expression().(*callExpr)
	if !ok {
		failAt(line, "expected a call")
	}
	p.function(m, "endcall")
	return &callStmt{call: call, caller: m, line: line}
}

func (p *parser) filterStmt(line int) stmt {
	filters := []*filterExpr{p.filter(nil)}
	for p.acceptOp("|") {
		filters = append(filters, p.filter(nil))
	}
	return &filterStmt{filters: filters, body: p.block("endfilter"), line: line}
}

func (p *parser) withStmt(line int) stmt {
	w := &withStmt{line: line}
	for !p.peek().is(tokBlockEnd, "%}") && !p.peek().is(tokOp, ":") {
		if len(w.targets) > 0 {
			p.expectOp(",")
		}
		w.targets = append(w.targets, p.targetItem(false))
		p.expectOp("=")
		w.values = append(w.values, p.expression())
	}
	w.body = p.block("endwith")
	return w
}
