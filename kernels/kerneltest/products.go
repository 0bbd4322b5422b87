package kerneltest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

func productsRule(t *testing.T, b kernels.Backend)      { testProducts(t, b, 1, 9, 200) }
func smallProductsRule(t *testing.T, b kernels.Backend) { testProducts(t, b, 3) }

// testProducts: products with the ops around them give what those give one after the
// other, whatever the formats, and take each block once, when all of it is there.
func testProducts(t *testing.T, b kernels.Backend, rowCounts ...int) {
	const k, out, block, eps = 96, 140, 48, 1e-5
	for _, f := range []kernels.Format{kernels.AsStored, kernels.Q8, kernels.Q4} {
		for _, upFormat := range []kernels.Format{f, kernels.Q8} {
			for _, rows := range rowCounts {
				for _, gate := range []kernels.Gate{kernels.NoGate, kernels.SiLUGate, kernels.GELUGate} {
					t.Run(fmt.Sprint(f, upFormat, rows, gate), func(t *testing.T) {
						s := seeded(t.Name())
						matrix := func(f kernels.Format, leaves []int) kernels.Weight {
							raw, _ := store(s.floats(out*k), tensor.BF16)
							return pack(t, b, kernels.WeightSpec{Name: "w", Out: out, K: k, DType: tensor.BF16, Format: f, Leaves: leaves}, raw)
						}
						leaves := []int{0, 40, k}
						w1, w2 := matrix(f, leaves), matrix(upFormat, leaves)
						x, add, norm := s.floats(rows*k), s.floats(rows*k), put(t, b, s.floats(k), 0)

						// One after the other.
						x1, h1 := put(t, b, x, 0), put(t, b, add, 0)
						a1, b1 := newOutput(t, b, rows*out, 0), newOutput(t, b, rows*out, 0)
						b.Add(x1, h1)
						b.RMSNorm(h1, x1, norm, rows, eps)
						b.MatMul(a1.buf, h1, w1, rows)
						b.MatMul(b1.buf, h1, w2, rows)
						if gate != kernels.NoGate {
							gate.Apply(b, a1.buf, b1.buf)
						}

						// At once; what is added lies where the norm goes.
						x2, h2 := put(t, b, x, 0), put(t, b, add, 0)
						a2, b2 := newOutput(t, b, rows*out, 0), newOutput(t, b, rows*out, 0)
						kernels.Multiply(b, kernels.Products{X: h2, Rows: rows, Norm: &kernels.Norm{X: x2, Add: h2, W: norm, Eps: eps},
							List: []kernels.Product{{Dst: a2.buf, W: w1}, {Dst: b2.buf, W: w2}}, Gate: gate})
						same(t, get(t, b, x2), get(t, b, x1))
						h := get(t, b, h1)
						same(t, get(t, b, h2), h)
						same(t, a2.take(t, b), a1.take(t, b))
						if gate == kernels.NoGate {
							same(t, b2.take(t, b), b1.take(t, b))
						}

						m, ok := b.(kernels.Multiplier)
						if !ok || gate != kernels.NoGate {
							return
						}
						a := newOutput(t, b, rows*out, 0)
						values := b.Host(a.buf)
						var mu sync.Mutex
						took := map[int][]float32{}
						m.Multiply(kernels.Products{X: put(t, b, h, 0), Rows: rows, List: []kernels.Product{{Dst: a.buf, W: w1}}, Block: block, Take: func(th kernels.Thread, lo, hi int) {
							var got []float32
							for r := range rows {
								got = append(got, values[r*out+lo:r*out+hi]...)
							}
							if i := th.Index(); i < 0 || i >= b.Info().Threads {
								t.Errorf("thread %d of %d", i, b.Info().Threads)
							}
							mu.Lock()
							defer mu.Unlock()
							if took[lo] != nil || lo%block != 0 || hi != min(lo+block, out) {
								t.Errorf("outputs [%d, %d) in blocks of %d of %d", lo, hi, block, out)
							}
							took[lo] = got
						}})
						want := a1.take(t, b)
						if len(took) != (out+block-1)/block {
							t.Errorf("%d blocks of %d of %d outputs", len(took), block, out)
						}
						for lo, got := range took {
							n := min(block, out-lo)
							for r := range rows {
								same(t, got[r*n:(r+1)*n], want[r*out+lo:r*out+lo+n])
							}
						}
					})
				}
			}
		}
	}
}
