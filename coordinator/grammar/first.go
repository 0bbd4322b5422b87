package grammar

// findFirst finds which rules may be empty, and what bytes each may begin with.
func (g *Grammar) findFirst(callers [][]int32) {
	fixpoint(callers, func(r int32) bool {
		first, nullable := g.beginnings(g.rules[r].start)
		changed := nullable != g.rules[r].nullable
		g.rules[r].nullable = nullable
		return g.rules[r].first.union(&first) || changed
	})
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
