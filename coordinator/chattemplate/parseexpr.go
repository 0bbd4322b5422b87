package chattemplate

import "strings"

// constants are the names that are values.
var constants = map[string]bool{"true": true, "false": true, "none": true, "True": true, "False": true, "None": true}

// tuple parses an expression, or several with commas between, which are a tuple.
func (p *parser) tuple(conditional bool) expr {
	one := p.expression
	if !conditional {
		one = p.or
	}
	if p.tupleEnd() {
		failAt(p.peek().line, "expected an expression, got %q", p.peek().describe())
	}
	first := one()
	if !p.peek().is(tokOp, ",") {
		return first
	}
	items := []expr{first}
	for p.acceptOp(",") && !p.tupleEnd() {
		items = append(items, one())
	}
	return &tupleExpr{items}
}

func (p *parser) tupleEnd() bool {
	t := p.peek()
	return t.kind == tokVarEnd || t.kind == tokBlockEnd || t.is(tokOp, ")") || t.is(tokName, "recursive")
}

// expression parses a if b else c, and all that binds tighter.
func (p *parser) expression() expr {
	defer p.nest()()
	unknowns := len(p.unknowns)
	e := p.or()
	for p.acceptName("if") {
		p.unknowns = p.unknowns[:unknowns] // e was inside a condition all the time
		p.grow()
		cond := &condExpr{yes: e, line: p.peek().line}
		p.conditions++
		cond.test = p.or()
		if p.acceptName("else") {
			cond.no = p.expression()
		}
		p.conditions--
		e = cond
	}
	return e
}

func (p *parser) or() expr {
	e := p.and()
	for p.acceptName("or") {
		p.grow()
		e = &logicExpr{a: e, b: p.and(), or: true}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for p.acceptName("and") {
		p.grow()
		e = &logicExpr{a: e, b: p.not()}
	}
	return e
}

func (p *parser) not() expr {
	if p.acceptName("not") {
		defer p.nest()()
		return &notExpr{p.not()}
	}
	return p.comparison()
}

func (p *parser) comparison() expr {
	e := p.sum()
	c := &compareExpr{first: e, line: p.peek().line}
	for {
		op := ""
		t := p.peek()
		switch {
		case t.kind == tokOp && strings.Contains(" == != < <= > >= ", " "+t.text+" "):
			op = p.next().text
		case p.acceptName("in"):
			op = "in"
		case t.is(tokName, "not") && p.peek2().is(tokName, "in"):
			p.pos += 2
			op = "not in"
		}
		if op == "" {
			break
		}
		p.grow()
		c.ops = append(c.ops, comparison{op, p.sum()})
	}
	if len(c.ops) == 0 {
		return e
	}
	return c
}

// binary parses a left-associative level of operators.
func (p *parser) binary(operators string, operand func() expr) expr {
	e := operand()
	for {
		t := p.peek()
		if t.kind != tokOp || !strings.Contains(operators, " "+t.text+" ") {
			return e
		}
		p.next()
		p.grow()
		e = &binaryExpr{op: t.text, a: e, b: operand(), line: t.line}
	}
}

func (p *parser) sum() expr     { return p.binary(" + - ", p.concat) }
func (p *parser) product() expr { return p.binary(" * / // % ", p.power) }
func (p *parser) power() expr   { return p.binary(" ** ", func() expr { return p.unary(true) }) }

func (p *parser) concat() expr {
	parts := []expr{p.product()}
	for p.acceptOp("~") {
		p.grow()
		parts = append(parts, p.product())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return &concatExpr{parts}
}

// unary parses a sign or a primary. A filter binds to the whole of -x, but to
// nothing inside it.
func (p *parser) unary(filters bool) expr {
	defer p.nest()()
	var e expr
	if t := p.peek(); t.is(tokOp, "-") || t.is(tokOp, "+") {
		p.next()
		e = &signExpr{op: t.text, e: p.unary(false), line: t.line}
	} else {
		e = p.primary()
	}
	e = p.postfix(e)
	if filters {
		e = p.filtersAndTests(e)
	}
	return e
}

func (p *parser) primary() expr {
	t := p.next()
	switch {
	case t.kind == tokName:
		return p.nameOrConstant(t)
	case t.kind == tokString:
		var text strings.Builder
		text.WriteString(t.text)
		for p.peek().kind == tokString { // literals side by side are one
			text.WriteString(p.next().text)
		}
		return &constExpr{text.String()}
	case t.kind == tokNumber:
		return &constExpr{t.value}
	case t.is(tokOp, "("):
		if p.acceptOp(")") {
			return &tupleExpr{}
		}
		e := p.tuple(true)
		p.expectOp(")")
		return e
	case t.is(tokOp, "["):
		return &listExpr{p.items("]")}
	case t.is(tokOp, "{"):
		return p.dict()
	}
	failAt(t.line, "unexpected %q", t.describe())
	return nil
}

func (p *parser) nameOrConstant(t token) expr {
	switch t.text {
	case "true", "True":
		return &constExpr{true}
	case "false", "False":
		return &constExpr{false}
	case "none", "None":
		return &constExpr{nil}
	}
	for _, m := range p.macros { // what a macro does not mention it does not take
		m.varargs = m.varargs || t.text == "varargs"
		m.kwargs = m.kwargs || t.text == "kwargs"
		m.caller = m.caller || t.text == "caller"
	}
	return &nameExpr{t.text, t.line}
}

// items parses expressions with commas between up to the closing bracket.
func (p *parser) items(end string) []expr {
	var items []expr
	for !p.acceptOp(end) {
		if len(items) > 0 {
			p.expectOp(",")
			if p.acceptOp(end) {
				break
			}
		}
		items = append(items, p.expression())
	}
	return items
}

func (p *parser) dict() expr {
	d := &dictExpr{}
	for !p.acceptOp("}") {
		if len(d.keys) > 0 {
			p.expectOp(",")
			if p.acceptOp("}") {
				break
			}
		}
		d.keys = append(d.keys, p.expression())
		p.expectOp(":")
		d.values = append(d.values, p.expression())
	}
	return d
}
