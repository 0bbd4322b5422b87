package chattemplate

// jump says how a list of statements ended.
type jump uint8

const (
	goOn jump = iota
	breakLoop
	continueLoop
)

type stmt interface{ exec(s *state) jump }

func (s *state) run(body []stmt) jump {
	for _, st := range body {
		s.step()
		if j := st.exec(s); j != goOn {
			return j
		}
	}
	return goOn
}

type jumpStmt jump

func (j jumpStmt) exec(*state) jump { return jump(j) }

type dataStmt struct{ text string }

func (d *dataStmt) exec(s *state) jump {
	s.print(d.text)
	return goOn
}

type printStmt struct {
	expr expr
	line int
}

func (p *printStmt) exec(s *state) jump {
	s.line = p.line
	s.print(s.str(p.expr.eval(s)))
	return goOn
}

type branch struct {
	cond expr
	body []stmt
	line int
}

type ifStmt struct {
	branches  []branch
	otherwise []stmt
}

func (st *ifStmt) exec(s *state) jump {
	for _, b := range st.branches {
		s.line = b.line
		if truthy(b.cond.eval(s)) {
			return s.run(b.body)
		}
	}
	return s.run(st.otherwise)
}

type setStmt struct {
	target target
	value  expr
	line   int
}

func (st *setStmt) exec(s *state) jump {
	s.line = st.line
	st.target.assign(s, st.value.eval(s))
	return goOn
}

type setBlockStmt struct {
	target  target
	filters []*filterExpr
	body    []stmt
	line    int
}

func (st *setBlockStmt) exec(s *state) jump {
	v := value(s.block(st.body))
	s.line = st.line
	for _, f := range st.filters {
		v = f.on(s, v)
	}
	st.target.assign(s, v)
	return goOn
}

// block renders a body with names of its own into a string.
func (s *state) block(body []stmt) string {
	return s.capture(func() {
		s.inScope(&scope{parent: s.scope}, func() { s.run(body) })
	})
}

type filterStmt struct {
	filters []*filterExpr
	body    []stmt
	line    int
}

func (st *filterStmt) exec(s *state) jump {
	v := value(s.block(st.body))
	s.line = st.line
	for _, f := range st.filters {
		v = f.on(s, v)
	}
	s.print(s.str(v))
	return goOn
}

type withStmt struct {
	targets []target
	values  []expr
	body    []stmt
	line    int
}

func (st *withStmt) exec(s *state) jump {
	s.line = st.line
	var values []value
	for _, e := range st.values {
		values = append(values, e.eval(s))
	}
	j := goOn
	s.inScope(&scope{parent: s.scope}, func() {
		for i, t := range st.targets {
			t.assign(s, values[i])
		}
		j = s.run(st.body)
	})
	return j
}

// target is what can be assigned to.
type target interface{ assign(s *state, v value) }

type nameTarget string

func (t nameTarget) assign(s *state, v value) { s.scope.set(string(t), v) }

type attrTarget struct {
	name, attr string
	line       int
}

func (t *attrTarget) assign(s *state, v value) {
	s.line = t.line
	ns, ok := s.lookup(t.name).(*namespace)
	if !ok {
		failf("cannot assign attribute on non-namespace object")
	}
	s.spend(32)
	ns.attrs.set(t.attr, v)
}

type tupleTarget struct {
	targets []target
	line    int
}

func (t *tupleTarget) assign(s *state, v value) {
	s.line = t.line
	items := s.iterate(v)
	switch {
	case len(items) < len(t.targets):
		failf("not enough values to unpack (expected %d, got %d)", len(t.targets), len(items))
	case len(items) > len(t.targets):
		failf("too many values to unpack (expected %d)", len(t.targets))
	}
	for i, target := range t.targets {
		target.assign(s, items[i])
	}
}
