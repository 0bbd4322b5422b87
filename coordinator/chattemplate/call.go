package chattemplate

type kwExpr struct {
	name string
	e    expr
}

type argList struct {
	pos            []expr
	kw             []kwExpr
	star, starStar expr
}

type kwArg struct {
	name  string
	value value
}

// callArgs are the arguments of one call.
type callArgs struct {
	pos []value
	kw  []kwArg
}

func (a *argList) eval(s *state) callArgs {
	c := callArgs{pos: s.evalAll(a.pos)}
	if a.star != nil {
		c.pos = append(c.pos, s.iterate(a.star.eval(s))...)
	}
	for _, kw := range a.kw {
		c.kw = append(c.kw, kwArg{kw.name, unmarked(kw.e.eval(s))})
	}
	if a.starStar != nil {
		d, ok := a.starStar.eval(s).(*dict)
		if !ok {
			failf("argument after ** must be a mapping")
		}
		for i, key := range d.keys {
			name, ok := key.(string)
			if !ok {
				failf("keywords must be strings")
			}
			c.kw = append(c.kw, kwArg{name, d.values[i]})
		}
	}
	return c
}

type callExpr struct {
	f    expr
	args argList
	line int
}

func (e *callExpr) eval(s *state) value { return e.with(s, nil) }

// with calls with the arguments and perhaps one more.
func (e *callExpr) with(s *state, extra []kwArg) value {
	f := e.f.eval(s)
	a := e.args.eval(s)
	a.kw = append(a.kw, extra...)
	s.line = e.line
	return s.call(f, a)
}

func (s *state) call(f value, a callArgs) value {
	s.step()
	switch f := f.(type) {
	case *function:
		return f.call(s, a)
	case *macro:
		return f.call(s, a)
	}
	s.defined(f)
	failf("'%s' object is not callable", typeName(f))
	return nil
}

type filterExpr struct {
	e     expr
	name  string
	args  argList
	apply filter
	line  int
}

func (e *filterExpr) eval(s *state) value { return e.on(s, e.e.eval(s)) }

func (e *filterExpr) on(s *state, v value) value {
	a := e.args.eval(s)
	s.line = e.line
	s.step()
	if !keepsMarkup[e.name] {
		v = unmarked(v)
	}
	return e.apply(s, v, a)
}

// keepsMarkup are the filters that tell markup from a string.
var keepsMarkup = map[string]bool{"safe": true, "string": true, "e": true, "escape": true, "forceescape": true}

type testExpr struct {
	e     expr
	name  string
	args  argList
	apply test
	line  int
}

func (e *testExpr) eval(s *state) value {
	v := e.e.eval(s)
	a := e.args.eval(s)
	s.line = e.line
	s.step()
	return e.apply(s, unmarked(v), a)
}
