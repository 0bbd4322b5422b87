package grammar

import "sort"

// automaton is a deterministic automaton: the body of a rule, or, where no state
// calls, a regular language. State 0 is the start.
type automaton struct{ states []autoState }

type autoState struct {
	accept bool
	bytes  []byteArc // disjoint, ascending
	calls  []callArc // one per rule
	hub    *hubGuard
}

type byteArc struct {
	lo, hi byte
	to     int32
}

type callArc struct{ rule, to int32 }

// hubGuard are the conditions of a counted loop's turning point: a byte in exit may be
// read when the count is at least min, another one when it is below max.
type hubGuard struct {
	min, max int32
	exit     byteSet
}

func (a *automaton) next(state int32, b byte) int32 {
	arcs := a.states[state].bytes
	i := sort.Search(len(arcs), func(i int) bool { return arcs[i].hi >= b })
	if i < len(arcs) && arcs[i].lo <= b {
		return arcs[i].to
	}
	return -1
}

// matches says whether a regular language has the whole text.
func (a *automaton) matches(text string) bool {
	s := int32(0)
	for i := 0; i < len(text); i++ {
		if s = a.next(s, text[i]); s < 0 {
			return false
		}
	}
	return a.states[s].accept
}

// empty says whether a regular language has no text at all.
func (a *automaton) empty() bool {
	for i := range a.states {
		if a.states[i].accept { // explore and determinize make reachable states only
			return false
		}
	}
	return true
}

// explore makes the automaton of a step function over a comparable state, over the
// given bytes: the way to write one down directly.
func explore[S comparable](b *budget, start S, bytes []byte, step func(S, byte) (S, bool), accept func(S) bool) (*automaton, error) {
	ids := map[S]int32{start: 0}
	order := []S{start}
	a := &automaton{}
	for i := 0; i < len(order); i++ {
		// Such states are dearer than others: many calls of step each.
		if !b.takeStates(4) || !b.takeWork(len(bytes)) {
			return nil, errTooLarge
		}
		st := autoState{accept: accept(order[i])}
		for _, c := range bytes {
			s, ok := step(order[i], c)
			if !ok {
				continue
			}
			id, known := ids[s]
			if !known {
				id = int32(len(order))
				ids[s] = id
				order = append(order, s)
			}
			st.bytes = appendArc(st.bytes, byteArc{c, c, id})
		}
		a.states = append(a.states, st)
	}
	return a, nil
}

// appendArc adds an arc after the others, joined to the last where it continues it.
func appendArc(arcs []byteArc, a byteArc) []byteArc {
	if n := len(arcs); n > 0 && arcs[n-1].to == a.to && int(arcs[n-1].hi)+1 == int(a.lo) {
		arcs[n-1].hi = a.hi
		return arcs
	}
	return append(arcs, a)
}

// intersect is the language of the texts that both have.
func intersect(bud *budget, a, b *automaton) (*automaton, error) {
	return product(bud, a, b, false)
}

// subtract is the language of the texts of a that b lacks.
func subtract(bud *budget, a, b *automaton) (*automaton, error) {
	return product(bud, a, b, true)
}

// product runs both automata. With minus, a goes on where b has died.
func product(bud *budget, a, b *automaton, minus bool) (*automaton, error) {
	type pair struct{ a, b int32 }
	ids := map[pair]int32{{0, 0}: 0}
	order := []pair{{0, 0}}
	out := &automaton{}
	for i := 0; i < len(order); i++ {
		if !bud.takeStates(1) {
			return nil, errTooLarge
		}
		p := order[i]
		st := autoState{accept: a.states[p.a].accept && (p.b >= 0 && b.states[p.b].accept) != minus}
		visit := func(lo, hi int, to pair) {
			id, ok := ids[to]
			if !ok {
				id = int32(len(order))
				ids[to] = id
				order = append(order, to)
			}
			st.bytes = appendArc(st.bytes, byteArc{byte(lo), byte(hi), id})
		}
		var other []byteArc
		if p.b >= 0 {
			other = b.states[p.b].bytes
		}
		for _, e := range a.states[p.a].bytes {
			if !bud.takeWork(1 + len(other)) {
				return nil, errTooLarge
			}
			lo := int(e.lo)
			for _, f := range other {
				if int(f.hi) < lo || f.lo > e.hi {
					continue
				}
				if minus && int(f.lo) > lo {
					visit(lo, int(f.lo)-1, pair{e.to, -1})
				}
				visit(max(lo, int(f.lo)), min(int(e.hi), int(f.hi)), pair{e.to, f.to})
				lo = int(f.hi) + 1
			}
			if minus && lo <= int(e.hi) {
				visit(lo, int(e.hi), pair{e.to, -1})
			}
		}
		out.states = append(out.states, st)
	}
	return out.trim(), nil
}

// trim cuts off the states of a regular language from which no text ends.
func (a *automaton) trim() *automaton {
	back := make([][]int32, len(a.states))
	var work []int32
	alive := make([]bool, len(a.states))
	for i := range a.states {
		for _, e := range a.states[i].bytes {
			back[e.to] = append(back[e.to], int32(i))
		}
		if a.states[i].accept {
			alive[i] = true
			work = append(work, int32(i))
		}
	}
	for len(work) > 0 {
		s := work[len(work)-1]
		work = work[:len(work)-1]
		for _, p := range back[s] {
			if !alive[p] {
				alive[p] = true
				work = append(work, p)
			}
		}
	}
	renumber := make([]int32, len(a.states))
	out := &automaton{}
	for i := range a.states {
		if alive[i] || i == 0 {
			renumber[i] = int32(len(out.states))
			out.states = append(out.states, autoState{accept: a.states[i].accept})
		}
	}
	for i := range a.states {
		if !alive[i] && i != 0 {
			continue
		}
		st := &out.states[renumber[i]]
		for _, e := range a.states[i].bytes {
			if alive[e.to] {
				st.bytes = append(st.bytes, byteArc{e.lo, e.hi, renumber[e.to]})
			}
		}
	}
	return out
}
