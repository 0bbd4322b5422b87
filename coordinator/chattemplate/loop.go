package chattemplate

type forStmt struct {
	target    target
	over      expr
	test      expr // or nil
	body      []stmt
	otherwise []stmt
	line      int
}

// loop is the variable of that name. Items are tested only when the loop comes to
// them (or looks ahead), since the test may depend on what the body did before.
type loop struct {
	s        *state
	st       *forStmt
	outer    *scope
	items    []value // still to come
	ahead    []value // tested, not yet taken
	index0   int
	seen     int   // taken so far
	last     value // the item before, for previtem
	cur      value
	changed  []value
	changing bool
}

func (st *forStmt) exec(s *state) jump {
	s.line = st.line
	l := &loop{s: s, st: st, outer: s.scope, items: s.iterate(st.over.eval(s)), last: missing, cur: missing}
	completed := false // a pass came to its end: the else of Jinja asks for no more
	for l.fill(1) {
		s.step()
		l.last, l.cur = l.cur, l.ahead[0]
		l.ahead = l.ahead[1:]
		l.index0 = l.seen
		l.seen++
		j := goOn
		s.inScope(&scope{parent: l.outer, vars: map[string]value{"loop": l}}, func() {
			st.target.assign(s, l.cur)
			j = s.run(st.body)
		})
		if j == breakLoop {
			break
		}
		completed = completed || j == goOn
		s.line = st.line
	}
	if !completed {
		j := goOn
		s.inScope(&scope{parent: l.outer}, func() { j = s.run(st.otherwise) })
		return j
	}
	return goOn
}

// fill tests items until n are ahead, and says whether there are that many.
func (l *loop) fill(n int) bool {
	for len(l.ahead) < n && len(l.items) > 0 {
		item := l.items[0]
		l.items = l.items[1:]
		if l.passes(item) {
			l.ahead = append(l.ahead, item)
		}
	}
	return len(l.ahead) >= n
}

func (l *loop) passes(item value) bool {
	if l.st.test == nil {
		return true
	}
	ok := false
	l.s.step()
	l.s.inScope(&scope{parent: l.outer}, func() {
		l.st.target.assign(l.s, item)
		ok = truthy(l.st.test.eval(l.s))
	})
	return ok
}

func (l *loop) length() int {
	l.fill(len(l.items) + len(l.ahead))
	return l.seen + len(l.ahead)
}

func (l *loop) attr(name string) (value, bool) {
	switch name {
	case "index":
		return int64(l.index0 + 1), true
	case "index0":
		return int64(l.index0), true
	case "revindex":
		return int64(l.length() - l.index0), true
	case "revindex0":
		return int64(l.length() - l.index0 - 1), true
	case "first":
		return l.index0 == 0, true
	case "last":
		return !l.fill(1), true
	case "length":
		return int64(l.length()), true
	case "depth":
		return int64(1), true
	case "depth0":
		return int64(0), true
	case "previtem":
		if l.last == missing {
			return &undefined{"there is no previous item"}, true
		}
		return l.last, true
	case "nextitem":
		if !l.fill(1) {
			return &undefined{"there is no next item"}, true
		}
		return l.ahead[0], true
	case "cycle":
		return &function{"cycle", func(s *state, a callArgs) value {
			if len(a.pos) == 0 {
				failf("no items for cycling given")
			}
			return a.pos[l.index0%len(a.pos)]
		}}, true
	case "changed":
		return &function{"changed", func(s *state, a callArgs) value {
			if l.changing && s.equalItems(l.changed, a.pos) {
				return false
			}
			l.changing, l.changed = true, a.pos
			return true
		}}, true
	}
	return nil, false
}
