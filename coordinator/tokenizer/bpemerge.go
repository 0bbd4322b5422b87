package tokenizer

import (
	"math"
	"sync"
)

// smallWord is how many symbols a word may have to be merged by looking through
// all its pairs each time, which for so few is quicker than a heap.
const smallWord = 48

// mergeSymbols merges syms in place and returns how many are left.
func (m *bpe) mergeSymbols(syms []int32) int {
	switch {
	case len(syms) < 2:
		return len(syms)
	case len(syms) <= smallWord:
		return m.mergeSmall(syms)
	}
	return m.mergeLarge(syms)
}

func (m *bpe) mergeSmall(syms []int32) int {
	const noRank = math.MaxUint32
	var pairs [smallWord]merge // pairs[i] is the merge of syms[i] and syms[i+1]
	n := len(syms)
	look := func(i int) {
		pairs[i].rank = noRank
		if i+1 < n {
			if mg, ok := m.merges.get(syms[i], syms[i+1]); ok {
				pairs[i] = mg
			}
		}
	}
	for i := range n {
		look(i)
	}
	for n > 1 {
		best := 0
		for i := 1; i < n-1; i++ {
			if pairs[i].rank < pairs[best].rank {
				best = i
			}
		}
		if pairs[best].rank == noRank {
			break
		}
		syms[best] = pairs[best].id
		copy(syms[best+1:n-1], syms[best+2:n])
		copy(pairs[best+1:n-1], pairs[best+2:n])
		n--
		look(best)
		if best > 0 {
			look(best - 1)
		}
	}
	return n
}

// mergeScratch is the memory of mergeLarge: a linked list over the symbols, and a
// heap of pairs as rank<<32 | position.
type mergeScratch struct {
	prev, next []int32
	heap       []uint64
}

var mergePool = sync.Pool{New: func() any { return new(mergeScratch) }}

// keepScratch bounds what the pool holds on to after a huge word.
const keepScratch = 1 << 16

// mergeLarge takes O(n log n) for n symbols. A pair in the heap may be out of date;
// it is recognised by its rank, because symbols only grow and a pair has one rank.
func (m *bpe) mergeLarge(syms []int32) int {
	const gone = int32(-1)
	s := mergePool.Get().(*mergeScratch)
	n := int32(len(syms))
	s.prev, s.next, s.heap = s.prev[:0], s.next[:0], s.heap[:0]
	for i := range n {
		s.prev = append(s.prev, i-1)
		s.next = append(s.next, i+1)
		if i+1 < n {
			if mg, ok := m.merges.get(syms[i], syms[i+1]); ok {
				s.heap = append(s.heap, uint64(mg.rank)<<32|uint64(i))
			}
		}
	}
	heapify(s.heap)
	push := func(i, j int32) {
		if i < 0 || j >= n {
			return
		}
		if mg, ok := m.merges.get(syms[i], syms[j]); ok {
			s.heap = heapPush(s.heap, uint64(mg.rank)<<32|uint64(i))
		}
	}
	for len(s.heap) > 0 {
		var top uint64
		top, s.heap = heapPop(s.heap)
		i := int32(uint32(top))
		if syms[i] == gone || s.next[i] >= n {
			continue
		}
		j := s.next[i]
		mg, ok := m.merges.get(syms[i], syms[j])
		if !ok || mg.rank != uint32(top>>32) {
			continue
		}
		syms[i], syms[j] = mg.id, gone
		s.next[i] = s.next[j]
		if s.next[j] < n {
			s.prev[s.next[j]] = i
		}
		push(s.prev[i], i)
		push(i, s.next[i])
	}
	left := 0
	for i := int32(0); i < n; i = s.next[i] {
		syms[left] = syms[i]
		left++
	}
	if cap(s.next) <= keepScratch {
		mergePool.Put(s)
	}
	return left
}

func heapify(h []uint64) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		siftDown(h, i)
	}
}

func heapPush(h []uint64, v uint64) []uint64 {
	h = append(h, v)
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if h[parent] <= h[i] {
			break
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
	return h
}

func heapPop(h []uint64) (uint64, []uint64) {
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	siftDown(h, 0)
	return top, h
}

func siftDown(h []uint64, i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if h[i] <= h[child] {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
