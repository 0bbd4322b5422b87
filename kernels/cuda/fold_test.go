//go:build linux && amd64 && !nocuda

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// TestFold: a product's partial sums come to the same bits in the last block of each tile,
// whichever that is, and in a launch of their own, for trees of any shape, when the launch
// is repeated in a graph, and two products at once; then all counters are zero again. A
// sum that is taken before it is there would be NaN.
func TestFold(t *testing.T) {
	b := open(t, Config{})
	poison := func(m *memory) {
		b.submit()
		defer b.device.enter()()
		b.note(b.device.call("cuMemsetD8Async", b.device.cuMemsetD8Async, uintptr(m.at), 0xff, uintptr(m.size), b.device.stream))
	}
	rng := rand.New(rand.NewPCG(7, 8))
	for _, c := range []struct {
		leaves []int
		nodes  []tree.Range
		format kernels.Format
		dtype  tensor.DType
		split  bool
	}{
		{[]int{0, 600, 700, 1300}, nil, kernels.AsStored, tensor.BF16, true},
		{steps(37, 32), nil, kernels.AsStored, tensor.BF16, false},
		{steps(20, 32), []tree.Range{{Lo: 0, Hi: 16}, {Lo: 16, Hi: 19}, {Lo: 19, Hi: 20}}, kernels.AsStored, tensor.BF16, false},
		{[]int{0, 600, 1700}, []tree.Range{{Lo: 0, Hi: 1}, {Lo: 1, Hi: 2}}, kernels.AsStored, tensor.F32, true},
		{append(steps(21, 32), 1700), nil, kernels.Q4, tensor.F32, true},
	} {
		t.Run(fmt.Sprint(c.format, c.dtype, len(c.leaves)-1, " leaves ", len(c.nodes), " nodes"), func(t *testing.T) {
			k := c.leaves[len(c.leaves)-1]
			nodes := max(len(c.nodes), 1)
			var list []kernels.Product
			var in []kernels.Weight
			for _, out := range []int{200, 40} {
				raw := make([]byte, out*k*c.dtype.Size())
				for i := range out * k {
					put(raw[i*c.dtype.Size():], math.Float32frombits(math.Float32bits(rng.Float32()-0.5)&^0xffff), c.dtype)
				}
				w, err := b.Pack(kernels.WeightSpec{Name: "w", Out: out, K: k, DType: c.dtype, Format: c.format, Leaves: c.leaves, Nodes: c.nodes}, stored{raw, k * c.dtype.Size()})
				if err != nil {
					t.Fatal(err)
				}
				defer w.Free()
				in = append(in, w)
			}
			b.device.processors = 0
			if c.split {
				b.device.processors = 1000
			}
			for _, rows := range []int{1, 9} {
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
				list = list[:0]
				var want [][]float32
				for _, w := range in {
					dst, err := b.Alloc(nodes * rows * w.Spec().Out)
					if err != nil {
						t.Fatal(err)
					}
					defer dst.Free()
					list = append(list, kernels.Product{Dst: dst, W: w})
				}
				for i, bytes := range []int{0, 1 << 30} { // apart, and inside
					b.foldBytes = bytes
					b.MatMuls(x, rows, list...) // so that there is memory for partial sums
					for range 3 {
						poison(b.parts)
						for _, p := range list {
							poison(dev(p.Dst).mem)
						}
						for range 2 {
							b.MatMuls(x, rows, list...)
						}
						b.submit()
					}
					for j, p := range list {
						got := make([]float32, p.Dst.Len())
						if err := b.Download(got, p.Dst); err != nil {
							t.Fatal(err)
						}
						if i == 0 {
							want = append(want, got)
						}
						for e := range got {
							if math.Float32bits(got[e]) != math.Float32bits(want[j][e]) || got[e] != got[e] {
								t.Fatalf("%d rows, turn %d, product %d: element %d is %v, folded apart %v", rows, i, j, e, got[e], want[j][e])
							}
						}
					}
				}
			}
		})
	}
	if b.graphs.launched == 0 {
		t.Error("nothing ran as a graph")
	}
	counters := make([]byte, b.ended.size)
	b.copyOut(counters, b.ended.at)
	for i, c := range counters {
		if c != 0 {
			t.Fatalf("counter %d is not zero at the end", i/4)
		}
	}
}

// steps are n leaves of size values each.
func steps(n, size int) (leaves []int) {
	for i := range n + 1 {
		leaves = append(leaves, i*size)
	}
	return leaves
}
