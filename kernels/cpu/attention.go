package cpu

import (
	"math"

	"github.com/sullae/sullae/kernels"
)

const (
	// chunk positions are one step of the online softmax; chunks begin at its
	// multiples, whatever the query, the prompt's chunking or the block size.
	chunk = 256
	// itemPairs (query row, head) pairs share one pass over a KV head's keys
	// and values.
	itemPairs = 96
)

// Attention: for the query at position p, over the positions s that it sees,
// dst = Σ softmax(scale · q·k_s) v_s.
//
//	dst, q [rows, heads·headDim]
//
// The order of operations of one (row, head) depends on its position and window
// alone. A score is fma over the head's elements in order, from zero, times
// scale (and then times the key's own scale, where the pool has one), and
// soft-capped if there is a Cap. For each chunk of positions: m the largest
// score, w_s = exp(score_s - m), l = Σ w_s (softmax says how), o = fma over the
// positions in order of w_s·v_s (w_s first times the value's own scale). Chunks are merged in order: with m' the larger maximum, both l and o
// become old·exp(m_old - m') + new·exp(m_new - m'). At the end dst = o·(1/l).
// After: Milakov and Gimelshein, "Online normalizer calculation for softmax",
// 2018; Kwon et al., "Efficient Memory Management for Large Language Model
// Serving with PagedAttention", 2023.
func (b *Backend) Attention(dst, q kernels.Buffer, kv kernels.KV, spec kernels.AttentionSpec, seqs []kernels.SeqRows) {
	p := kv.(*kvPool)
	a := attention{v: b.v, b: b, kv: p, spec: spec, dst: host(dst), q: host(q)}
	width := spec.Heads * spec.HeadDim
	must(spec.HeadDim == p.cfg.HeadDim && len(spec.KVHead) == spec.Heads && spec.Layer >= 0 && spec.Layer < p.cfg.Layers,
		"Attention", "%+v on a pool of %+v", spec, p.cfg)
	a.group(p.cfg.KVHeads)
	b.items = b.items[:0]
	for _, s := range seqs {
		if len(s.Blocks)*p.cfg.BlockSize < s.Pos+s.N || len(a.q) < (s.Row+s.N)*width || len(a.dst) < (s.Row+s.N)*width {
			broken("Attention", "rows [%d, %d) at position %d with %d blocks of %d; q has %d values, dst %d",
				s.Row, s.Row+s.N, s.Pos, len(s.Blocks), p.cfg.BlockSize, len(a.q), len(a.dst))
		}
		for g, heads := range a.heads {
			if len(heads) == 0 {
				continue
			}
			step := max(1, itemPairs/len(heads))
			for i := 0; i < s.N; i += step {
				it := attnItem{seq: s, kvHead: g, row: s.Row + i, n: min(step, s.N-i), pos: s.Pos + i}
				it.from, it.to = a.sees(it.pos)/chunk, (it.pos+it.n-1)/chunk+1
				b.items = append(b.items, it)
			}
		}
	}
	whole := b.items
	items := a.split(whole)
	b.pool.run(len(items), 1, func(worker, lo, hi int) {
		s := &b.threads[worker].attn
		for i := lo; i < hi; i++ {
			a.item(s, &items[i])
		}
	})
	if len(items) > len(whole) {
		for i := range whole {
			a.combine(&b.threads[0].attn.sums, &whole[i])
		}
	}
}

// attention is one call of Attention.
type attention struct {
	v      *variant
	b      *Backend
	kv     *kvPool
	spec   kernels.AttentionSpec
	heads  [][]int // of each KV head, the query heads that read it
	dst, q []float32
}

// attnItem is the part of a call that one worker does at a time: n query rows
// from row on, at positions from pos on, of all heads that read one KV head.
type attnItem struct {
	seq         kernels.SeqRows
	kvHead      int
	row, n, pos int
	from, to    int // chunks of positions
	// apart is where each chunk's sums go if the item is one of several parts; they
	// are merged at the end, in the order in which one would have merged them.
	apart []sums
}

// sums are what one or more chunks of positions give each pair.
type sums struct {
	o    []float32 // [pairs, pad], for the maximum m
	m, l []float32 // [pairs]; l < 0 while a pair has seen no position
}

func (s *sums) reset(pairs, pad int) {
	s.o, s.m, s.l = grow(s.o, pairs*pad), grow(s.m, pairs), grow(s.l, pairs)
	fill(s.l, -1)
}

// splitChunks chunks or more of positions are worth more than one thread.
const splitChunks = 3

// split cuts items along their positions where there are too few for the threads.
func (a *attention) split(items []attnItem) []attnItem {
	b, threads := a.b, a.b.pool.threads
	if threads == 1 || len(items) >= 2*threads {
		return items
	}
	total := 0
	for _, it := range items {
		total += it.to - it.from
	}
	for len(b.apart) < total {
		b.apart = append(b.apart, sums{})
	}
	parts, apart := b.parts[:0], b.apart
	for i := range items {
		it := &items[i]
		chunks := it.to - it.from
		n := min(chunks, (4*threads+len(items)-1)/len(items))
		if chunks < splitChunks {
			n = 1
		}
		it.apart, apart = apart[:chunks], apart[chunks:]
		for j := range n {
			lo, hi := chunks*j/n, chunks*(j+1)/n
			part := *it
			part.from, part.to, part.apart = it.from+lo, it.from+hi, it.apart[lo:hi]
			parts = append(parts, part)
		}
	}
	b.parts = parts
	if len(parts) == len(items) {
		for i := range items {
			items[i].apart = nil
		}
		return items
	}
	return parts
}

// combine merges the sums of an item's chunks.
func (a *attention) combine(s *sums, it *attnItem) {
	pairs, pad := it.n*len(a.heads[it.kvHead]), a.kv.pad
	s.reset(pairs, pad)
	for _, c := range it.apart {
		for i := range pairs {
			if c.l[i] >= 0 || c.l[i] != c.l[i] {
				a.merge(s, i, c.m[i], c.l[i], c.o[i*pad:(i+1)*pad])
			}
		}
	}
	a.finish(s, it)
}

func (a *attention) group(kvHeads int) {
	a.heads = make([][]int, kvHeads)
	for h, g := range a.spec.KVHead {
		a.heads[g] = append(a.heads[g], h)
	}
}

// attnScratch is a worker's memory for one item. A pair is a (query row, head);
// pairs are ordered by row, then head.
type attnScratch struct {
	q    []float32 // [pairs, headDim]
	sums           // of the chunks so far
	// Of one tile of at most 6 pairs in one chunk:
	score []float32               // [6, scoreStride]
	part  []float32               // [6, pad]
	tops  [maxTileRows][2]float32 // the largest score and the sum of exponentials
	// Of the chunk, in elements:
	vOff   []int     // of each block, where its first value is
	kOff   []int     // of each 16 positions, where their keys are
	v16Off []int     // of each 16 positions, where their values are; nil if apart
	keys   []byte    // [chunk/16, headDim, 16], where tiles are smaller than 16
	scales []float32 // [2, chunk], of keys and of values, where the pool has them
	// Arguments of the inner loops, which would be allocated anew for each call.
	ends  scoreEnds
	lanes [8]float64
	one   [1]int
}

// scoreStride leaves room for softmax's padding, and keeps the rows of a tile
// from sharing the sets of the first cache.
const scoreStride = chunk + 16

// sees is the first position that the query at position p sees.
func (a *attention) sees(p int) int {
	if w := a.spec.Window; w > 0 && p >= w {
		return p - w + 1
	}
	return 0
}

func (a *attention) item(s *attnScratch, it *attnItem) {
	heads, d, pad := a.heads[it.kvHead], a.spec.HeadDim, a.kv.pad
	pairs := it.n * len(heads)
	s.q = grow(s.q, pairs*d)
	s.score, s.part = grow(s.score, maxTileRows*scoreStride), grow(s.part, maxTileRows*pad)
	for i := range pairs {
		copy(s.q[i*d:(i+1)*d], a.q[a.at(it, i):])
	}
	to := &s.sums
	to.reset(pairs, pad)
	end := it.pos + it.n
	tiles := (pairs + maxTileRows - 1) / maxTileRows
	for c := it.from; c < it.to; c++ {
		if it.apart != nil {
			to = &it.apart[c-it.from]
			to.reset(pairs, pad)
		}
		keys := a.locate(s, it, c*chunk, min((c+1)*chunk, end))
		for t := range tiles {
			a.tile(s, to, it, keys, c*chunk, pairs*t/tiles, pairs*(t+1)/tiles)
		}
	}
	if it.apart == nil {
		a.finish(to, it)
	}
}

// finish divides an item's sums into dst.
func (a *attention) finish(s *sums, it *attnItem) {
	d, pad := a.spec.HeadDim, a.kv.pad
	for i := range it.n * len(a.heads[it.kvHead]) {
		inv := 1 / s.l[i]
		out := a.dst[a.at(it, i):][:d]
		for j, o := range s.o[i*pad:][:d] {
			out[j] = o * inv
		}
	}
}

// at is the index in q and dst of pair i.
func (a *attention) at(it *attnItem, i int) int {
	heads := a.heads[it.kvHead]
	return ((it.row+i/len(heads))*a.spec.Heads + heads[i%len(heads)]) * a.spec.HeadDim
}

// locate finds the blocks that hold positions [c, end) and returns the memory of
// their keys. Tiles of fewer than 16 positions are put together into tiles of 16,
// zeros after the last block.
func (a *attention) locate(s *attnScratch, it *attnItem, c, end int) []byte {
	kv, size, d := a.kv, a.kv.cfg.BlockSize, a.spec.HeadDim
	blocks := it.seq.Blocks[c/size : (end+size-1)/size]
	s.vOff, s.kOff, s.v16Off = s.vOff[:0], s.kOff[:0], s.v16Off[:0]
	mem, bytes := kv.k, kv.cfg.Type.ElementBytes()
	if kv.tile < keyTile {
		s.keys = grow(s.keys, chunk*d*bytes)
		mem = s.keys
		clear(s.keys)
		for i := 0; i < chunk; i += keyTile {
			s.kOff = append(s.kOff, i*d)
		}
	}
	if kv.scale != nil {
		s.scales = grow(s.scales, 2*chunk)
	}
	for i, block := range blocks {
		first := kv.slot(a.spec.Layer, it.kvHead, block)
		s.vOff = append(s.vOff, first*kv.pad)
		if kv.scale != nil {
			for j, pair := i*size, kv.scale[2*first:][:2*size]; len(pair) > 0; j, pair = j+1, pair[2:] {
				s.scales[j], s.scales[chunk+j] = pair[0], pair[1]
			}
		}
		if kv.tile == keyTile {
			for t := 0; t < size; t += keyTile {
				s.kOff = append(s.kOff, kv.key(first, t))
				s.v16Off = append(s.v16Off, (first+t)*kv.pad)
			}
			continue
		}
		for j := range d {
			to := (i*size/keyTile*d+j)*keyTile + i*size%keyTile
			copy(s.keys[to*bytes:][:size*bytes], kv.k[(kv.key(first, 0)+j*size)*bytes:])
		}
	}
	return mem
}

// tile merges the positions of the chunk from c on into pairs [i0, i1) of to.
func (a *attention) tile(s *attnScratch, to *sums, it *attnItem, keys []byte, c, i0, i1 int) {
	group, pad := len(a.heads[it.kvHead]), a.kv.pad
	span := func(i int) (lo, hi int) { // what pair i sees of the chunk, relative to c
		p := it.pos + i/group
		return max(a.sees(p)-c, 0), min(p+1-c, chunk)
	}
	// Both ends ascend with the position, so the pairs that see anything are a run.
	for i0 < i1 {
		if lo, hi := span(i0); lo < hi {
			break
		}
		i0++
	}
	for i0 < i1 {
		if lo, hi := span(i1 - 1); lo < hi {
			break
		}
		i1--
	}
	if i0 == i1 {
		return
	}
	n := i1 - i0
	lo, firstHi := span(i0)
	lastLo, hi := span(i1 - 1)

	a.scores(s, keys, i0, n, lo, hi)
	scale := a.spec.Scale
	if a.kv.scale != nil || a.spec.Cap > 0 {
		for i := range n {
			lo, hi := span(i0 + i)
			row := s.score[i*scoreStride:][lo:hi]
			if a.kv.scale != nil {
				a.v.mulScaled(row, row, s.scales[lo:hi], scale)
			}
			if a.spec.Cap > 0 {
				f := scale
				if a.kv.scale != nil {
					f = 1
				}
				a.v.softCap(row, f, a.spec.Cap)
			}
		}
		scale = 1
	}
	if a.v.softmaxRows != nil && lo == lastLo && firstHi == hi {
		a.v.softmaxRows(s.score[lo:], scoreStride, n, hi-lo, scale, s.tops[:n])
	} else {
		for i := range n {
			lo, hi := span(i0 + i)
			s.tops[i][0], s.tops[i][1] = a.v.softmax(s.score[i*scoreStride:][lo:hi], scale, &s.lanes)
		}
	}
	if a.kv.scale != nil {
		for i := range n {
			lo, hi := span(i0 + i)
			row := s.score[i*scoreStride:][lo:hi]
			a.v.mulScaled(row, row, s.scales[chunk+lo:chunk+hi], 1)
		}
	}

	clear(s.part[:n*pad])
	if lastLo < firstHi {
		// What all see is done together, what only some see one by one, each
		// still in the order of positions.
		for i := range n {
			lo, _ := span(i0 + i)
			a.weigh(s, i, 1, lo, lastLo)
		}
		a.weigh(s, 0, n, lastLo, firstHi)
		for i := range n {
			_, hi := span(i0 + i)
			a.weigh(s, i, 1, firstHi, hi)
		}
	} else {
		for i := range n {
			lo, hi := span(i0 + i)
			a.weigh(s, i, 1, lo, hi)
		}
	}
	for i := range n {
		a.merge(to, i0+i, s.tops[i][0], s.tops[i][1], s.part[i*pad:(i+1)*pad])
	}
}

// scores fills s.score[i, lo:hi] for n pairs from i0 on, and may fill more. The
// first pairs of an item to pass also fetch the chunk's values.
func (a *attention) scores(s *attnScratch, keys []byte, i0, n, lo, hi int) {
	d := a.spec.HeadDim
	t0, t1 := lo/keyTile, (hi+keyTile-1)/keyTile
	next, nextOff := keys, s.kOff
	if i0 == 0 && a.kv.tile == keyTile {
		next, nextOff = a.kv.v, s.v16Off
	}
	a.v.score(a.kv.cfg.Type, s.score[t0*keyTile:], scoreStride, s.q[i0*d:], d, keys, s.kOff[t0:t1], next, nextOff[t0:t1], n, d, &s.ends)
}

// weigh adds the values at positions [lo, hi) of the chunk, by their scores, to
// rows [i, i+n) of s.part.
func (a *attention) weigh(s *attnScratch, i, n, lo, hi int) {
	size := a.kv.cfg.BlockSize
	for lo < hi {
		block, slot := lo/size, lo%size
		if slot == 0 && hi-lo >= size {
			whole := (hi - lo) / size
			a.weighBlocks(s, i, n, s.vOff[block:block+whole], lo, size)
			lo += whole * size
			continue
		}
		rows := min(size-slot, hi-lo)
		s.one[0] = s.vOff[block] + slot*a.kv.pad
		a.weighBlocks(s, i, n, s.one[:], lo, rows)
		lo += rows
	}
}

// weighBlocks is weigh for as many rows from each place in off on; the first is
// at position lo of the chunk.
func (a *attention) weighBlocks(s *attnScratch, i, n int, off []int, lo, rows int) {
	pad, bytes := a.kv.pad, a.kv.cfg.Type.ElementBytes()
	strips, most := pad/stripWidth, a.v.strips[n]
	for p := 0; p < strips; p += most {
		a.v.weigh(a.kv.cfg.Type, s.part[i*pad+p*stripWidth:], pad, s.score[i*scoreStride+lo:], scoreStride,
			a.kv.v[p*stripWidth*bytes:], pad, off, n, min(most, strips-p), rows)
	}
}

// merge adds a chunk's maximum m, sum l and weighted values o to pair i.
func (a *attention) merge(s *sums, i int, m, l float32, o []float32) {
	to := s.o[i*len(o):][:len(o)]
	if s.l[i] < 0 {
		s.m[i], s.l[i] = m, l
		copy(to, o)
		return
	}
	top := max(s.m[i], m)
	shift := top
	if math.IsInf(float64(top), -1) {
		shift = 0
	}
	old, now := exp32(s.m[i]-shift), exp32(m-shift)
	s.m[i] = top
	s.l[i] = float32(s.l[i]*old) + float32(l*now)
	a.v.blend(to, o, old, now)
}
