package grammar

import "slices"

// determinize is the subset construction. Calls are letters of the alphabet like
// bytes; a hub stands alone in its set, which the callers of nfa.counted see to.
func determinize(n *nfa, start, accept int32) (*automaton, error) {
	d := &subsets{n: n, accept: accept, ids: map[string]int32{}, mark: make([]uint32, len(n.states))}
	d.add([]int32{start}, true)
	for i := 0; i < len(d.sets) && !n.full; i++ {
		d.expand(int32(i))
	}
	if n.full {
		return nil, errTooLarge
	}
	return &d.out, nil
}

type subsets struct {
	n      *nfa
	accept int32
	out    automaton
	sets   [][]int32
	ids    map[string]int32
	// mark[s] == gen: s is in the closure being made.
	mark []uint32
	gen  uint32
	key  []byte
}

// closure returns the states that can be reached without reading, those that matter
// (they read, call or turn), sorted, and whether the text may end here.
func (d *subsets) closure(from []int32, atBegin bool) (set []int32, accept bool) {
	d.gen++
	work := slices.Clone(from)
	var ends []int32
	visit := func(s int32) {
		if d.mark[s] != d.gen {
			d.mark[s] = d.gen
			work = append(work, s)
		}
	}
	for _, s := range from {
		d.mark[s] = d.gen
	}
	for len(work) > 0 {
		s := work[len(work)-1]
		work = work[:len(work)-1]
		st := &d.n.states[s]
		accept = accept || s == d.accept
		reads := st.hub != nil
		for _, a := range st.arcs {
			switch {
			case a.kind == arcEmpty, a.kind == arcBegin && atBegin:
				visit(a.to)
			case a.kind == arcEnd:
				ends = append(ends, a.to)
			case a.kind == arcByte, a.kind == arcCall:
				reads = true
			}
		}
		if reads {
			set = append(set, s)
		}
		if !d.n.bud.takeWork(1 + len(st.arcs)) {
			d.n.full = true
			return nil, false
		}
	}
	// Behind an end assertion nothing can be read any more, only the end reached.
	for seen := map[int32]bool{}; len(ends) > 0 && !accept; {
		s := ends[len(ends)-1]
		ends = ends[:len(ends)-1]
		if seen[s] {
			continue
		}
		seen[s] = true
		accept = accept || s == d.accept
		for _, a := range d.n.states[s].arcs {
			if a.kind == arcEmpty || a.kind == arcEnd || a.kind == arcBegin && atBegin {
				ends = append(ends, a.to)
			}
		}
	}
	slices.Sort(set)
	return slices.Compact(set), accept
}

// add returns the state of the automaton for the closure of from.
func (d *subsets) add(from []int32, atBegin bool) int32 {
	set, accept := d.closure(from, atBegin)
	d.key = d.key[:0]
	for _, s := range set {
		d.key = append(d.key, byte(s), byte(s>>8), byte(s>>16), byte(s>>24))
	}
	if accept {
		d.key = append(d.key, 1)
	}
	if id, ok := d.ids[string(d.key)]; ok {
		return id
	}
	if !d.n.bud.takeStates(1) {
		d.n.full = true
		return 0
	}
	id := int32(len(d.sets))
	d.ids[string(d.key)] = id
	d.sets = append(d.sets, set)
	d.out.states = append(d.out.states, autoState{accept: accept})
	return id
}

func (d *subsets) expand(id int32) {
	set := d.sets[id]
	if len(set) > 0 && d.n.states[set[0]].hub != nil {
		d.expandHub(id, set)
		return
	}
	d.out.states[id].bytes = d.byteArcs(set)
	d.out.states[id].calls = d.callArcs(set)
}

func (d *subsets) expandHub(id int32, set []int32) {
	spec := d.n.states[set[0]].hub
	if len(set) > 1 || d.out.states[id].accept {
		panic("grammar: a counted loop's turn is ambiguous")
	}
	loopSet, a1 := d.closure([]int32{spec.loop}, false)
	exitSet, a2 := d.closure([]int32{spec.exit}, false)
	if d.n.full {
		return
	}
	loop, exit := d.byteArcs(loopSet), d.byteArcs(exitSet)
	guard := &hubGuard{min: spec.min, max: spec.max}
	for _, e := range exit {
		guard.exit.addRange(e.lo, e.hi)
	}
	for _, e := range loop {
		for b := int(e.lo); b <= int(e.hi); b++ {
			if guard.exit.has(byte(b)) {
				a1 = true
			}
		}
	}
	if a1 || a2 || len(d.callArcs(loopSet))+len(d.callArcs(exitSet)) > 0 {
		panic("grammar: a counted loop and its tail begin alike")
	}
	arcs := append(loop, exit...)
	slices.SortFunc(arcs, func(a, b byteArc) int { return int(a.lo) - int(b.lo) })
	d.out.states[id].bytes, d.out.states[id].hub = arcs, guard
}

// byteArcs cuts the bytes at every place where an arc of the set begins or ends.
func (d *subsets) byteArcs(set []int32) []byteArc {
	var arcs []nfaArc
	var cut [257]bool
	for _, s := range set {
		for _, a := range d.n.states[s].arcs {
			if a.kind == arcByte {
				arcs = append(arcs, a)
				cut[a.lo], cut[int(a.hi)+1] = true, true
			}
		}
	}
	slices.SortFunc(arcs, func(a, b nfaArc) int { return int(a.lo) - int(b.lo) })
	var out []byteArc
	var to []int32
	for lo, first := 0, 0; lo < 256 && first < len(arcs); {
		hi := lo + 1
		for hi < 256 && !cut[hi] {
			hi++
		}
		for first < len(arcs) && int(arcs[first].hi) < lo {
			first++
		}
		to = to[:0]
		i := first
		for ; i < len(arcs) && int(arcs[i].lo) <= lo; i++ {
			if int(arcs[i].hi) >= lo {
				to = append(to, arcs[i].to)
			}
		}
		if !d.n.bud.takeWork(1 + i - first) {
			d.n.full = true
			return nil
		}
		if len(to) > 0 {
			out = appendArc(out, byteArc{byte(lo), byte(hi - 1), d.add(to, false)})
		}
		lo = hi
	}
	return out
}

func (d *subsets) callArcs(set []int32) []callArc {
	var rules []int32
	to := map[int32][]int32{}
	for _, s := range set {
		for _, a := range d.n.states[s].arcs {
			if a.kind != arcCall {
				continue
			}
			if len(to[a.rule]) == 0 {
				rules = append(rules, a.rule)
			}
			to[a.rule] = append(to[a.rule], a.to)
		}
	}
	var out []callArc
	for _, r := range rules {
		out = append(out, callArc{rule: r, to: d.add(to[r], false)})
	}
	return out
}
