package kerneltest

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// source is the random source of a case.
type source struct{ *rand.Rand }

func seeded(name string) source {
	h := fnv.New64a()
	h.Write([]byte(name))
	return source{rand.New(rand.NewPCG(h.Sum64(), 1))}
}

// floats are about normal, of variance 1, with the same bits on every
// architecture.
func (s source) floats(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		sum := s.Float32() + s.Float32() + s.Float32() + s.Float32() - 2
		v[i] = sum * 1.75
	}
	return v
}

// special puts NaN, infinities, zeros of both signs, subnormals and extremes
// among values.
func (s source) special(v []float32) []float32 {
	odd := []float32{
		float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)),
		tiny, -tiny, 0x1p-130, -0x1.8p-127, math.MaxFloat32, -math.MaxFloat32, 0x1p-126, 100, -100, 88.8, -103.9, -104.1,
	}
	for i := range v {
		if s.IntN(7) == 0 {
			v[i] = odd[s.IntN(len(odd))]
		}
	}
	return v
}

// store rounds values to type d: the stored bytes, and what they now are.
func store(v []float32, d tensor.DType) ([]byte, []float32) {
	raw := make([]byte, len(v)*d.Size())
	for i, f := range v {
		switch d {
		case tensor.F32:
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(f))
		case tensor.BF16:
			binary.LittleEndian.PutUint16(raw[2*i:], tensor.Float32ToBF16(f))
		case tensor.F16:
			binary.LittleEndian.PutUint16(raw[2*i:], toHalf(f))
		}
	}
	back := make([]float32, len(v))
	tensor.Widen(back, raw, d)
	return raw, back
}

// toHalf cuts f off to binary16, without rounding; subnormals are kept.
func toHalf(f float32) uint16 {
	u := math.Float32bits(f)
	sign, exp, man := uint16(u>>16)&0x8000, int(u>>23&0xff)-127+15, u&0x7fffff
	switch {
	case exp >= 31:
		return sign | 0x7bff
	case exp > 0:
		return sign | uint16(exp)<<10 | uint16(man>>13)
	case exp > -11:
		return sign | uint16((man|0x800000)>>(14-exp))
	}
	return sign
}

// memory is a RowReader over rows of k values.
type memory struct {
	raw     []byte
	size, k int
}

func (m memory) ReadRows(dst []byte, row, n, col, cols int) error {
	if len(dst) != n*cols*m.size || (row+n)*m.k*m.size > len(m.raw) || col+cols > m.k {
		return errors.New("kerneltest: rows or columns out of range")
	}
	for i := range n {
		copy(dst[i*cols*m.size:][:cols*m.size], m.raw[((row+i)*m.k+col)*m.size:])
	}
	return nil
}

func wide(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, f := range v {
		out[i] = float64(f)
	}
	return out
}

// put makes a buffer of the values that begins off elements after an
// allocation, and so is unaligned where off is odd.
func put(t *testing.T, b kernels.Backend, v []float32, off int) kernels.Buffer {
	t.Helper()
	buf, err := b.Alloc(off + len(v) + 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(buf.Free)
	s := buf.Slice(off, len(v))
	if err := b.Upload(s, v); err != nil {
		t.Fatal(err)
	}
	return s
}

// sentinel stands where no op may write.
const sentinel = 12345.5

// output makes a buffer of n sentinels amid more of them; take reads it and
// checks those around.
type output struct {
	all, buf kernels.Buffer
	off      int
}

func newOutput(t *testing.T, b kernels.Backend, n, off int) output {
	t.Helper()
	v := make([]float32, off+n+5)
	for i := range v {
		v[i] = sentinel
	}
	all := put(t, b, v, 0)
	return output{all: all, buf: all.Slice(off, n), off: off}
}

func (o output) take(t *testing.T, b kernels.Backend) []float32 {
	t.Helper()
	v := make([]float32, o.all.Len())
	if err := b.Download(v, o.all); err != nil {
		t.Fatal(err)
	}
	n := o.buf.Len()
	for i, x := range v {
		if (i < o.off || i >= o.off+n) && x != sentinel {
			t.Fatalf("element %d of an output of %d was written", i-o.off, n)
		}
	}
	return v[o.off : o.off+n]
}

// get reads a buffer that put made.
func get(t *testing.T, b kernels.Backend, buf kernels.Buffer) []float32 {
	t.Helper()
	v := make([]float32, buf.Len())
	if err := b.Download(v, buf); err != nil {
		t.Fatal(err)
	}
	return v
}

func pack(t *testing.T, b kernels.Backend, spec kernels.WeightSpec, raw []byte) kernels.Weight {
	t.Helper()
	w, err := b.Pack(spec, memory{raw, spec.DType.Size(), spec.K})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Free)
	return w
}
