//go:build linux && amd64 && !nocuda

package cuda

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// shapes are the matrices of a layer of EXAONE 3.0 7.8B, [Out, K], and their leaves.
var shapes = []struct {
	name           string
	out, k, leaves int
}{
	{"q", 4096, 4096, 1}, {"k", 1024, 4096, 1}, {"o", 4096, 4096, 32}, {"gate", 14336, 4096, 1}, {"down", 4096, 14336, 32},
}

// BenchmarkMatMul reports the bytes of weights that products read a second, and
// multiply-adds, beside what BenchmarkCopy moves; those of many rows by wgmma, where it is,
// and by mma.sync.
func BenchmarkMatMul(b *testing.B) {
	if !*onDevice {
		b.Skip("needs a GPU: -cuda")
	}
	for _, f := range []struct {
		name   string
		format kernels.Format
		rows   []int
		wide   wide
		codes  tensor.DType // in groups of 128
	}{
		{"bf16/wgmma 128", kernels.AsStored, []int{512, 4096}, wide{on: true, patience: forEver, worth: never}, 0},
		{"bf16/wgmma 192", kernels.AsStored, []int{4096}, wide{on: true, patience: forEver, worth: always}, 0},
		{"bf16", kernels.AsStored, []int{1, 8, 64, 512, 4096}, wide{}, 0},
		{"q8", kernels.Q8, []int{1, 8, 64, 512}, wide{}, 0}, {"q4", kernels.Q4, []int{1, 8, 64, 512}, wide{}, 0},
		{"u4", kernels.AsStored, []int{1, 8, 64, 512, 4096}, wide{}, tensor.U4}, {"f8", kernels.AsStored, []int{1, 8, 64, 512, 4096}, wide{}, tensor.F8},
	} {
		for _, s := range shapes {
			for _, rows := range f.rows {
				b.Run(fmt.Sprintf("%s/%s/rows=%d", f.name, s.name, rows), func(b *testing.B) {
					be := open(b, Config{})
					if f.wide.on && !be.device.has("matmul_wgmma_128") {
						b.Skip("no wgmma")
					}
					if f.wide.worth == always && f.wide.on && s.leaves > 1 {
						b.Skip("trees are of 128 rows")
					}
					be.wide = f.wide
					spec := kernels.WeightSpec{Name: s.name, Out: s.out, K: s.k, DType: tensor.BF16, Format: f.format}
					if f.codes != 0 {
						spec.DType, spec.Coding = f.codes, kernels.Runs(tensor.F16, f.codes == tensor.U4, s.k, 128)
					}
					row := randomRow(rand.New(rand.NewPCG(1, 2)), spec)
					if s.leaves > 1 {
						for i := range s.leaves + 1 {
							spec.Leaves = append(spec.Leaves, s.k/s.leaves*i)
						}
					}
					w, err := be.Pack(spec, repeated(row))
					if err != nil {
						b.Fatal(err)
					}
					defer w.Free()
					x, err := be.Alloc(rows * s.k)
					if err != nil {
						b.Fatal(err)
					}
					defer x.Free()
					dst, err := be.Alloc(rows * s.out)
					if err != nil {
						b.Fatal(err)
					}
					defer dst.Free()
					b.SetBytes(w.Bytes())
					n := 0
					for b.Loop() {
						be.MatMul(dst, x, w, rows)
						n++
					}
					if err := be.Sync(); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(2*float64(rows)*float64(s.out)*float64(s.k)*float64(n)/b.Elapsed().Seconds()/1e12, "TFLOP/s")
				})
			}
		}
	}
}

// repeated is a RowReader whose rows are all the same.
type repeated []byte

func (r repeated) ReadRows(dst []byte, _, n, _, _ int) error {
	for i := range n {
		copy(dst[i*len(r):], r)
	}
	return nil
}

// BenchmarkCopy is the limit of what reads memory: bytes read and written a second.
func BenchmarkCopy(b *testing.B) {
	if !*onDevice {
		b.Skip("needs a GPU: -cuda")
	}
	be := open(b, Config{})
	const n = 256 << 20 / 4
	x, err := be.Alloc(n)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Free()
	y, err := be.Alloc(n)
	if err != nil {
		b.Fatal(err)
	}
	defer y.Free()
	b.SetBytes(3 * 4 * n) // Add reads two and writes one
	for b.Loop() {
		be.Add(y, x)
	}
	if err := be.Sync(); err != nil {
		b.Fatal(err)
	}
}
