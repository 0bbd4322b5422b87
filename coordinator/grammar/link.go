package grammar

// linker finds which rules and states can be finished, and numbers those.
type linker struct {
	rules      []rule
	productive []bool   // by rule: some text fits
	alive      [][]bool // by rule and state: some text leads to the rule's end
}

func (l *linker) findProductive() {
	for changed := true; changed; {
		changed = false
		for r := range l.rules {
			if l.productive[r] {
				continue
			}
			l.alive[r] = l.finishable(l.rules[r].body)
			if l.alive[r][0] {
				l.productive[r], changed = true, true
			}
		}
	}
	// A rule's states were judged when it first proved productive; rules that turned
	// out productive later may have brought more of them to life.
	for r := range l.rules {
		l.alive[r] = l.finishable(l.rules[r].body)
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

// emit writes the rules that root needs, and of each the states that live.
func (l *linker) emit(g *Grammar, root int32) {
	ruleID := make([]int32, len(l.rules))
	for i := range ruleID {
		ruleID[i] = -1
	}
	var order []int32
	need := func(r int32) int32 {
		if ruleID[r] < 0 {
			ruleID[r] = int32(len(order))
			order = append(order, r)
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
					return need(rule)
				}))
			}
		}
		g.markLoop(first)
	}
	g.start = g.rules[0].start
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

// findFirst finds which rules may be empty, and what bytes each may begin with.
func (g *Grammar) findFirst() {
	for changed := true; changed; {
		changed = false
		for r := range g.rules {
			first, nullable := g.beginnings(g.rules[r].start)
			if g.rules[r].first.union(&first) || nullable != g.rules[r].nullable {
				g.rules[r].nullable, changed = nullable, true
			}
		}
	}
}

// beginnings is what may be read from a state of a frame before it ends, and whether
// it may end at once.
func (g *Grammar) beginnings(from int32) (first byteSet, nullable bool) {
	work := []int32{from}
	for i := 0; i < len(work); i++ {
		st := &g.states[work[i]]
		nullable = nullable || st.accept
		for _, e := range g.arcs[st.arcs : st.arcs+st.narcs] {
			first.addRange(e.lo, e.hi)
		}
	calls:
		for _, c := range g.calls[st.calls : st.calls+st.ncalls] {
			first.union(&g.rules[c.rule].first)
			if !g.rules[c.rule].nullable {
				continue
			}
			for _, s := range work {
				if s == c.to {
					continue calls
				}
			}
			work = append(work, c.to)
		}
	}
	return first, nullable
}

func (g *Grammar) markLast() {
	for i := range g.states {
		st := &g.states[i]
		st.last = st.accept && st.narcs == 0 && st.ncalls == 0
	}
}
