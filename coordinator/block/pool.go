// Package block hands out the KV pool's blocks. The coordinator decides, the
// ranks obey: a block has the same number on every rank. It is pure.
package block

import "fmt"

// Pool is the free list of a KV pool. Blocks are handed out lowest number
// first, so that a run of the same requests makes the same plans.
type Pool struct {
	size  int // positions per block
	total int
	free  []int32 // a min-heap
	used  []bool
}

// NewPool has blocks of size positions.
func NewPool(blocks, size int) *Pool {
	p := &Pool{size: size, total: blocks, used: make([]bool, blocks)}
	for i := range blocks {
		p.free = append(p.free, int32(i)) // ascending is a heap
	}
	return p
}

// Size is the number of positions in a block.
func (p *Pool) Size() int { return p.size }

// Total is the number of blocks.
func (p *Pool) Total() int { return p.total }

// Free is the number of blocks not handed out.
func (p *Pool) Free() int { return len(p.free) }

// For is the number of blocks that hold n positions.
func (p *Pool) For(n int) int { return (n + p.size - 1) / p.size }

// Take hands out n blocks, or none if fewer are free.
func (p *Pool) Take(n int) ([]int32, bool) {
	if n > len(p.free) {
		return nil, false
	}
	out := make([]int32, n)
	for i := range out {
		out[i] = p.pop()
		p.used[out[i]] = true
	}
	return out, true
}

// Return takes blocks back. A block that was not out is a broken invariant.
func (p *Pool) Return(blocks []int32) {
	for _, b := range blocks {
		if !p.used[b] {
			panic(fmt.Sprintf("block: %d returned twice", b))
		}
		p.used[b] = false
		p.push(b)
	}
}

// CheckIntegrity reports whether every block is either free or out, once.
func (p *Pool) CheckIntegrity() error {
	out := 0
	for _, u := range p.used {
		if u {
			out++
		}
	}
	if out+len(p.free) != p.total {
		return fmt.Errorf("block: %d out + %d free != %d", out, len(p.free), p.total)
	}
	return nil
}

func (p *Pool) push(b int32) {
	p.free = append(p.free, b)
	for i := len(p.free) - 1; i > 0; {
		up := (i - 1) / 2
		if p.free[up] <= p.free[i] {
			return
		}
		p.free[up], p.free[i] = p.free[i], p.free[up]
		i = up
	}
}

func (p *Pool) pop() int32 {
	b := p.free[0]
	n := len(p.free) - 1
	p.free[0] = p.free[n]
	p.free = p.free[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			return b
		}
		if c+1 < n && p.free[c+1] < p.free[c] {
			c++
		}
		if p.free[i] <= p.free[c] {
			return b
		}
		p.free[i], p.free[c] = p.free[c], p.free[i]
		i = c
	}
}
