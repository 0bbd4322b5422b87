//go:build linux && amd64 && !nocuda

package cuda

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// TestCodesCut: how codes are multiplied, and how a leaf is cut, is the same in every
// part of a matrix.
func TestCodesCut(t *testing.T) {
	rounded, exact := &Backend{}, &Backend{exact: true}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		leaves := []int{0}
		for range 1 + rng.IntN(6) {
			leaves = append(leaves, leaves[len(leaves)-1]+2*(1+rng.IntN(400)))
		}
		n := len(leaves) - 1
		k := leaves[n]
		size := []int{4, 16, 24, 32, 128, 1000}[rng.IntN(6)]
		spec := kernels.WeightSpec{Name: "w", Out: 5, K: k, DType: tensor.U4, Leaves: leaves, Coding: kernels.Runs(tensor.F16, true, k, size)}
		spec.Coding.Phase = rng.IntN(size)
		spec.Coding.N = spec.Coding.GroupOf(k-1) + 1
		whole, err := rounded.newWeight(spec)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]method{true: panel, false: codes}[size < codeStep]; whole.method != want || exact.methodOf(spec) != panel {
			t.Fatalf("groups of %d: methods %d, exact %d", size, whole.method, exact.methodOf(spec))
		}
		lo := rng.IntN(n)
		hi := lo + 1 + rng.IntN(n-lo)
		part, err := rounded.newWeight(spec.Part(leaves, tree.Range{Hi: 5}, tree.Range{Lo: lo, Hi: hi}))
		if err != nil {
			t.Fatal(err)
		}
		if part.method != whole.method {
			t.Fatalf("a part is multiplied by method %d, the whole by %d", part.method, whole.method)
		}
		if part.method != codes {
			continue
		}
		from, head := whole.starts[lo], whole.heads[lo]
		if part.steps() != whole.starts[hi]-from || len(part.segments) != whole.heads[hi]-head {
			t.Fatalf("leaves %v, [%d, %d): %d steps, %d segments", leaves, lo, hi, part.steps(), len(part.segments))
		}
		for s := range part.steps() {
			p, w := part.parts[s], whole.parts[from+s]
			if int(part.from[s])+leaves[lo] != int(whole.from[from+s]) || p.begins != w.begins || p.begins != 0 && int(p.first)+head != int(w.first) {
				t.Fatalf("leaves %v, [%d, %d): step %d: %v and %v", leaves, lo, hi, s, p, w)
			}
		}
	}
}

// TestCodesTooLarge: a scale with which a sum might be infinite is refused, but in
// class cuda-f32.
func TestCodesTooLarge(t *testing.T) {
	coding := kernels.Runs(tensor.F32, false, 64, 32)
	spec := kernels.WeightSpec{Name: "the.weight", Out: 2, K: 64, DType: tensor.I8, Coding: coding}
	row := make([]byte, spec.RowBytes(0, 64))
	coding.Record(row, spec.DType, make([]byte, 64), []float32{1, -0x1p65}, nil)
	_, err := open(t, Config{}).Pack(spec, repeated(row))
	if err == nil || !strings.Contains(err.Error(), "the.weight: row 0: scale or offset 3.689349e+19 of group 1") || !strings.Contains(err.Error(), "--cuda-exact") {
		t.Errorf("error %v", err)
	}
	w, err := open(t, Config{Exact: true}).Pack(spec, repeated(row))
	if err != nil {
		t.Fatal(err)
	}
	w.Free()
}

// TestCodesTree: leaves that are summed by the tree where they are computed come to the bits
// of partial sums: of one chunk and of more, trees of any shape and depth, two matrices
// at once.
func TestCodesTree(t *testing.T) {
	b := open(t, Config{})
	processors := b.device.processors
	defer func() { b.device.processors = processors }()
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		dtype  tensor.DType
		leaves []int
		nodes  []tree.Range
	}{
		{tensor.U4, append(steps(32, 28), 910), []tree.Range{{Lo: 0, Hi: 16}, {Lo: 16, Hi: 32}, {Lo: 32, Hi: 33}}},
		{tensor.I4, steps(11, 48), nil},
		{tensor.I8, []int{0, 520, 600, 640, 720, 1300, 1340}, nil},
		{tensor.F8, steps(7, 64), []tree.Range{{Lo: 0, Hi: 4}, {Lo: 4, Hi: 6}, {Lo: 6, Hi: 7}}},
	} {
		const rows = 70
		k, nodes := c.leaves[len(c.leaves)-1], max(len(c.nodes), 1)
		x, err := b.Alloc(rows * k)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Free()
		values := make([]float32, rows*k)
		for i := range values {
			values[i] = rng.Float32() - 0.5
		}
		if err := b.Upload(x, values); err != nil {
			t.Fatal(err)
		}
		var list []kernels.Product
		for _, out := range []int{20, 140} {
			spec := kernels.WeightSpec{Name: "w", Out: out, K: k, DType: c.dtype, Leaves: c.leaves, Nodes: c.nodes, Coding: kernels.Runs(tensor.F16, true, k, 32)}
			w, err := b.Pack(spec, repeated(randomRow(rng, spec)))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Free()
			dst, err := b.Alloc(nodes * rows * out)
			if err != nil {
				t.Fatal(err)
			}
			defer dst.Free()
			list = append(list, kernels.Product{Dst: dst, W: w})
		}
		run := func(processors int) (all []float32) {
			b.device.processors = processors
			b.MatMuls(x, rows, list...)
			for _, p := range list {
				got := make([]float32, p.Dst.Len())
				if err := b.Download(got, p.Dst); err != nil {
					t.Fatal(err)
				}
				b.Scale(p.Dst, float32(math.NaN())) // what is not written again is seen
				all = append(all, got...)
			}
			if err := b.Sync(); err != nil {
				t.Fatal(err)
			}
			return all
		}
		want := run(1000) // chunks
		for i, v := range run(2) {
			if math.Float32bits(v) != math.Float32bits(want[i]) {
				t.Fatalf("%v, leaves %v: element %d is %v, by partial sums %v", c.dtype, c.leaves, i, v, want[i])
			}
		}
	}
}
