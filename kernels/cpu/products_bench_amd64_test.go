//go:build !noasm

package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// BenchmarkMLP is a residual sum, norm, gate and up of the 1.0B shape, in one call beside
// op after op, in turn: medians in microseconds, and the second over the first.
func BenchmarkMLP(b *testing.B) {
	const k, out = 2048, 7168
	for _, v := range variants()[:max(1, len(variants())-1)] {
		for _, f := range []kernels.Format{kernels.AsStored, kernels.Q8, kernels.Q4} {
			for _, rows := range []int{1, 8, 32, 512} {
				b.Run(fmt.Sprintf("%s/%v/rows=%d", v.name, f, rows), func(b *testing.B) {
					be := newTest(b, v.name, 2)
					var pairs [][2]kernels.Weight // more than the cache holds; each way has its own half
					for range 6 {
						var pair [2]kernels.Weight
						for i := range pair {
							w, err := be.Pack(kernels.WeightSpec{Name: "bench", Out: out, K: k, DType: tensor.BF16, Format: f}, noise(slices.Repeat([]byte{0x12, 0x3c, 0x55, 0xbc}, k/2)))
							if err != nil {
								b.Fatal(err)
							}
							b.Cleanup(w.Free)
							pair[i] = w
						}
						pairs = append(pairs, pair)
					}
					x, add, h, norm := make(buffer, rows*k), make(buffer, rows*k), make(buffer, rows*k), make(buffer, k)
					gate, up := make(buffer, rows*out), make(buffer, rows*out)
					for i := range x {
						x[i] = rand.Float32()
					}
					fill(norm, 1)
					var took [2][]float64
					for i := 0; b.Loop(); i++ {
						w := pairs[i%len(pairs)]
						p := kernels.Products{X: h, Rows: rows, Norm: &kernels.Norm{X: x, Add: add, W: norm, Eps: 1e-5},
							List: []kernels.Product{{Dst: gate, W: w[0]}, {Dst: up, W: w[1]}}, Gate: kernels.SiLUGate}
						start := time.Now()
						if i%2 == 0 {
							be.Multiply(p)
						} else {
							be.Add(x, add)
							be.RMSNorm(h, x, norm, rows, 1e-5)
							be.Multiply(kernels.Products{X: h, Rows: rows, List: p.List})
							be.SiLUMul(gate, gate, up)
						}
						took[i%2] = append(took[i%2], float64(time.Since(start))/1e3)
					}
					for i := range took {
						slices.Sort(took[i])
					}
					if len(took[1]) > 0 {
						one, apart := took[0][len(took[0])/2], took[1][len(took[1])/2]
						b.ReportMetric(one, "µs-once")
						b.ReportMetric(apart, "µs-apart")
						b.ReportMetric(apart/one, "ratio")
					}
				})
			}
		}
	}
}
