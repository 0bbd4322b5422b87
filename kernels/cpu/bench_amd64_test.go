//go:build !noasm

package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// Each benchmark reports its figure and, as "of-limit", the share of the limit
// that binds it: what the machine reads from memory or multiplies and adds, on
// as many threads, measured around the benchmark in the same run.

// rate is the best of several runs of f on every thread at once, in units per
// nanosecond, one thread doing units.
func rate(threads int, units float64, f func(thread int)) float64 {
	best := 0.0
	p := newPool(threads)
	defer p.close()
	for range 8 {
		start := time.Now()
		p.run(threads, 1, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				f(i)
			}
		})
		best = max(best, units*float64(threads)/float64(time.Since(start)))
	}
	return best
}

var probeMemory *region

// readLimit is the read bandwidth in GB/s.
func readLimit(b *testing.B, threads int) float64 {
	const each = 128 << 20
	if probeMemory == nil {
		r, err := newRegion(each * max(2, runtime.GOMAXPROCS(0)))
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < len(r.data); i += 4096 {
			r.data[i] = 1
		}
		probeMemory = r
	}
	return rate(threads, each, func(i int) { readProbe(&probeMemory.data[i*each], each) })
}

// fmaLimit is the multiply-add peak in GFLOP/s.
func fmaLimit(threads int) float64 {
	const n = 1 << 20
	return rate(threads, 192*n, func(int) { fmaProbe(n) })
}

// report runs f b.N times and reports its best rate beside the limit's, which is
// a best one too: the machine may be shared.
func report(b *testing.B, units float64, unit string, limit func() float64, f func()) {
	f()
	most := limit()
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	got := units / float64(best)
	most = max(most, limit())
	b.ReportMetric(got, unit)
	b.ReportMetric(most, "limit-"+unit)
	b.ReportMetric(got/most, "of-limit")
}

func threadCounts() []int {
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return []int{1, n}
	}
	return []int{1}
}

func BenchmarkLimits(b *testing.B) {
	for _, n := range threadCounts() {
		b.Run(fmt.Sprintf("threads=%d", n), func(b *testing.B) {
			var read, fma float64
			for b.Loop() {
				read, fma = max(read, readLimit(b, n)), max(fma, fmaLimit(n))
			}
			b.ReportMetric(read, "GB/s")
			b.ReportMetric(fma, "GFLOP/s")
		})
	}
}

// noise is a RowReader of small values of any type, the same for every row.
type noise []byte

func (z noise) ReadRows(dst []byte, _, n int) error {
	for i := range n {
		copy(dst[i*len(z):], z)
	}
	return nil
}

// randomWeights are matrices that together do not fit the last cache.
func randomWeights(b *testing.B, be *Backend, d tensor.DType, out, k int, leaves []int) (list []kernels.Weight) {
	row := make(noise, k*d.Size())
	for i := range row {
		if row[i] = byte(rand.Uint32()); i%d.Size() == d.Size()-1 {
			row[i] = row[i]&0x83 | 0x3c // a size near 1 in each of the types
		}
	}
	for range (256<<20)/(out*len(row)) + 1 {
		w, err := be.Pack(kernels.WeightSpec{Name: "bench", Out: out, K: k, DType: d, Leaves: leaves}, row)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(w.Free)
		list = append(list, w)
	}
	return list
}

func even(k, n int) []int {
	var leaves []int
	for i := range n + 1 {
		leaves = append(leaves, k*i/n)
	}
	return leaves
}

func benchMatMul(b *testing.B, rows int, decode bool) {
	shapes := []struct {
		out, k int
		leaves []int
	}{{4096, 4096, nil}, {14336, 4096, nil}, {4096, 14336, even(14336, 32)}}
	for _, d := range []tensor.DType{tensor.BF16, tensor.F32, tensor.F16} {
		for _, s := range shapes {
			for _, threads := range threadCounts() {
				b.Run(fmt.Sprintf("%v/%dx%d/rows=%d/threads=%d", d, s.out, s.k, rows, threads), func(b *testing.B) {
					be := newTest(b, "avx2", threads)
					w := randomWeights(b, be, d, s.out, s.k, s.leaves)
					x, dst := make(buffer, rows*s.k), make(buffer, rows*s.out)
					for i := range x {
						x[i] = rand.Float32()
					}
					i := 0
					f := func() {
						be.MatMul(dst, x, w[i%len(w)], rows)
						i++
					}
					if decode {
						report(b, float64(w[0].Bytes()), "GB/s", func() float64 { return readLimit(b, threads) }, f)
					} else {
						report(b, 2*float64(rows)*float64(s.out)*float64(s.k), "GFLOP/s", func() float64 { return fmaLimit(threads) }, f)
					}
				})
			}
		}
	}
}

func BenchmarkDecode(b *testing.B)  { benchMatMul(b, 1, true) }
func BenchmarkDecode4(b *testing.B) { benchMatMul(b, 4, true) }
func BenchmarkBatch32(b *testing.B) { benchMatMul(b, 32, false) }
func BenchmarkPrefill(b *testing.B) { benchMatMul(b, 512, false) }
