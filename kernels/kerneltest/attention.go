package kerneltest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/reference"
	"github.com/sullae/sullae/kernels/tensor"
)

// scene is sequences whose keys and values are all in a pool, in scattered
// blocks, with NaN wherever no sequence has written.
type scene struct {
	kv    kernels.KVConfig
	spec  kernels.AttentionSpec
	seqs  []sceneSeq
	layer int
}

type sceneSeq struct {
	q, k, v []float32 // [length, heads or kvHeads, headDim]
	length  int
	blocks  []int32
}

func newScene(s source, heads, kvHeads, headDim, blockSize, window int, lengths ...int) *scene {
	sc := &scene{layer: 1}
	sc.spec = kernels.AttentionSpec{
		Layer: sc.layer, Heads: heads, HeadDim: headDim, Window: window,
		KVHead: make([]int, heads), Scale: float32(1 / math.Sqrt(float64(headDim))),
	}
	for h := range heads {
		sc.spec.KVHead[h] = h * kvHeads / heads
	}
	blocks := 3
	for _, n := range lengths {
		blocks += (n + blockSize - 1) / blockSize
	}
	sc.kv = kernels.KVConfig{Layers: 2, Blocks: blocks, BlockSize: blockSize, KVHeads: kvHeads, HeadDim: headDim}
	// The values come first: they do not depend on the block size.
	for _, n := range lengths {
		q := sceneSeq{length: n, q: s.floats(n * heads * headDim), k: s.floats(n * kvHeads * headDim), v: s.floats(n * kvHeads * headDim)}
		for i := range q.q {
			q.q[i] *= 2 // sharper weights
		}
		sc.seqs = append(sc.seqs, q)
	}
	free := s.Perm(blocks)
	if s.IntN(3) == 0 {
		for i := range free { // blocks that follow one another are a case of their own
			free[i] = i
		}
	}
	for i, n := range lengths {
		for range (n + blockSize - 1) / blockSize {
			sc.seqs[i].blocks = append(sc.seqs[i].blocks, int32(free[0]))
			free = free[1:]
		}
	}
	return sc
}

// part is rows [from, to) of sequence seq, queried in one step.
type part struct{ seq, from, to int }

// pool writes all keys and values, NaN first.
func (sc *scene) pool(t *testing.T, b kernels.Backend) kernels.KV {
	t.Helper()
	kv, err := b.NewKV(sc.kv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kv.Free)
	all := kernels.SeqRows{N: sc.kv.Blocks * sc.kv.BlockSize}
	for i := range sc.kv.Blocks {
		all.Blocks = append(all.Blocks, int32(i))
	}
	nan := make([]float32, all.N*sc.kv.KVHeads*sc.kv.HeadDim)
	for i := range nan {
		nan[i] = float32(math.NaN())
	}
	for layer := range sc.kv.Layers {
		buf := put(t, b, nan, 1)
		b.WriteKV(kv, layer, buf, buf, []kernels.SeqRows{all})
	}
	var k, v []float32
	var seqs []kernels.SeqRows
	row := 0
	for _, s := range sc.seqs {
		// In two parts, so that one begins in the middle of a block.
		cut := s.length / 3
		seqs = append(seqs, kernels.SeqRows{Row: row, N: cut, Blocks: s.blocks},
			kernels.SeqRows{Row: row + cut, N: s.length - cut, Pos: cut, Blocks: s.blocks})
		row += s.length
		k, v = append(k, s.k...), append(v, s.v...)
	}
	b.WriteKV(kv, sc.layer, put(t, b, k, 1), put(t, b, v, 3), seqs)
	return kv
}

// query is one step: the results of all parts, one after another.
func (sc *scene) query(t *testing.T, b kernels.Backend, kv kernels.KV, parts ...part) []float32 {
	t.Helper()
	width := sc.spec.Heads * sc.spec.HeadDim
	var q []float32
	var seqs []kernels.SeqRows
	row := 0
	for _, p := range parts {
		s := sc.seqs[p.seq]
		q = append(q, s.q[p.from*width:p.to*width]...)
		seqs = append(seqs, kernels.SeqRows{Row: row, N: p.to - p.from, Pos: p.from, Blocks: s.blocks})
		row += p.to - p.from
	}
	dst := newOutput(t, b, row*width, 1)
	b.Attention(dst.buf, put(t, b, q, 3), kv, sc.spec, seqs)
	return dst.take(t, b)
}

// kept is what the pool keeps of vectors.
func (sc *scene) kept(v []float32) []float32 {
	v = slices.Clone(v)
	for vector := range slices.Chunk(v, sc.kv.HeadDim) {
		reference.RoundKV(vector, sc.kv.Type)
	}
	return v
}

// want is the reference for a part and the bound on each element's error.
func (sc *scene) want(p part) (want, tol []float64) {
	s, d, heads, kvHeads := sc.seqs[p.seq], sc.spec.HeadDim, sc.spec.Heads, sc.kv.KVHeads
	s.k, s.v = sc.kept(s.k), sc.kept(s.v)
	scales := 0.0 // roundings by the vectors' own scales
	if sc.kv.Type == kernels.KVQ8 {
		scales = 2
	}
	for pos := p.from; pos < p.to; pos++ {
		lo := 0
		if w := sc.spec.Window; w > 0 {
			lo = max(0, pos-w+1)
		}
		for h := range heads {
			var k, v []float64
			q := wide(s.q[(pos*heads+h)*d:][:d])
			largest, slip := 0.0, 0.0
			for i := lo; i <= pos; i++ {
				at := (i*kvHeads + sc.spec.KVHead[h]) * d
				k, v = append(k, wide(s.k[at:at+d])...), append(v, wide(s.v[at:at+d])...)
				size := 0.0
				for j := range d {
					size += math.Abs(q[j] * float64(s.k[at+j]))
					largest = max(largest, math.Abs(float64(s.v[at+j])))
				}
				slip = max(slip, size*float64(sc.spec.Scale)*(float64(d+3)+scales)*eps+float64(sc.spec.Cap)*6*eps)
			}
			out := make([]float64, d)
			reference.Attention(out, q, k, v, float64(sc.spec.Scale), float64(sc.spec.Cap))
			want = append(want, out...)
			// A score's error is a weight's relative error; the weights' sums round
			// once per position of a chunk and a few times per chunk.
			n := float64(min(pos-lo+1, 256)+4*(pos/256)+20) + scales
			for range d {
				tol = append(tol, (2*slip+n*eps)*largest)
			}
		}
	}
	return want, tol
}

func attentionCases() []testCase {
	var list []testCase
	add := func(heads, kvHeads, headDim, blockSize, window int, parts []part, lengths ...int) {
		list = append(list, attentionCase(heads, kvHeads, headDim, blockSize, window, parts, lengths...))
	}
	for _, size := range []int{1, 2, 4, 8, 16, 32, 128, 256} {
		add(4, 2, 16, size, 0, []part{{0, 0, 5}, {1, 30, 37}, {2, 17, 18}}, 5, 37, 18)
		add(4, 1, 24, size, 0, []part{{0, 250, 262}, {0, 599, 600}}, 600)
		add(3, 3, 8, size, 20, []part{{0, 0, 70}}, 70)
	}
	for _, dim := range []int{8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 128, 136, 256} {
		add(2, 1, dim, 16, 0, []part{{0, 0, 33}, {1, 256, 257}}, 33, 300)
	}
	for _, window := range []int{1, 2, 3, 5, 16, 100, 256, 257, 300, 1000} {
		add(2, 1, 16, 16, window, []part{{0, 0, 40}, {0, 240, 300}, {0, 790, 800}}, 800)
	}
	for _, group := range []int{1, 2, 3, 4, 5, 6, 7, 8, 13} {
		add(2*group, 2, 16, 16, 0, []part{{0, 0, 40}, {1, 18, 19}, {2, 511, 513}}, 40, 19, 513)
	}
	add(32, 8, 128, 16, 0, []part{{0, 300, 301}, {1, 0, 20}}, 301, 20)
	list = append(list,
		cappedCase(50, 0, part{0, 0, 40}, part{0, 255, 260}),
		cappedCase(1.5, 0, part{0, 0, 40}, part{0, 255, 260}),
		cappedCase(3, 37, part{0, 0, 40}, part{0, 250, 263}))
	for _, kv := range narrowKV {
		for _, size := range []int{1, 8, 16, 256} {
			list = append(list, narrowCase(kv, 4, 1, 24, size, 0, []part{{0, 250, 262}, {0, 599, 600}}, 600))
		}
		for _, dim := range []int{8, 16, 40, 64, 72, 80, 128, 136} {
			list = append(list, narrowCase(kv, 2, 1, dim, 16, 0, []part{{0, 0, 33}, {1, 256, 257}}, 33, 300))
		}
		for _, group := range []int{1, 2, 3, 4, 5, 6, 7, 13} {
			list = append(list, narrowCase(kv, 2*group, 2, 16, 16, 20*(group%2), []part{{0, 0, 40}, {1, 18, 19}, {2, 511, 513}}, 40, 19, 513))
		}
	}
	return list
}

// narrowKV are the types that keep less than is written.
var narrowKV = []kernels.KVType{kernels.KVF16, kernels.KVBF16, kernels.KVQ8}

// narrowCase is attentionCase with keys and values of some type, some of them
// zero vectors or of odd sizes.
func narrowCase(kv kernels.KVType, heads, kvHeads, headDim, blockSize, window int, parts []part, lengths ...int) testCase {
	name := fmt.Sprintf("Attention/kv=%v,heads=%d:%d,dim=%d,block=%d,window=%d,lengths=%v", kv, heads, kvHeads, headDim, blockSize, window, lengths)
	sc := newScene(seeded(name), heads, kvHeads, headDim, blockSize, window, lengths...)
	sc.kv.Type = kv
	for _, q := range sc.seqs {
		for _, v := range [][]float32{q.k, q.v} {
			row := kvHeads * headDim
			clear(v[2*row : 3*row])
			for i := range v[3*row : 5*row] {
				v[3*row+i] *= [2]float32{0x1p-20, 0x1p-140}[i/row]
			}
		}
	}
	return sc.testCase(name, parts)
}

// cappedCase has scores under a soft cap.
func cappedCase(limit float32, window int, parts ...part) testCase {
	name := fmt.Sprintf("Attention/cap=%v,window=%d", limit, window)
	sc := newScene(seeded(name), 4, 2, 24, 16, window, 270)
	sc.spec.Cap = limit
	return sc.testCase(name, parts)
}

func attentionCase(heads, kvHeads, headDim, blockSize, window int, parts []part, lengths ...int) testCase {
	name := fmt.Sprintf("Attention/heads=%d:%d,dim=%d,block=%d,window=%d,lengths=%v", heads, kvHeads, headDim, blockSize, window, lengths)
	sc := newScene(seeded(name), heads, kvHeads, headDim, blockSize, window, lengths...)
	return sc.testCase(name, parts)
}

func (sc *scene) testCase(name string, parts []part) testCase {
	// slack is for weights that are rounded, as parts of the largest value.
	check := func(t *testing.T, got []float32, sc *scene, slack float64) {
		var want, tol []float64
		for _, p := range parts {
			w, e := sc.want(p)
			largest := 0.0
			for _, v := range sc.seqs[p.seq].v {
				largest = max(largest, math.Abs(float64(v)))
			}
			for i := range e {
				e[i] += slack * largest
			}
			want, tol = append(want, w...), append(tol, e...)
		}
		near(t, got, want, tol)
	}
	c := testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			return sc.query(t, b, sc.pool(t, b), parts...)
		},
		check: func(t *testing.T, got []float32) { check(t, got, sc, 0) },
	}
	if round, slack := roundTo(sc.kv.Type); round != nil {
		c.rounded = func(t *testing.T, got []float32) {
			near := *sc
			near.seqs = slices.Clone(sc.seqs)
			for i := range near.seqs {
				near.seqs[i].q = slices.Clone(near.seqs[i].q)
				for j, v := range near.seqs[i].q {
					near.seqs[i].q[j] = round(v)
				}
			}
			check(t, got, &near, slack)
		}
	}
	return c
}

// roundTo is how a backend may round queries over a pool of a type, and how far weights
// rounded likewise may be off, as parts of the largest value.
func roundTo(kv kernels.KVType) (round func(float32) float32, slack float64) {
	switch kv {
	case kernels.KVBF16:
		return func(v float32) float32 { return math.Float32frombits(uint32(tensor.Float32ToBF16(v)) << 16) }, 0x1p-8
	case kernels.KVF16:
		return func(v float32) float32 { return tensor.HalfToFloat32(tensor.Float32ToF16(v)) }, 0x1p-10
	}
	return nil, 0
}

// chunkingRule: a prompt's results are the same however it is cut into steps,
// whatever else is in a step, and for every block size.
func chunkingRule(t *testing.T, b kernels.Backend) {
	sizes := []int{16, 1, 8, 64, 256}
	for _, window := range []int{0, 37, 256} {
		chunking(t, b, kernels.KVF32, window, sizes, 530)
	}
	for _, kv := range narrowKV {
		chunking(t, b, kv, 37, sizes, 530)
	}
}

func smallChunkingRule(t *testing.T, b kernels.Backend) {
	chunking(t, b, kernels.KVF32, 37, []int{64}, 262)
	chunking(t, b, kernels.KVQ8, 37, []int{16}, 40)
	chunking(t, b, kernels.KVBF16, 37, []int{16}, 300)
}

func smallPoisonRule(t *testing.T, b kernels.Backend) {
	poison(t, b, kernels.KVF32, float32(math.NaN()))
	poison(t, b, kernels.KVQ8, float32(math.Inf(1)))
	poison(t, b, kernels.KVBF16, float32(math.Inf(-1)))
}

func chunking(t *testing.T, b kernels.Backend, kvType kernels.KVType, window int, sizes []int, length int) {
	var first []float32
	for _, size := range sizes {
		s := seeded("chunking") // the same values for each block size
		sc := newScene(s, 4, 1, 8, size, window, length, 90)
		sc.kv.Type = kvType
		kv := sc.pool(t, b)
		whole := sc.query(t, b, kv, part{0, 0, length})
		if first == nil {
			first = whole
		}
		same(t, whole, first)
		var cut []float32
		for from := 0; from < length; {
			to := min(from+1+s.IntN(70), length)
			other := 1 + s.IntN(89)
			got := sc.query(t, b, kv, part{1, 0, other}, part{0, from, to}, part{1, other, other + 1})
			width := sc.spec.Heads * sc.spec.HeadDim
			cut = append(cut, got[other*width:(other+to-from)*width]...)
			from = to
		}
		same(t, cut, whole)
	}
}

// poisonRule: a NaN or an infinity among a sequence's values or keys reaches the
// positions after it and no others; where a vector has one scale, it reaches the
// whole vector and is NaN.
func poisonRule(t *testing.T, b kernels.Backend) {
	for kv := range kernels.KVQ8 + 1 {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			poison(t, b, kv, bad)
		}
	}
}

func poison(t *testing.T, b kernels.Backend, kv kernels.KVType, bad float32) {
	sc := newScene(seeded("poison"), 4, 2, 16, 16, 0, 60, 60)
	sc.kv.Type = kv
	clean := sc.query(t, b, sc.pool(t, b), part{0, 0, 60}, part{1, 0, 60})
	const at = 21
	sc.seqs[0].v[(at*2+1)*16+3] = bad
	got := sc.query(t, b, sc.pool(t, b), part{0, 0, 60}, part{1, 0, 60})
	for i, x := range got {
		row, head, d := i/64, i/16%4, i%16
		hit := row >= at && row < 60 && head >= 2 && (d == 3 || kv == kernels.KVQ8)
		if hit != (x != clean[i] || x != x) || hit && float64(x) != float64(bad) && bad == bad && kv != kernels.KVQ8 {
			t.Fatalf("%v, %v at position %d: row %d, head %d, element %d is %v, was %v", kv, bad, at, row, head, d, x, clean[i])
		}
	}
	sc.seqs[1].k[(at*2)*16+5] = float32(math.NaN())
	got = sc.query(t, b, sc.pool(t, b), part{1, 0, 60})
	for i, x := range got {
		if hit := i/64 >= at && i/16%4 < 2; hit != (x != x) {
			t.Fatalf("%v, NaN key at position %d: row %d, head %d is %v", kv, at, i/64, i/16%4, x)
		}
	}
}
