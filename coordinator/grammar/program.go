package grammar

import "sync"

// Grammar is a compiled grammar. It does not change, and is safe for concurrent use:
// requests with the same schema should share one, and with it the pieces of masks.
type Grammar struct {
	states []state
	arcs   []byteArc
	calls  []callArc
	dense  [][256]int32
	hubs   []hubGuard
	rules  []ruleInfo
	start  int32 // first state of the root rule

	mu     sync.Mutex
	caches map[*Vocab]*cache

	once      sync.Once
	distances *distances // by least
}

// state is a state of some rule's body, numbered over the whole grammar.
type state struct {
	arcs, narcs   int32 // in Grammar.arcs
	calls, ncalls int32 // in Grammar.calls
	dense         int32 // row in Grammar.dense instead of arcs, or -1
	hub           int32 // in Grammar.hubs: this state is a counted loop's turn; or -1
	loop          int32 // the hub whose count is kept in this state, or -1
	accept        bool
	last          bool // accepts and does nothing else
	quiet         bool // neither accepts nor calls: reading a byte is one look-up
	text          bool // reads plain text and stays; see text.go
}

type ruleInfo struct {
	start    int32
	nullable bool    // may read nothing
	first    byteSet // what it may begin with
}

// noCount is the count outside of counted loops.
const noCount = -1

// rule is a rule before linking.
type rule struct {
	name string
	body *automaton
}

// link joins rules into a grammar: cuts off what can't be finished, numbers states,
// finds what each rule can begin with. Rule root is where a text starts. It returns
// nil where no text at all fits.
func link(rules []rule, root int32) *Grammar {
	l := &linker{rules: rules, productive: make([]bool, len(rules)), alive: make([][]bool, len(rules))}
	l.findProductive()
	if !l.productive[root] {
		return nil
	}
	g := &Grammar{caches: map[*Vocab]*cache{}}
	callers := l.emit(g, root)
	g.findFirst(callers)
	g.markLast()
	g.markText()
	return g
}

// advance reads a byte in a frame, without calls or returns: the next state (or -1)
// and count.
func (g *Grammar) advance(s, count int32, b byte) (int32, int32) {
	st := &g.states[s]
	to := g.rawNext(s, b)
	if to < 0 || st.hub < 0 && g.states[to].hub < 0 {
		return to, count
	}
	if st.hub >= 0 {
		h := &g.hubs[st.hub]
		if h.exit.has(b) {
			if count < h.min {
				return -1, noCount
			}
			return to, noCount
		}
		if count >= h.max {
			return -1, noCount
		}
	}
	return to, g.arrive(to, count)
}

// rawNext is the next state where counts don't stand in the way.
func (g *Grammar) rawNext(s int32, b byte) int32 {
	st := &g.states[s]
	if st.dense >= 0 {
		return g.dense[st.dense][b]
	}
	for _, a := range g.arcs[st.arcs : st.arcs+st.narcs] {
		if b <= a.hi {
			if b >= a.lo {
				return a.to
			}
			break
		}
	}
	return -1
}

// arrive is the count after entering a state.
func (g *Grammar) arrive(to, count int32) int32 {
	h := g.states[to].hub
	if h < 0 {
		return count
	}
	hub := &g.hubs[h]
	if hub.max == unbounded && count >= hub.min {
		return hub.min // more makes no difference
	}
	return count + 1
}

// begin is the first state of a rule's frame and its count.
func (g *Grammar) begin(start int32) (int32, int32) { return start, g.arrive(start, noCount) }
