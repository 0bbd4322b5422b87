package chattemplate

import "fmt"

// postfix parses .name, [index] and calls behind e.
func (p *parser) postfix(e expr) expr {
	for {
		t := p.peek()
		switch {
		case t.is(tokOp, "."):
			p.next()
			p.grow()
			name := p.next()
			switch {
			case name.kind == tokName:
				e = &attrExpr{e, name.text, name.line}
			case name.kind == tokNumber && typeName(name.value) == "int":
				e = &indexExpr{e, &constExpr{name.value}, name.line}
			default:
				failAt(name.line, "expected a name or a number, got %q", name.describe())
			}
		case t.is(tokOp, "["):
			p.next()
			p.grow()
			e = p.subscript(e, t.line)
		case t.is(tokOp, "("):
			e = p.call(e)
		default:
			return e
		}
	}
}

func (p *parser) subscript(e expr, line int) expr {
	var args []expr
	for !p.acceptOp("]") {
		if len(args) > 0 {
			p.expectOp(",")
		}
		args = append(args, p.subscribed())
	}
	if len(args) == 1 {
		if s, ok := args[0].(*sliceExpr); ok {
			s.e, s.line = e, line
			return s
		}
		return &indexExpr{e, args[0], line}
	}
	for _, a := range args {
		if _, ok := a.(*sliceExpr); ok {
			failAt(line, "slices of several dimensions are not supported")
		}
	}
	return &indexExpr{e, &tupleExpr{args}, line}
}

// subscribed parses an index or a slice a:b:c, any part of which may be left out.
func (p *parser) subscribed() expr {
	part := func() expr {
		if t := p.peek(); t.is(tokOp, ":") || t.is(tokOp, "]") || t.is(tokOp, ",") {
			return nil
		}
		return p.expression()
	}
	first := part()
	if !p.acceptOp(":") {
		if first == nil {
			failAt(p.peek().line, "unexpected %q", p.peek().describe())
		}
		return first
	}
	s := &sliceExpr{from: first, to: part()}
	if p.acceptOp(":") {
		s.step = part()
	}
	return s
}

func (p *parser) call(e expr) *callExpr {
	line := p.peek().line
	p.grow()
	return &callExpr{f: e, args: p.arguments(), line: line}
}

// arguments parses (a, *b, c=d, **e).
func (p *parser) arguments() argList {
	var a argList
	open := p.expectOp("(")
	ensure := func(ok bool) {
		if !ok {
			failAt(open.line, "invalid syntax for function call expression")
		}
	}
	for first := true; !p.acceptOp(")"); first = false {
		if !first {
			p.expectOp(",")
			if p.acceptOp(")") {
				break
			}
		}
		switch {
		case p.acceptOp("*"):
			ensure(a.star == nil && a.starStar == nil)
			a.star = p.expression()
		case p.acceptOp("**"):
			ensure(a.starStar == nil)
			a.starStar = p.expression()
		case p.peek().kind == tokName && p.peek2().is(tokOp, "="):
			ensure(a.starStar == nil)
			name := p.next().text
			p.next()
			a.kw = append(a.kw, kwExpr{name, p.expression()})
		default:
			ensure(a.star == nil && a.starStar == nil && len(a.kw) == 0)
			a.pos = append(a.pos, p.expression())
		}
	}
	return a
}

// filtersAndTests parses | filter, is test, and calls, behind e.
func (p *parser) filtersAndTests(e expr) expr {
	for {
		t := p.peek()
		switch {
		case t.is(tokOp, "|"):
			p.next()
			e = p.filter(e)
		case t.is(tokName, "is"):
			p.next()
			e = p.test(e)
		case t.is(tokOp, "("):
			e = p.call(e)
		default:
			return e
		}
	}
}

// filter parses a filter's name and arguments.
func (p *parser) filter(e expr) *filterExpr {
	p.grow()
	name := p.name()
	f := &filterExpr{e: e, name: name.text, line: name.line}
	if p.peek().is(tokOp, "(") {
		f.args = p.arguments()
	}
	var ok bool
	if f.apply, ok = filters[f.name]; !ok {
		p.unknown(name.line, "filter", f.name)
		f.apply = func(*state, value, callArgs) value { failf("no filter named %q", f.name); return nil }
	}
	return f
}

func (p *parser) test(e expr) expr {
	p.grow()
	negated := p.acceptName("not")
	name := p.name()
	t := &testExpr{e: e, name: name.text, line: name.line}
	next := p.peek()
	switch {
	case next.is(tokOp, "("):
		t.args = p.arguments()
	case next.is(tokName, "is"):
		failAt(next.line, "tests cannot be chained with is")
	case next.kind == tokName && next.text != "else" && next.text != "or" && next.text != "and",
		next.kind == tokString, next.kind == tokNumber, next.is(tokOp, "["), next.is(tokOp, "{"):
		t.args.pos = []expr{p.postfix(p.primary())}
	}
	var ok bool
	if t.apply, ok = tests[t.name]; !ok {
		p.unknown(name.line, "test", t.name)
		t.apply = func(*state, value, callArgs) bool { failf("no test named %q", t.name); return false }
	}
	if negated {
		return &notExpr{t}
	}
	return t
}

// unknown remembers to refuse a filter or a test, but not inside a condition: a
// template may ask first whether it has what it needs, and fails when it gets there
// after all.
func (p *parser) unknown(line int, kind, name string) {
	if p.conditions == 0 {
		p.unknowns = append(p.unknowns, failure{msg: fmt.Sprintf("no %s named %q", kind, name), line: line})
	}
}
