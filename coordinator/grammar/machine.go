package grammar

// item is one reading of the text so far: a state inside the frame of a rule, and
// where that frame returns to. As a return address it is the state to go on from in
// the caller's frame.
type item struct {
	state, count int32
	frame        *frame
}

// frame is one place in the text where a rule was called, by one caller or by several:
// a node of the graph that stacks share. It does not change once the byte at which it
// was made is read, so prefixes, clones and rolled-back states share frames freely.
type frame struct {
	returns []item
	rule    int32
	// fresh: made at this byte; callers may still be added.
	fresh bool
	// floor: a frame whose callers are not known here (see walk); root: it has none.
	floor, root bool
}

// machine steps sets of items. It is scratch space; one goroutine at a time uses it.
type machine struct {
	g     *Grammar
	work  []item
	fresh []*frame
	seen  map[item]struct{} // of work, once it is long
	spent int               // items advanced

	// slab holds frames that are given back in the order of a stack; nil: frames are
	// to stay.
	slab   []*frame
	inSlab int
	useful bool // slab is in use
}

func newMachine(g *Grammar) *machine { return &machine{g: g, seen: map[item]struct{}{}} }

// linearItems is how long a list is searched one by one.
const linearItems = 16

func (m *machine) push(it item) {
	if len(m.work) < linearItems {
		for i := range m.work {
			if m.work[i] == it {
				return
			}
		}
		m.work = append(m.work, it)
		return
	}
	if len(m.work) == linearItems {
		clear(m.seen)
		for _, w := range m.work {
			m.seen[w] = struct{}{}
		}
	}
	if _, ok := m.seen[it]; ok || len(m.work) >= 2*maxItems {
		return
	}
	m.seen[it] = struct{}{}
	m.work = append(m.work, it)
}

func appendItem(items []item, it item) []item {
	for i := range items {
		if items[i] == it {
			return items
		}
	}
	if len(items) >= maxItems {
		return items
	}
	return append(items, it)
}

func (m *machine) newFrame(rule int32) *frame {
	var f *frame
	switch {
	case !m.useful:
		f = &frame{}
	case m.inSlab < len(m.slab):
		f = m.slab[m.inSlab]
		f.returns = f.returns[:0]
		m.inSlab++
	default:
		f = &frame{}
		m.slab = append(m.slab, f)
		m.inSlab++
	}
	f.rule, f.fresh = rule, true
	m.fresh = append(m.fresh, f)
	return f
}

// call returns the frame of a rule called at this byte, and whether it is new.
func (m *machine) call(rule int32) (*frame, bool) {
	for _, f := range m.fresh {
		if f.rule == rule {
			return f, false
		}
	}
	return m.newFrame(rule), true
}

// addReturn gives a fresh frame a caller. A caller with nothing left to do but to
// return is left out in favour of its own callers, so that right recursion, which
// lists in EBNF are written with, does not make the stack deeper.
func (m *machine) addReturn(f *frame, ret item) {
	if m.g.states[ret.state].last && !ret.frame.fresh && !ret.frame.floor && !ret.frame.root {
		for _, r := range ret.frame.returns {
			f.returns = appendItem(f.returns, r)
		}
		return
	}
	f.returns = appendItem(f.returns, ret)
}

// step writes to out, which is empty and not a part of in, the items after reading b.
func (m *machine) step(out, in []item, b byte) []item {
	g := m.g
	if len(in) == 1 && g.states[in[0].state].quiet {
		m.spent++
		if to, count := g.advance(in[0].state, in[0].count, b); to >= 0 {
			out = append(out, item{to, count, in[0].frame})
		}
		return out
	}
	m.work = append(m.work[:0], in...)
	if len(m.work) > linearItems {
		clear(m.seen)
		for _, it := range in {
			m.seen[it] = struct{}{}
		}
	}
	for i := 0; i < len(m.work); i++ {
		m.spent++
		it := m.work[i]
		st := &g.states[it.state]
		if to, count := g.advance(it.state, it.count, b); to >= 0 {
			out = appendItem(out, item{to, count, it.frame})
		}
		if st.quiet {
			continue
		}
		for _, c := range g.calls[st.calls : st.calls+st.ncalls] {
			r := &g.rules[c.rule]
			ret := item{c.to, g.arrive(c.to, it.count), it.frame}
			if r.first.has(b) {
				f, isNew := m.call(c.rule)
				m.addReturn(f, ret)
				if isNew {
					s, count := g.begin(r.start)
					m.push(item{s, count, f})
				}
			}
			if r.nullable {
				m.push(ret)
			}
		}
		// A frame made at this byte has read nothing; that case is nullable's.
		if st.accept && !it.frame.fresh {
			m.spent += len(it.frame.returns)
			for _, r := range it.frame.returns {
				m.push(r)
			}
		}
	}
	for _, f := range m.fresh {
		f.fresh = false
	}
	m.fresh = m.fresh[:0]
	return out
}

// reach runs over everything that can be gone on from without reading, and calls visit
// with each item, till it returns false.
func (m *machine) reach(in []item, visit func(item, *state) bool) {
	g := m.g
	m.work = m.work[:0]
	for _, it := range in {
		m.push(it)
	}
	for i := 0; i < len(m.work); i++ {
		it := m.work[i]
		st := &g.states[it.state]
		if !visit(it, st) {
			return
		}
		for _, c := range g.calls[st.calls : st.calls+st.ncalls] {
			if g.rules[c.rule].nullable {
				m.push(item{c.to, g.arrive(c.to, it.count), it.frame})
			}
		}
		if st.accept {
			for _, r := range it.frame.returns {
				m.push(r)
			}
		}
	}
}

// ends says whether the text may end here: whether the root's frame can, or in a walk
// the floor's.
func (m *machine) ends(in []item) bool {
	if len(in) == 1 && m.g.states[in[0].state].quiet {
		return false
	}
	found := false
	m.reach(in, func(it item, st *state) bool {
		found = st.accept && (it.frame.root || it.frame.floor)
		return !found
	})
	return found
}

// next is the set of bytes that can be read.
func (m *machine) next(in []item) byteSet {
	var set byteSet
	m.reach(in, func(it item, st *state) bool {
		for _, a := range m.g.arcs[st.arcs : st.arcs+st.narcs] {
			if st.hub < 0 {
				set.addRange(a.lo, a.hi)
				continue
			}
			for b := int(a.lo); b <= int(a.hi); b++ {
				if to, _ := m.g.advance(it.state, it.count, byte(b)); to >= 0 {
					set.add(byte(b))
				}
			}
		}
		for _, c := range m.g.calls[st.calls : st.calls+st.ncalls] {
			set.union(&m.g.rules[c.rule].first)
		}
		return true
	})
	return set
}
