package grammar

// nfa is a nondeterministic automaton under construction: the body of one rule, or a
// regular language of its own. Its building methods take the state to go on from and
// return the state they arrive at, so that a sequence is a chain of calls.
type nfa struct {
	states []nfaState
	bud    *budget
	shapes map[string]*classShape // of the classes used so far
	// full: the budget ran out. States asked for since are state 0; determinize
	// reports errTooLarge, so builders need not look.
	full bool
}

type nfaState struct {
	arcs []nfaArc
	hub  *hubSpec
}

type nfaArc struct {
	kind   arcKind
	lo, hi byte  // arcByte
	rule   int32 // arcCall
	to     int32
}

type arcKind uint8

const (
	arcEmpty arcKind = iota
	arcByte
	arcCall
	arcBegin // passes at the beginning of the text only
	arcEnd   // passes at its end only
)

// hubSpec makes a state the turning point of a counted loop. Arriving there counts
// one (the first arrival makes the count 0); loop may be taken while the count is
// below max, exit when it is at least min.
type hubSpec struct {
	min, max   int32
	loop, exit int32
}

func newNFA(b *budget) *nfa { return &nfa{bud: b, shapes: map[string]*classShape{}} }

func (n *nfa) state() int32 {
	if n.full || !n.bud.takeStates(1) {
		n.full = true
		if len(n.states) == 0 {
			n.states = append(n.states, nfaState{})
		}
		return 0
	}
	n.states = append(n.states, nfaState{})
	return int32(len(n.states) - 1)
}

func (n *nfa) arc(from int32, a nfaArc) {
	if n.full || !n.bud.takeWork(1) {
		n.full = true
		return
	}
	n.states[from].arcs = append(n.states[from].arcs, a)
}

func (n *nfa) empty(from, to int32) { n.arc(from, nfaArc{kind: arcEmpty, to: to}) }

func (n *nfa) bytes(from int32, lo, hi byte) int32 {
	to := n.state()
	n.arc(from, nfaArc{kind: arcByte, lo: lo, hi: hi, to: to})
	return to
}

func (n *nfa) text(from int32, s string) int32 {
	for i := 0; i < len(s) && !n.full; i++ {
		from = n.bytes(from, s[i], s[i])
	}
	return from
}

func (n *nfa) call(from, rule int32) int32 {
	to := n.state()
	n.arc(from, nfaArc{kind: arcCall, rule: rule, to: to})
	return to
}

func (n *nfa) assert(from int32, kind arcKind) int32 {
	to := n.state()
	n.arc(from, nfaArc{kind: kind, to: to})
	return to
}

// part builds something from a state and returns where it ends.
type part func(from int32) int32

func (n *nfa) either(from int32, parts ...part) int32 {
	to := n.state()
	for _, p := range parts {
		n.empty(p(from), to)
	}
	return to
}

func (n *nfa) optional(from int32, p part) int32 {
	// The fresh state keeps a loop inside p from coming back past from.
	start := n.state()
	n.empty(from, start)
	to := p(start)
	end := n.state()
	n.empty(to, end)
	n.empty(start, end)
	return end
}

func (n *nfa) star(from int32, p part) int32 {
	turn := n.state()
	n.empty(from, turn)
	n.empty(p(turn), turn)
	end := n.state()
	n.empty(turn, end)
	return end
}

// repeat is p at least min and at most max times; max < 0: without limit.
func (n *nfa) repeat(from int32, lo, hi int, p part) int32 {
	for i := 0; i < lo && !n.full; i++ {
		from = p(from)
	}
	if hi < 0 {
		return n.star(from, p)
	}
	end := n.state()
	for i := lo; i < hi && !n.full; i++ {
		n.empty(from, end)
		start := n.state()
		n.empty(from, start)
		from = p(start)
	}
	n.empty(from, end)
	return end
}

// counted is loop at least lo and at most hi times, then tail, told apart by the first
// byte. The count is kept by the frame and not in the states, so it may be large; in
// return a rule has at most one such loop, no iteration of it is empty or a prefix of
// another one, and no byte can begin both loop and tail.
func (n *nfa) counted(from int32, lo, hi int32, loop, tail part) int32 {
	hub := n.state()
	n.empty(from, hub)
	spec := &hubSpec{min: lo, max: hi, loop: n.state(), exit: n.state()}
	if n.full {
		return 0
	}
	n.states[hub].hub = spec
	n.empty(loop(spec.loop), hub)
	return tail(spec.exit)
}

// embed puts a whole automaton in.
func (n *nfa) embed(from int32, a *automaton) int32 {
	end := n.state()
	at := make([]int32, len(a.states))
	for i := range at {
		at[i] = n.state()
	}
	if n.full {
		return 0
	}
	n.empty(from, at[0])
	for i := range a.states {
		for _, e := range a.states[i].bytes {
			n.arc(at[i], nfaArc{kind: arcByte, lo: e.lo, hi: e.hi, to: at[e.to]})
		}
		if a.states[i].accept {
			n.empty(at[i], end)
		}
	}
	return end
}
