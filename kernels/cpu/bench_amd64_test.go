//go:build !noasm

package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
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

func (z noise) ReadRows(dst []byte, _, n, _, _ int) error {
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

// benchAttention is one layer of attention with 32 query and 8 KV heads of 128.
func benchAttention(b *testing.B, seqs, rows, context, threads int, scattered bool) {
	be := newTest(b, "avx2", threads)
	const heads, kvHeads, dim, size = 32, 8, 128, 16
	perSeq := (context + size - 1) / size
	kv, err := be.NewKV(kernels.KVConfig{Layers: 1, Blocks: seqs * perSeq, BlockSize: size, KVHeads: kvHeads, HeadDim: dim})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(kv.Free)
	spec := kernels.AttentionSpec{Heads: heads, HeadDim: dim, Scale: 0.1}
	for h := range heads {
		spec.KVHead = append(spec.KVHead, h*kvHeads/heads)
	}
	order := rand.Perm(seqs * perSeq)
	if !scattered {
		slices.Sort(order)
	}
	k := make(buffer, context*kvHeads*dim)
	for i := range k {
		k[i] = rand.Float32()
	}
	var list []kernels.SeqRows
	for i := range seqs {
		s := kernels.SeqRows{N: context}
		for _, block := range order[i*perSeq : (i+1)*perSeq] {
			s.Blocks = append(s.Blocks, int32(block))
		}
		be.WriteKV(kv, 0, k, k, []kernels.SeqRows{s})
		s.Row, s.N, s.Pos = i*rows, rows, context-rows
		list = append(list, s)
	}
	q, dst := make(buffer, seqs*rows*heads*dim), make(buffer, seqs*rows*heads*dim)
	copy(q, k)
	f := func() { be.Attention(dst, q, kv, spec, list) }
	if rows == 1 {
		report(b, float64(kv.Bytes()), "GB/s", func() float64 { return readLimit(b, threads) }, f)
		return
	}
	seen := float64(rows) * (float64(context) - float64(rows-1)/2)
	report(b, 4*float64(seqs)*seen*heads*dim, "GFLOP/s", func() float64 { return fmaLimit(threads) }, f)
}

func BenchmarkAttention(b *testing.B) {
	for _, c := range []struct {
		name                string
		seqs, rows, context int
		scattered           bool
	}{
		{"decode", 1, 1, 16384, false},
		{"decodeScattered", 1, 1, 16384, true},
		{"decode32", 32, 1, 1000, false},
		{"prefill", 1, 512, 512, false},
		{"prefillLate", 1, 512, 4096, true},
	} {
		for _, threads := range threadCounts() {
			b.Run(fmt.Sprintf("%s/seqs=%d/rows=%d/context=%d/threads=%d", c.name, c.seqs, c.rows, c.context, threads), func(b *testing.B) {
				benchAttention(b, c.seqs, c.rows, c.context, threads, c.scattered)
			})
		}
	}
}

// BenchmarkRows reports the element-wise ops, on a prompt's rows, as bytes moved.
func BenchmarkRows(b *testing.B) {
	be := newTest(b, "avx2", 1)
	const rows, c = 64, 4096
	x, y, z, w := make(buffer, rows*c), make(buffer, rows*c), make(buffer, rows*c), make(buffer, c)
	for i := range x {
		x[i], y[i] = rand.Float32(), rand.Float32()
	}
	pos := make([]int32, rows)
	table := kernels.NewRopeTable(kernels.InvFreq(10_000, 128), 1, 1)
	for _, op := range []struct {
		name string
		f    func()
	}{
		{"RMSNorm", func() { be.RMSNorm(z, x, w, rows, 1e-5) }},
		{"Rope", func() { be.Rope(x, c/128, 128, pos, table) }},
		{"SiLUMul", func() { be.SiLUMul(z, x, y) }},
		{"Add", func() { be.Add(z, x) }},
		{"ExpSums", func() { be.ExpSums(z, x, rows, c, 1024) }},
	} {
		b.Run(op.name, func(b *testing.B) {
			for b.Loop() {
				op.f()
			}
			b.ReportMetric(float64(rows*c*b.N)/float64(b.Elapsed()), "elements/ns")
		})
	}
}

// BenchmarkPack reports packing from memory, in bytes of weights.
func BenchmarkPack(b *testing.B) {
	for _, c := range []struct {
		d tensor.DType
		f kernels.Format
	}{{tensor.BF16, kernels.AsStored}, {tensor.F32, kernels.AsStored}, {tensor.BF16, kernels.Q8}, {tensor.BF16, kernels.Q4}} {
		b.Run(fmt.Sprint(c.d, "/", c.f), func(b *testing.B) {
			be := newTest(b, "avx2", 1)
			row := make(noise, 4096*c.d.Size())
			b.SetBytes(int64(2048 * len(row)))
			for b.Loop() {
				w, err := be.Pack(kernels.WeightSpec{Out: 2048, K: 4096, DType: c.d, Format: c.f}, row)
				if err != nil {
					b.Fatal(err)
				}
				w.Free()
			}
		})
	}
}
