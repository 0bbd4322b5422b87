package grammar

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
)

// cache keeps pieces for one grammar and vocabulary. What it holds never changes a
// mask, only how long it takes; so it may forget everything at any time.
type cache struct {
	mu     sync.Mutex
	seed   maphash.Seed
	pieces map[pieceKey]*piece
	places map[uint64][]*places
	bytes  int
	root   *places
}

func newCache() *cache {
	c := &cache{seed: maphash.MakeSeed(), root: &places{nodes: []int32{0}}}
	c.clear()
	return c
}

func (c *cache) clear() {
	c.pieces = map[pieceKey]*piece{}
	c.places = map[uint64][]*places{}
	c.bytes = 0
}

// cacheFor returns the grammar's cache for a vocabulary.
func (g *Grammar) cacheFor(v *Vocab) *cache {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.caches[v]
	if c == nil {
		c = newCache()
		g.caches[v] = c
	}
	return c
}

// trim forgets everything when there is too much of it. It is called between masks:
// within one, equal places should stay one pointer, or work is done twice.
func (c *cache) trim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes > cacheBytes {
		c.clear()
	}
}

func (c *cache) get(g *Grammar, v *Vocab, from *places, it item) *piece {
	key := g.pieceKey(v, from, it)
	c.mu.Lock()
	p := c.pieces[key]
	c.mu.Unlock()
	if p != nil {
		return p
	}
	p = walk(g, v, from, it)
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.pieces[key]; q != nil {
		return q
	}
	if p.leaves != nil {
		p.leaves = c.unique(p.leaves)
	}
	c.pieces[key] = p
	c.bytes += len(p.words)*8 + len(p.sparse)*4 + 128
	return p
}

// unique returns the one kept copy of equal places.
func (c *cache) unique(p *places) *places {
	if slices.Equal(p.nodes, c.root.nodes) {
		return c.root
	}
	var h maphash.Hash
	h.SetSeed(c.seed)
	var b [4]byte
	for _, n := range p.nodes {
		binary.LittleEndian.PutUint32(b[:], uint32(n))
		h.Write(b[:])
	}
	sum := h.Sum64()
	for _, q := range c.places[sum] {
		if slices.Equal(p.nodes, q.nodes) {
			return q
		}
	}
	c.places[sum] = append(c.places[sum], p)
	c.bytes += len(p.nodes)*4 + 64
	return p
}
