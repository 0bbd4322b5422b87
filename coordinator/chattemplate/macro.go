package chattemplate

type macroParam struct {
	name string
	def  expr // or nil
}

type macroDef struct {
	name   string
	params []macroParam
	body   []stmt
	line   int
	// Whether the body speaks of these names; else the macro does not take them.
	varargs, kwargs, caller bool
}

// macro is a definition with the scope it stands in, whose names it sees as they
// are when it is called.
type macro struct {
	def   *macroDef
	outer *scope
}

type macroStmt struct{ def *macroDef }

func (st *macroStmt) exec(s *state) jump {
	s.scope.set(st.def.name, &macro{st.def, s.scope})
	return goOn
}

// callStmt calls a macro, handing it a block to call back.
type callStmt struct {
	call   *callExpr
	caller *macroDef
	line   int
}

func (st *callStmt) exec(s *state) jump {
	s.line = st.line
	caller := &macro{st.caller, s.scope}
	s.print(s.str(st.call.with(s, []kwArg{{"caller", caller}})))
	return goOn
}

func (m *macro) call(s *state, a callArgs) value {
	defer s.enter()()
	d := m.def
	args := make([]value, len(d.params))
	for i := range args {
		args[i] = missing
		if i < len(a.pos) {
			args[i] = a.pos[i]
		}
	}
	sc := &scope{parent: m.outer}
	m.keywords(s, sc, args, a.kw)
	if len(a.pos) > len(args) && !d.varargs {
		failf("macro '%s' takes not more than %d argument(s)", d.name, len(args))
	}
	if d.varargs {
		sc.set("varargs", &tuple{items: a.pos[min(len(args), len(a.pos)):]})
	}
	line := s.line
	text := s.capture(func() {
		s.inScope(sc, func() {
			for i, p := range d.params { // a default cannot see past them to outer names
				sc.set(p.name, &undefined{"'" + p.name + "' is undefined"})
				if args[i] != missing {
					sc.set(p.name, args[i])
				}
			}
			for i, p := range d.params {
				switch {
				case args[i] != missing:
				case p.def != nil: // may speak of the parameters before it
					args[i] = p.def.eval(s)
				default:
					args[i] = &undefined{"parameter '" + p.name + "' was not provided"}
				}
				sc.set(p.name, args[i])
			}
			s.run(d.body)
		})
	})
	s.line = line
	return text
}

// keywords puts keyword arguments where they belong.
func (m *macro) keywords(s *state, sc *scope, args []value, kw []kwArg) {
	d := m.def
	rest := newDict()
	if d.caller {
		sc.set("caller", &undefined{"no caller defined"})
	}
next:
	for _, k := range kw {
		for i, p := range d.params {
			if p.name != k.name {
				continue
			}
			if args[i] != missing {
				failf("macro '%s' got multiple values for argument '%s'", d.name, k.name)
			}
			args[i] = k.value
			continue next
		}
		switch {
		case k.name == "caller" && d.caller:
			sc.set("caller", k.value)
		case d.kwargs:
			rest.set(k.name, k.value)
		default:
			failf("macro '%s' takes no keyword argument '%s'", d.name, k.name)
		}
	}
	if d.kwargs {
		sc.set("kwargs", rest)
	}
}

func (m *macro) attr(name string) (value, bool) {
	switch name {
	case "name":
		return m.def.name, true
	case "arguments":
		var names []value
		for _, p := range m.def.params {
			names = append(names, p.name)
		}
		return &tuple{items: names}, true
	case "catch_varargs":
		return m.def.varargs, true
	case "catch_kwargs":
		return m.def.kwargs, true
	case "caller":
		return m.def.caller, true
	}
	return nil, false
}
