package grammar

// linker finds which rules and states can be finished, and numbers those.
type linker struct {
	rules      []rule
	productive []bool   // by rule: some text fits
	alive      [][]bool // by rule and state: some text leads to the rule's end
}

func (l *linker) findProductive() {
	callers := make([][]int32, len(l.rules))
	for r := range l.rules {
		for i := range l.rules[r].body.states {
			for _, c := range l.rules[r].body.states[i].calls {
				callers[c.rule] = append(callers[c.rule], int32(r))
			}
		}
	}
	fixpoint(callers, func(r int32) bool {
		was := l.productive[r]
		l.productive[r] = was || l.finishable(l.rules[r].body)[0]
		return l.productive[r] != was
	})
	for r := range l.rules {
		l.alive[r] = l.finishable(l.rules[r].body)
	}
}

// fixpoint evaluates rules, last ones first since those are what earlier ones call,
// and the callers of a rule again whenever its evaluation says that it changed.
func fixpoint(callers [][]int32, eval func(int32) bool) {
	var queue []int32
	queued := make([]bool, len(callers))
	push := func(r int32) {
		if !queued[r] {
			queued[r] = true
			queue = append(queue, r)
		}
	}
	for r := len(callers) - 1; r >= 0; r-- {
		push(int32(r))
	}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		queued[r] = false
		if eval(r) {
			for _, c := range callers[r] {
				push(c)
			}
		}
	}
}

// finishable says of each state whether the end can be reached by bytes and by calls
// of rules known to be productive.
func (l *linker) finishable(a *automaton) []bool {
	alive := make([]bool, len(a.states))
	back := make([][]int32, len(a.states))
	var work []int32
	mark := func(s int32) {
		if !alive[s] {
			alive[s] = true
			work = append(work, s)
		}
	}
	for i := range a.states {
		st := &a.states[i]
		for _, e := range st.bytes {
			if st.hub == nil || st.hub.exit.has(e.lo) && l.canLeave(a, int32(i)) {
				back[e.to] = append(back[e.to], int32(i))
			}
		}
		for _, c := range st.calls {
			if l.productive[c.rule] {
				back[c.to] = append(back[c.to], int32(i))
			}
		}
		if st.accept {
			mark(int32(i))
		}
	}
	for len(work) > 0 {
		s := work[len(work)-1]
		work = work[:len(work)-1]
		for _, p := range back[s] {
			mark(p)
		}
	}
	return alive
}

// canLeave says whether a counted loop can reach its least count: at once, or because
// an iteration can be finished.
func (l *linker) canLeave(a *automaton, hub int32) bool {
	guard := a.states[hub].hub
	if guard.min == 0 {
		return true
	}
	seen := make([]bool, len(a.states))
	var work []int32
	visit := func(s int32) bool {
		if !seen[s] {
			seen[s] = true
			work = append(work, s)
		}
		return s == hub
	}
	for _, e := range a.states[hub].bytes {
		if !guard.exit.has(e.lo) && visit(e.to) {
			return true
		}
	}
	for len(work) > 0 {
		st := &a.states[work[len(work)-1]]
		work = work[:len(work)-1]
		for _, e := range st.bytes {
			if visit(e.to) {
				return true
			}
		}
		for _, c := range st.calls {
			if l.productive[c.rule] && visit(c.to) {
				return true
			}
		}
	}
	return false
}

// emit writes the rules that root needs, and of each the states that live. It returns
// who calls each rule.
func (l *linker) emit(g *Grammar, root int32) (callers [][]int32) {
	ruleID := make([]int32, len(l.rules))
	for i := range ruleID {
		ruleID[i] = -1
	}
	var order []int32
	need := func(r int32) int32 {
		if ruleID[r] < 0 {
			ruleID[r] = int32(len(order))
			order = append(order, r)
			callers = append(callers, nil)
		}
		return ruleID[r]
	}
	need(root)
	for i := 0; i < len(order); i++ {
		r := order[i]
		a, alive := l.rules[r].body, l.alive[r]
		at := make([]int32, len(a.states))
		n := int32(len(g.states))
		for s := range a.states {
			if at[s] = -1; alive[s] {
				at[s] = n
				n++
			}
		}
		g.rules = append(g.rules, ruleInfo{start: at[0]})
		first := int32(len(g.states))
		for s := range a.states {
			if alive[s] {
				g.states = append(g.states, g.emitState(&a.states[s], at, func(rule int32) int32 {
					if !l.productive[rule] {
						return -1
					}
					id := need(rule)
					callers[id] = append(callers[id], int32(i))
					return id
				}))
			}
		}
		g.markLoop(first)
	}
	g.start = g.rules[0].start
	return callers
}

func (g *Grammar) emitState(s *autoState, at []int32, rule func(int32) int32) state {
	st := state{
		arcs: int32(len(g.arcs)), calls: int32(len(g.calls)),
		dense: -1, hub: -1, loop: -1, accept: s.accept,
	}
	if s.hub != nil {
		st.hub = int32(len(g.hubs))
		g.hubs = append(g.hubs, *s.hub)
	}
	for _, e := range s.bytes {
		if at[e.to] >= 0 {
			g.arcs = append(g.arcs, byteArc{e.lo, e.hi, at[e.to]})
		}
	}
	st.narcs = int32(len(g.arcs)) - st.arcs
	if st.narcs > 3 && len(g.dense) < denseRows {
		var row [256]int32
		for b := range row {
			row[b] = -1
		}
		for _, e := range g.arcs[st.arcs:] {
			for b := int(e.lo); b <= int(e.hi); b++ {
				row[b] = e.to
			}
		}
		st.dense = int32(len(g.dense))
		g.dense = append(g.dense, row)
	}
	for _, c := range s.calls {
		if id := rule(c.rule); id >= 0 && at[c.to] >= 0 {
			g.calls = append(g.calls, callArc{id, at[c.to]})
		}
	}
	st.ncalls = int32(len(g.calls)) - st.calls
	st.quiet = !st.accept && st.ncalls == 0
	return st
}

// markLoop marks the states, of the rule that begins at first, inside a counted loop:
// those between its turn and itself, where the count differs.
func (g *Grammar) markLoop(first int32) {
	for h := first; h < int32(len(g.states)); h++ {
		hub := g.states[h].hub
		if hub < 0 {
			continue
		}
		work := []int32{h}
		visit := func(s int32) {
			if g.states[s].loop < 0 {
				g.states[s].loop = hub
				work = append(work, s)
			}
		}
		g.states[h].loop = hub
		for len(work) > 0 {
			s := work[len(work)-1]
			work = work[:len(work)-1]
			st := g.states[s]
			for _, e := range g.arcs[st.arcs : st.arcs+st.narcs] {
				if s != h || !g.hubs[hub].exit.has(e.lo) {
					visit(e.to)
				}
			}
			for _, c := range g.calls[st.calls : st.calls+st.ncalls] {
				visit(c.to)
			}
		}
	}
}

func (g *Grammar) markLast() {
	for i := range g.states {
		st := &g.states[i]
		st.last = st.accept && st.narcs == 0 && st.ncalls == 0
	}
}
