package chattemplate

type expr interface{ eval(s *state) value }

type constExpr struct{ v value }

func (e *constExpr) eval(*state) value { return e.v }

type nameExpr struct {
	name string
	line int
}

func (e *nameExpr) eval(s *state) value {
	s.line = e.line
	s.step()
	return s.lookup(e.name)
}

func (s *state) evalAll(exprs []expr) []value {
	items := make([]value, len(exprs))
	for i, e := range exprs {
		s.step()
		items[i] = unmarked(e.eval(s))
	}
	s.spend(16 * len(items))
	return items
}

type listExpr struct{ items []expr }

func (e *listExpr) eval(s *state) value { return &list{s.evalAll(e.items)} }

type tupleExpr struct{ items []expr }

func (e *tupleExpr) eval(s *state) value { return &tuple{items: s.evalAll(e.items)} }

type dictExpr struct{ keys, values []expr }

func (e *dictExpr) eval(s *state) value {
	d := newDict()
	for i, k := range e.keys {
		s.step()
		key := unmarked(k.eval(s))
		d.set(key, unmarked(e.values[i].eval(s)))
	}
	s.spend(32 * len(e.keys))
	return d
}

type condExpr struct {
	test, yes, no expr
	line          int
}

func (e *condExpr) eval(s *state) value {
	if truthy(e.test.eval(s)) {
		return e.yes.eval(s)
	}
	if e.no == nil {
		return &undefined{"the inline if-expression evaluated to false and no else section was defined"}
	}
	return e.no.eval(s)
}

// logicExpr gives one of its operands, as Python's and and or do.
type logicExpr struct {
	a, b expr
	or   bool
}

func (e *logicExpr) eval(s *state) value {
	s.step()
	if a := e.a.eval(s); truthy(a) == e.or {
		return a
	}
	return e.b.eval(s)
}

type notExpr struct{ e expr }

func (e *notExpr) eval(s *state) value { return !truthy(e.e.eval(s)) }

type comparison struct {
	op string
	e  expr
}

// compareExpr is a chain: a < b < c is a < b and b < c.
type compareExpr struct {
	first expr
	ops   []comparison
	line  int
}

func (e *compareExpr) eval(s *state) value {
	a := e.first.eval(s)
	for _, c := range e.ops {
		b := c.e.eval(s)
		s.line = e.line
		if !s.holds(c.op, a, b) {
			return false
		}
		a = b
	}
	return true
}

func (s *state) holds(op string, a, b value) bool {
	a, b = unmarked(a), unmarked(b)
	switch op {
	case "==":
		return s.equal(a, b)
	case "!=":
		return !s.equal(a, b)
	case "in":
		return s.contains(b, a)
	case "not in":
		return !s.contains(b, a)
	}
	c := s.compare(op, a, b)
	switch op {
	case "<":
		return c == -1
	case "<=":
		return c == -1 || c == 0
	case ">":
		return c == 1
	}
	return c == 1 || c == 0
}

type concatExpr struct{ parts []expr }

func (e *concatExpr) eval(s *state) value {
	if len(e.parts) == 1 {
		return s.str(e.parts[0].eval(s))
	}
	text := make([]string, len(e.parts))
	for i, p := range e.parts {
		s.step()
		text[i] = s.str(p.eval(s))
	}
	return s.joined(text, "")
}

type attrExpr struct {
	e    expr
	name string
	line int
}

func (e *attrExpr) eval(s *state) value {
	v := unmarked(e.e.eval(s))
	s.line = e.line
	return s.attr(v, e.name)
}

type indexExpr struct {
	e, index expr
	line     int
}

func (e *indexExpr) eval(s *state) value {
	v := unmarked(e.e.eval(s))
	index := unmarked(e.index.eval(s))
	s.line = e.line
	return s.index(v, index)
}

type sliceExpr struct {
	e, from, to, step expr
	line              int
}

func (e *sliceExpr) eval(s *state) value {
	v := unmarked(e.e.eval(s))
	part := func(e expr) value {
		if e == nil {
			return nil
		}
		return e.eval(s)
	}
	from, to, step := part(e.from), part(e.to), part(e.step)
	s.line = e.line
	return s.slice(v, from, to, step)
}
