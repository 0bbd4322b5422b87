package grammar

import "math"

// far is longer than any rest of a text.
const far = math.MaxInt32 / 4

// distances say how many bytes are needed to get to an end at least. Counted loops
// are left out of rest: what their least count still wants is added where the count
// is known.
type distances struct {
	g    *Grammar
	rest []int32 // by state, to the end of its rule's frame; of a loop's turning point, by leaving it
	back []int32 // by state inside a counted loop, to its turning point
	turn []int32 // by loop, from its turning point back to it
	rule []int32 // by rule, of a whole text
}

// least finds the distances, once. States are evaluated again whenever what they
// lead to has come nearer.
func (g *Grammar) least() *distances {
	g.once.Do(func() {
		d := &distances{g: g, rest: filled(len(g.states)), back: filled(len(g.states)), turn: filled(len(g.hubs)), rule: filled(len(g.rules))}
		from := make([][]int32, len(g.states)) // states that lead to a state
		callers := make([][]int32, len(g.rules))
		starts := map[int32][]int32{}
		for r := range g.rules {
			starts[g.rules[r].start] = append(starts[g.rules[r].start], int32(r))
		}
		var work []int32
		queued := make([]bool, len(g.states))
		push := func(states []int32) {
			for _, s := range states {
				if !queued[s] {
					queued[s] = true
					work = append(work, s)
				}
			}
		}
		for s := range int32(len(g.states)) {
			d.leads(s, func(to, _ int32, _ bool) { from[to] = append(from[to], s) })
			for _, c := range g.callsOf(s) {
				callers[c.rule] = append(callers[c.rule], s)
			}
			if g.states[s].accept {
				push([]int32{s})
			}
		}
		for h := range g.hubs {
			if g.hubs[h].min > 0 { // the way back may be found before the way out
				for s := range int32(len(g.states)) {
					if g.states[s].loop == int32(h) {
						push([]int32{s})
					}
				}
			}
		}
		for len(work) > 0 {
			s := work[0]
			work = work[1:]
			queued[s] = false
			if !d.evaluate(s) {
				continue
			}
			push(from[s])
			for _, r := range starts[s] {
				if n := d.enter(-1, s); n < d.rule[r] {
					d.rule[r] = n
					push(callers[r])
				}
			}
		}
		g.distances = d
	})
	return g.distances
}

func filled(n int) []int32 {
	s := make([]int32, n)
	for i := range s {
		s[i] = far
	}
	return s
}

func (g *Grammar) callsOf(s int32) []callArc {
	st := &g.states[s]
	return g.calls[st.calls : st.calls+st.ncalls]
}

// leads visits the ways from a state: where to, what they read at least, and whether
// they stay in the loop whose turning point the state is.
func (d *distances) leads(s int32, visit func(to, cost int32, stays bool)) {
	g := d.g
	st := &g.states[s]
	for _, a := range g.arcs[st.arcs : st.arcs+st.narcs] {
		visit(a.to, 1, st.hub >= 0 && !g.hubs[st.hub].exit.has(a.lo))
	}
	for _, c := range g.callsOf(s) {
		visit(c.to, d.rule[c.rule], false)
	}
}

// enter is the distance from a state to its frame's end, for one who comes from
// another one (-1: from nowhere): a loop that is begun wants its least count.
func (d *distances) enter(from, to int32) int32 {
	n, h := d.rest[to], d.g.states[to].hub
	if h >= 0 && (from < 0 || d.g.states[from].loop != h) {
		n = sum(n, times(d.g.hubs[h].min, d.turn[h]))
	}
	return n
}

// evaluate finds a state's distances anew, and says whether one of them is shorter.
func (d *distances) evaluate(s int32) (nearer bool) {
	st := &d.g.states[s]
	rest, back := int32(far), int32(far)
	if st.accept {
		rest = 0
	}
	d.leads(s, func(to, cost int32, stays bool) {
		if !stays {
			rest = min(rest, sum(cost, d.enter(s, to)))
		}
		switch {
		case st.loop < 0 || st.hub >= 0 && !stays:
		case d.g.states[to].hub == st.loop:
			back = min(back, cost)
		case d.g.states[to].loop == st.loop:
			back = min(back, sum(cost, d.back[to]))
		}
	})
	if st.hub >= 0 && back < d.turn[st.hub] {
		d.turn[st.hub] = back
		nearer = true
	}
	if rest < d.rest[s] || back < d.back[s] {
		d.rest[s], d.back[s] = min(rest, d.rest[s]), min(back, d.back[s])
		nearer = true
	}
	return nearer
}

// of is the distance of an item to its frame's end.
func (d *distances) of(it item) int32 {
	n := d.rest[it.state]
	h := d.g.states[it.state].loop
	if h < 0 {
		return n
	}
	count := it.count
	if d.g.states[it.state].hub < 0 {
		count++ // when the turning point is reached
	}
	return sum(n, times(max(d.g.hubs[h].min-count, 0), d.turn[h]))
}

func sum(a, b int32) int32 { return min(a+b, far) }

func times(n, each int32) int32 { return int32(min(int64(n)*int64(each), far)) }
