//go:build linux && amd64 && !nocuda

package cuda

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// stepper is a layer's worth of ops, as steps call them.
type stepper struct {
	t       *testing.T
	b       *Backend
	w       kernels.Weight
	kv      kernels.KV
	table   *kernels.RopeTable
	x, q, k kernels.Buffer
}

const stepDim = 16

func newStepper(t *testing.T, b *Backend) *stepper {
	rng := rand.New(rand.NewPCG(5, 6))
	s := &stepper{t: t, b: b}
	raw := make([]byte, 4*2*stepDim*stepDim)
	for i := range 2 * stepDim * stepDim {
		put(raw[4*i:], rng.Float32()-0.5, tensor.F32)
	}
	var err error
	if s.w, err = b.Pack(kernels.WeightSpec{Name: "w", Out: 2 * stepDim, K: stepDim, DType: tensor.F32}, stored{raw, 4 * stepDim}); err != nil {
		t.Fatal(err)
	}
	if s.kv, err = b.NewKV(kernels.KVConfig{Layers: 1, Blocks: 100, BlockSize: 8, KVHeads: 1, HeadDim: stepDim}); err != nil {
		t.Fatal(err)
	}
	s.table = &kernels.RopeTable{Half: stepDim / 2, Cos: make([]float32, 600*stepDim/2), Sin: make([]float32, 600*stepDim/2)}
	for i := range s.table.Cos {
		s.table.Cos[i], s.table.Sin[i] = float32(math.Cos(float64(i))), float32(math.Sin(float64(i)))
	}
	for _, m := range []struct {
		to *kernels.Buffer
		n  int
	}{{&s.x, 64 * stepDim}, {&s.q, 64 * 2 * stepDim}, {&s.k, 64 * stepDim}} {
		if *m.to, err = b.Alloc(m.n); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *stepper) free() {
	s.w.Free()
	s.kv.Free()
	for _, m := range []kernels.Buffer{s.x, s.q, s.k} {
		m.Free()
	}
}

// step computes one position of each of n sequences.
func (s *stepper) step(n, pos int, begin bool) []float32 {
	s.t.Helper()
	rows := n
	if begin {
		rows = s.b.BeginStep(n)
	}
	x, q, k := s.x.Slice(0, rows*stepDim), s.q.Slice(0, rows*2*stepDim), s.k.Slice(0, rows*stepDim)
	in := make([]float32, n*stepDim)
	for i := range in {
		in[i] = float32(math.Sin(float64(i*pos + 1)))
	}
	if err := s.b.Upload(x, in); err != nil {
		s.t.Fatal(err)
	}
	angles := make([]int32, rows)
	var seqs []kernels.SeqRows
	for i := range n {
		angles[i] = int32(pos)
		blocks := make([]int32, pos/8+1)
		for j := range blocks {
			blocks[j] = int32(i*3 + (j+pos/100)%3)
		}
		seqs = append(seqs, kernels.SeqRows{Row: i, N: 1, Pos: pos, Blocks: blocks})
	}
	s.b.MatMul(q, x, s.w, rows)
	s.b.Rope(q, 2, stepDim, angles, s.table)
	s.b.Scale(k, 0)
	s.b.Add(k, x)
	s.b.Rope(k, 1, stepDim, angles, s.table)
	s.b.WriteKV(s.kv, 0, k, x, seqs)
	s.b.Attention(q, q, s.kv, kernels.AttentionSpec{Heads: 2, HeadDim: stepDim, KVHead: []int{0, 0}, Scale: 0.25, Window: 1}, seqs)
	s.b.RMSNorm(q, q, s.k.Slice(0, stepDim), 2*rows, 1e-5)
	s.b.AddBias(q, x.Slice(0, 2*stepDim), 1)
	out := make([]float32, n*2*stepDim)
	if err := s.b.Download(out, q.Slice(0, len(out))); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// TestGraphs: launches that come again are one graph, made at the second time: whatever
// positions and blocks, for numbers of rows of one bucket; another bucket is another
// graph; all are dropped when memory is freed; results are the same bits.
func TestGraphs(t *testing.T) {
	b := open(t, Config{})
	plain, s := newStepper(t, b), newStepper(t, b)
	defer plain.free()
	s.step(32, 300, true) // memory grows where it is first asked for
	b.graphs.drop(b)
	want := func(captured, launched int) {
		t.Helper()
		if b.graphs.captured != captured || b.graphs.launched != launched {
			t.Fatalf("%d graphs made and %d launched, want %d and %d", b.graphs.captured, b.graphs.launched, captured, launched)
		}
	}
	same := func(n, pos int) {
		t.Helper()
		got := s.step(n, pos, true)
		captured, launched := b.graphs.captured, b.graphs.launched
		off := b.graphs
		b.graphs.off, b.stepRows = errNoGraphs, 0
		alone := plain.step(n, pos, false)
		b.graphs = off
		want(captured, launched)
		for i := range alone {
			if math.Float32bits(got[i]) != math.Float32bits(alone[i]) {
				t.Fatalf("%d rows at %d: element %d is %v, without graphs %v", n, pos, i, got[i], alone[i])
			}
		}
	}
	same(9, 20)
	want(0, 0)
	same(12, 21)
	want(1, 1)
	same(16, 40)
	want(1, 2)
	same(20, 41) // another bucket
	same(25, 90)
	want(2, 3)
	same(10, 91)
	want(2, 4)
	same(10, 257) // chunks of another position
	same(11, 258)
	want(3, 5)
	s.free() // as when a group forms anew
	if len(b.graphs.ready) != 0 || b.graphs.dropped != 3 {
		t.Fatalf("%d graphs are left, %d dropped, after their memory was freed", len(b.graphs.ready), b.graphs.dropped)
	}
	s = newStepper(t, b)
	defer s.free()
	same(10, 5)
	same(10, 6)
	same(10, 7)
	want(4, 6) // the first step copies the table of angles

	for i := range maxGraphs + 3 { // more than are kept
		for range 2 {
			for range leastCalls {
				b.Scale(s.x, float32(i)+0.5)
			}
			b.submit()
		}
	}
	if len(b.graphs.ready) != maxGraphs {
		t.Errorf("%d graphs are kept, at most %d", len(b.graphs.ready), maxGraphs)
	}
}

// TestArgs: arrays of a step lie where those of the step before lay, as far as they
// fit, and what is the same is not copied again.
func TestArgs(t *testing.T) {
	b := open(t, Config{})
	step := func(arrays ...[]int32) (at []uint64) {
		b.BeginStep(1)
		for _, a := range arrays {
			at = append(at, send(b, a))
		}
		return at
	}
	long := make([]int32, 100)
	first := step([]int32{1, 2}, []int32{3}, []int32{1, 2}, long)
	if first[0] != first[2] || first[0] == first[1] {
		t.Errorf("equal arrays at %v", first)
	}
	second := step([]int32{5, 6, 7}, []int32{3}, []int32{5, 6, 7}, append(long, 1, 2, 3))
	for i := range first {
		if second[i] != first[i] {
			t.Errorf("array %d moved from %#x to %#x", i, first[i], second[i])
		}
	}
	got := make([]byte, 412)
	b.copyOut(got, second[3])
	if got[400] != 1 || got[404] != 2 || got[408] != 3 {
		t.Errorf("the device has %v", got[396:])
	}
	for i := range 3000 { // more than there is room for
		long[i%100]++
		at := send(b, long)
		b.copyOut(got[:400], at)
		if got[i%100*4] != byte(long[i%100]) {
			t.Fatalf("array %d: the device has %d, not %d", i, got[i%100*4], long[i%100])
		}
	}
	big := make([]int32, argBytes/16)
	for i := range 10 {
		big[7] = int32(i)
		at := send(b, big)
		b.copyOut(got[:32], at)
		if got[28] != byte(i) {
			t.Fatalf("large array %d: the device has %d", i, got[28])
		}
	}
}
