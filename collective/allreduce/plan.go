// Package allreduce knows how an all-reduce is carried out, and carries out
// nothing: which subtrees of the fixed tree each rank holds, which elements
// travel to whom in which chunks, in one hop or two, and in which order the
// values are added once they are there. It is pure: no clock, no goroutine, no
// network. The order of the additions follows from the tree alone, so neither
// the shares, nor the hops, nor the chunks change a bit of the sum.
package allreduce

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/sullae/sullae/kernels/tree"
)

// align is the granularity of slices and chunks in elements: a cache line.
const align = 16

// DefaultChunkBytes is the payload of a frame at which sending, travelling and
// adding overlap well: of 32 KiB to 2 MiB it gave the best latency for 1 MiB and
// the least processor time for 8 MiB in BenchmarkAllReduce of collective/link/grpc.
const DefaultChunkBytes = 256 << 10

// Options say how a sum is carried out; every rank needs the same ones.
type Options struct {
	Table      Table // nil: Default
	ChunkBytes int   // 0: DefaultChunkBytes
}

// Resolve replaces what is not set by its default.
func (o Options) Resolve() Options {
	if o.Table == nil {
		o.Table = Default
	}
	if o.ChunkBytes <= 0 {
		o.ChunkBytes = DefaultChunkBytes
	}
	return o
}

// Split is who holds what of the tree, the same on every rank. It is immutable.
type Split struct {
	Leaves int
	Shares []tree.Range   // by rank; together they cover every leaf once
	Nodes  [][]tree.Range // by rank: the subtrees whose values it holds
	First  []int          // by rank: its first part's operand in Program
	Program
	most int // nodes of the rank that has most, at least 1
	hash uint64
}

// NewSplit compiles the sum of leaves spread as shares say, by rank. It fails if
// the shares do not cover every leaf once.
func NewSplit(leaves int, shares []tree.Range) (*Split, error) {
	if leaves < 1 || len(shares) < 1 {
		return nil, fmt.Errorf("allreduce: %d leaves over %d ranks", leaves, len(shares))
	}
	s := &Split{Leaves: leaves, Shares: append([]tree.Range(nil), shares...), most: 1}
	index, covered := map[tree.Range]int{}, 0
	for r, share := range s.Shares {
		if share.Empty() {
			share = tree.Range{}
		} else if share.Lo < 0 || share.Hi > leaves {
			return nil, fmt.Errorf("allreduce: rank %d has leaves [%d, %d) of %d", r, share.Lo, share.Hi, leaves)
		}
		nodes := tree.Maximal(leaves, share)
		s.Nodes = append(s.Nodes, nodes)
		s.First = append(s.First, len(index))
		for _, n := range nodes {
			index[n] = len(index)
		}
		covered += share.Len()
		s.most = max(s.most, len(nodes))
	}
	var err error
	if s.Program, err = compile(leaves, index); err != nil || covered != leaves {
		return nil, errors.Join(fmt.Errorf("allreduce: shares %v do not cover %d leaves once each", shares, leaves), err)
	}
	h := fnv.New64a()
	fmt.Fprint(h, leaves, s.Nodes)
	s.hash = h.Sum64()
	return s, nil
}

// Same reports whether s is the split of leaves that shares say.
func (s *Split) Same(leaves int, shares []tree.Range) bool {
	return s.Leaves == leaves && slices.Equal(s.Shares, shares)
}

// Plan is an all-reduce of one length in detail, the same on every rank.
type Plan struct {
	*Split
	Len    int    // elements of the vector
	Hops   int    // 1: everybody sums all; 2: everybody sums a slice
	Layout uint64 // differs if anything above but Len does, or the chunks do
	chunk  int    // elements a frame
}

// Plan plans the sum of vectors of n elements.
func (s *Split) Plan(n int, o Options) Plan {
	o = o.Resolve()
	p := Plan{Split: s, Len: n, Hops: o.Table.Hops(len(s.Shares), 4*s.most*n)}
	p.chunk = max(align, o.ChunkBytes/(4*s.most)&^(align-1))
	p.Layout = (s.hash+uint64(p.Hops))*0x9e3779b97f4a7c15 ^ uint64(p.chunk)
	return p
}

// Span is a half-open range of elements [Lo, Hi).
type Span struct{ Lo, Hi int }

// Len is the number of elements in s.
func (s Span) Len() int { return s.Hi - s.Lo }

// Slice is the range of elements that rank sums: with one hop all, with two hops
// the rank-th of equal parts.
func (p Plan) Slice(rank int) Span {
	if p.Hops == 1 {
		return Span{0, p.Len}
	}
	n := len(p.Shares)
	bound := func(r int) int {
		if r == n {
			return p.Len
		}
		return p.Len * r / n &^ (align - 1)
	}
	return Span{bound(rank), bound(rank + 1)}
}

// Chunks is the number of frames that s travels in. It is never 0: an empty
// slice has one frame too, so that every rank hears from every other one.
func (p Plan) Chunks(s Span) int { return max(1, (s.Len()+p.chunk-1)/p.chunk) }

// Chunk is the i-th piece of s.
func (p Plan) Chunk(s Span, i int) Span {
	lo := s.Lo + i*p.chunk
	return Span{lo, min(lo+p.chunk, s.Hi)}
}
