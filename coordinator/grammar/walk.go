package grammar

import (
	"math/bits"
	"slices"
)

// places is a set of nodes of the vocabulary's trie, ascending.
type places struct{ nodes []int32 }

// piece is what one state of a frame contributes to a mask, from given places of the
// trie: the tokens that end while the frame (or one that it called) is still open, and
// the places where the frame may end, so that what follows there is the caller's.
type piece struct {
	words  []uint64 // a bit set, or
	sparse []int32  // its members, where those are few
	leaves *places  // nil: the frame can't end inside a token
	work   int      // what it took
}

// pieceKey names a piece. Of a count only what a token could notice matters: how far
// the loop is from its least and greatest number, up to the longest token's length.
type pieceKey struct {
	from          *places
	state         int32
	toMin, toMost int32
}

func (g *Grammar) pieceKey(v *Vocab, from *places, it item) pieceKey {
	k := pieceKey{from: from, state: it.state}
	if h := g.states[it.state].loop; h >= 0 {
		far := int32(v.longest) + 1
		k.toMin = min(max(g.hubs[h].min-it.count, 0), far)
		k.toMost = min(max(g.hubs[h].max-it.count, 0), far)
	}
	return k
}

// walk computes a piece: it runs the trie below the given places against the state.
func walk(g *Grammar, v *Vocab, from *places, it item) *piece {
	w := &walker{machine: newMachine(g), v: v, words: make([]uint64, v.MaskWords())}
	w.useful = true
	start := item{it.state, it.count, &frame{floor: true}}
	w.levels = make([]level, v.longest+1)
	atOnce := w.ends([]item{start})
	for _, n := range from.nodes {
		if atOnce {
			w.leaves = append(w.leaves, n)
		}
		w.subtree(n, start)
	}
	slices.Sort(w.leaves)
	p := &piece{work: w.spent}
	if len(w.leaves) > 0 {
		p.leaves = &places{slices.Compact(w.leaves)}
	}
	n := 0
	for _, x := range w.words {
		n += bits.OnesCount64(x)
	}
	if n*4 >= len(w.words)*8 {
		p.words = w.words
		return p
	}
	p.sparse = make([]int32, 0, n)
	for i, x := range w.words {
		for ; x != 0; x &= x - 1 {
			p.sparse = append(p.sparse, int32(i*64+bits.TrailingZeros64(x)))
		}
	}
	return p
}

type walker struct {
	*machine
	v      *Vocab
	words  []uint64
	leaves []int32
	levels []level // by depth: the items after the byte at that depth
}

type level struct {
	items []item
	slab  int // frames in use once items are made
}

// subtree walks the tokens below a node, in the order of the trie, skipping what lies
// below a byte that can't be read.
func (w *walker) subtree(root int32, start item) {
	g, v := w.g, w.v
	top := v.depth[root]
	w.levels[top] = level{items: append(w.levels[top].items[:0], start)}
	for i, end := root+1, v.after[root]; i < end; {
		d := v.depth[i]
		above, here := &w.levels[d-1], &w.levels[d]
		b := v.label[i]
		quiet := false
		if len(above.items) == 1 && g.states[above.items[0].state].quiet {
			// The common case, written out: a plain table step.
			it := above.items[0]
			w.spent++
			if w.allText(it, i) {
				for _, id := range v.ids[v.idStart[i]:v.idStart[v.after[i]]] {
					w.words[id>>6] |= 1 << (id & 63)
				}
				i = v.after[i]
				continue
			}
			here.items, here.slab = here.items[:0], above.slab
			if it.state, it.count = g.advance(it.state, it.count, b); it.state >= 0 {
				here.items = append(here.items, it)
				quiet = g.states[it.state].quiet
			}
		} else {
			w.inSlab = above.slab
			here.items = w.step(here.items[:0], above.items, b)
			here.slab = w.inSlab
		}
		if len(here.items) == 0 || w.spent > walkWork {
			i = v.after[i]
			continue
		}
		for _, id := range v.ids[v.idStart[i]:v.idStart[i+1]] {
			w.words[id>>6] |= 1 << (id & 63)
		}
		if !quiet && v.after[i] > i+1 && w.ends(here.items) {
			w.leaves = append(w.leaves, i)
		}
		i++
	}
}
