// Package block hands out the KV pool's blocks and finds full ones again by
// their content. The coordinator decides, the ranks obey: a block has the same
// number, and the same tokens' keys and values, on every rank. It is pure.
//
// A block is used (some sequences own it), cached (nobody owns it, but its
// content is known and may be asked for again), or empty:
//
//	used + cached + empty = total
//
// Sequences share full blocks only, and a full block is never written again. So
// there is no copying on write: where two sequences part within a block, each
// computes that block's positions into a block of its own, which costs less than
// one block of rows and asks nothing of the ranks.
package block

import "fmt"

// Pool is the blocks of a KV pool and what is known of their content.
type Pool struct {
	size   int // positions per block
	blocks []state
	used   int
	empty  heap // lowest number first, so that the same requests make the same plans
	cached list // least recently used first
	byHash map[Hash]int32
	now    float64 // At's
	watch  Watch
}

// Watch is told how long blocks with known content are of use, in seconds of At. Either
// function may be nil.
type Watch struct {
	// Evicted: a cached block lost its content, so long after it was handed out, and
	// after that or a later sequence took it last.
	Evicted func(lifetime, idle float64)
	// Reused: another sequence took the block, so long after the last one had.
	Reused func(gap float64)
}

// state is what is known of one block.
type state struct {
	owners int
	hash   Hash // of the content, if known
	known  bool
	// born is when the block was handed out, taken when a sequence took it last.
	born, taken float64
	// Neighbours in the list of cached blocks; none is -1.
	older, newer int32
}

// NewPool has blocks of size positions.
func NewPool(blocks, size int) *Pool {
	p := &Pool{size: size, blocks: make([]state, blocks), cached: list{oldest: none, newest: none}, byHash: map[Hash]int32{}}
	for i := range blocks {
		p.empty = append(p.empty, int32(i)) // ascending is a heap
	}
	return p
}

// Watch has w told of blocks from now on.
func (p *Pool) Watch(w Watch) { p.watch = w }

// At tells the time of what follows, in seconds from any beginning.
func (p *Pool) At(now float64) { p.now = now }

// Size is the number of positions in a block.
func (p *Pool) Size() int { return p.size }

// Total is the number of blocks.
func (p *Pool) Total() int { return len(p.blocks) }

// Free is the number of blocks that Take could hand out: empty and cached ones.
func (p *Pool) Free() int { return len(p.empty) + p.cached.len }

// Counts tells how many blocks are in each state.
func (p *Pool) Counts() (used, cached, empty int) { return p.used, p.cached.len, len(p.empty) }

// Owners is the number of sequences that hold b.
func (p *Pool) Owners(b int32) int { return p.blocks[b].owners }

// For is the number of blocks that hold n positions.
func (p *Pool) For(n int) int { return (n + p.size - 1) / p.size }

// Take hands out n blocks, or none if fewer are free.
func (p *Pool) Take(n int) ([]int32, bool) { return p.Acquire(nil, n) }

// Acquire makes its caller an owner of hits, which Lookup found, and of n
// further blocks, which it returns; all or nothing. Empty blocks go first, then
// cached ones, the least recently used first; those lose their content.
func (p *Pool) Acquire(hits []int32, n int) (blocks []int32, ok bool) {
	free := p.Free()
	for _, b := range hits {
		if p.blocks[b].owners == 0 {
			free--
		}
	}
	if n > free {
		return nil, false
	}
	for _, b := range hits {
		if p.blocks[b].owners == 0 {
			p.unlink(b)
			p.used++
		}
		s := &p.blocks[b]
		s.owners++
		if p.watch.Reused != nil {
			p.watch.Reused(p.now - s.taken)
		}
		s.taken = p.now
	}
	blocks = make([]int32, n)
	for i := range blocks {
		if len(p.empty) > 0 {
			blocks[i] = p.empty.pop()
		} else {
			blocks[i] = p.evict()
			if s := &p.blocks[blocks[i]]; p.watch.Evicted != nil {
				p.watch.Evicted(p.now-s.born, p.now-s.taken)
			}
		}
		s := &p.blocks[blocks[i]]
		s.owners, s.born, s.taken = 1, p.now, p.now
		p.used++
	}
	return blocks, true
}

// Return gives up one ownership of each block of a sequence, given in order. A
// block that was not out is a broken invariant. The last blocks become the least
// recently used: the beginning of a prompt is likelier to be asked for again,
// and the rest is of no use without it.
func (p *Pool) Return(blocks []int32) {
	for i := len(blocks) - 1; i >= 0; i-- {
		b := blocks[i]
		s := &p.blocks[b]
		if s.owners == 0 {
			panic(fmt.Sprintf("block: %d returned twice", b))
		}
		if s.owners--; s.owners > 0 {
			continue
		}
		p.used--
		if s.known {
			p.link(b)
		} else {
			p.empty.push(b)
		}
	}
}
