package grammar

// closer measures how far readings are from the end of the text.
type closer struct {
	*distances
	frames map[*frame]int32 // of frames that stay
}

// items is the number of bytes that have to come at least.
func (c *closer) items(items []item) int32 {
	n := int32(far)
	for _, it := range items {
		n = min(n, sum(c.of(it), c.callers(it.frame)))
	}
	return n
}

// callers is how many bytes come at least once a frame has ended.
func (c *closer) callers(f *frame) int32 {
	if f.root || f.floor {
		return 0
	}
	if n, ok := c.frames[f]; ok {
		return n
	}
	c.frames[f] = far // whoever comes back to it goes in a circle
	n := int32(far)
	for _, ret := range f.returns {
		n = min(n, sum(c.of(ret), c.callers(ret.frame)))
	}
	c.frames[f] = n
	return n
}

// closeMargin is how many tokens before the end of its room a text begins to be
// looked after: more than one token of a few bytes leads away from the end.
const closeMargin = 64

// MaskWithin is Mask for a text that has room for so many more tokens, its end token
// counted: of the tokens that Mask allows, those after which what must still come
// fits. The shortest way on always does, if it did before: a byte is a token at
// least. Where it doesn't fit to begin with, MaskWithin is Mask.
func (m *Matcher) MaskWithin(dst []uint64, room int) bool {
	allowed := m.Mask(dst)
	if !allowed {
		return false
	}
	c := closer{distances: m.g.least(), frames: map[*frame]int32{}}
	now := int(c.items(m.items()))
	if room >= now+1+closeMargin || room < now+1 {
		return true
	}
	w := &walker{machine: newMachine(m.g), v: m.v}
	w.levels = make([]level, m.v.longest+1)
	w.levels[0].items = append(w.levels[0].items, m.items()...)
	last, lastNeed := item{}, int32(0)
	for i, end := int32(1), m.v.after[0]; i < end; {
		d := m.v.depth[i]
		above, here := &w.levels[d-1], &w.levels[d]
		here.items = w.step(here.items[:0], above.items, m.v.label[i])
		need := int32(far)
		switch {
		case len(here.items) == 1 && here.items[0] == last:
			need = lastNeed
		case len(here.items) > 0:
			if need = c.items(here.items); len(here.items) == 1 {
				last, lastNeed = here.items[0], need
			}
		}
		// Each byte more brings the end nearer by one at most.
		if int(need)-(m.v.longest-int(d)) > room-2 || w.spent > maskWork {
			for _, id := range m.v.ids[m.v.idStart[i]:m.v.idStart[m.v.after[i]]] {
				dst[id>>6] &^= 1 << (id & 63)
			}
			i = m.v.after[i]
			continue
		}
		if int(need) > room-2 {
			for _, id := range m.v.ids[m.v.idStart[i]:m.v.idStart[i+1]] {
				dst[id>>6] &^= 1 << (id & 63)
			}
		}
		i++
	}
	for _, word := range dst {
		if word != 0 {
			return true
		}
	}
	return m.Mask(dst) // a vocabulary that lacks bytes
}
