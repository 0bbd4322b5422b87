package kerneltest

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/reference"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// coded is a quantized matrix as records, whose columns are cut by hand.
type coded struct {
	spec            kernels.WeightSpec
	codes           [][]byte // one in each byte
	scales, offsets [][]float32
}

// randomCoded is a matrix of random codes.
func randomCoded(s source, spec kernels.WeightSpec) *coded {
	c := &coded{spec: spec}
	for range spec.Out {
		codes := make([]byte, spec.K)
		for k := range codes {
			if codes[k] = byte(s.IntN(256)); spec.DType == tensor.F8 && codes[k]&0x7f == 0x7f {
				codes[k] = 0
			}
		}
		scales := s.floats(spec.Coding.N)
		raw, _ := store(scales, spec.Coding.Scales)
		tensor.Widen(scales, raw, spec.Coding.Scales)
		c.codes, c.scales, c.offsets = append(c.codes, codes), append(c.scales, scales), append(c.offsets, s.floats(spec.Coding.N))
	}
	return c
}

// ReadRows implements kernels.RowReader.
func (c *coded) ReadRows(dst []byte, row, n, col, cols int) error {
	part, first := c.spec.Coding.Columns(col, cols)
	size := c.spec.RowBytes(col, cols)
	if len(dst) != n*size {
		return fmt.Errorf("%d bytes for %d records of %d", len(dst), n, size)
	}
	for i := range n {
		part.Record(dst[i*size:], c.spec.DType, c.codes[row+i][col:col+cols], c.scales[row+i][first:], c.offsets[row+i][first:])
	}
	return nil
}

// values are the matrix in float32: scale·code + offset, each rounded.
func (c *coded) values() []byte {
	var raw []byte
	for o := range c.spec.Out {
		for k, b := range c.codes[o] {
			q := float32(int8(b))
			switch c.spec.DType {
			case tensor.U4:
				q = float32(b & 15)
			case tensor.I4:
				q = float32(int8(b<<4) >> 4)
			case tensor.F8:
				q = tensor.Float8ToFloat32(b)
			}
			g := c.spec.Coding.GroupOf(k)
			v := c.scales[o][g] * q
			if c.spec.Coding.Offsets {
				v = float32(v) + c.offsets[o][g]
			}
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
	}
	return raw
}

// near checks a product of rounded activations.
func (c *coded) near(t *testing.T, got, x []float32, rows int) {
	t.Helper()
	spec := c.spec
	values, parts := make([]float32, spec.Out*spec.K), make([]float64, spec.Out*spec.K) // weights; what they are sums of
	tensor.Widen(values, c.values(), tensor.F32)
	largest, top := 0.0, 0.0 // of x, and of weights
	fx, fw := wide(x), wide(values)
	want := make([]float64, len(got))
	reference.MatMul(want, fx, fw, rows, spec.Out, spec.K, spec.Leaves, spec.Nodes)
	for i := range fx {
		fx[i] = math.Abs(fx[i])
		largest = max(largest, fx[i])
	}
	for i := range fw {
		fw[i] = math.Abs(fw[i])
		top = max(top, fw[i])
		if parts[i] = fw[i]; spec.Coding.Offsets {
			offset := float64(c.offsets[i/spec.K][spec.Coding.GroupOf(i%spec.K)])
			parts[i] = math.Abs(float64(values[i])-offset) + math.Abs(offset)
		}
	}
	rounding, sums := make([]float64, len(got)), make([]float64, len(got))
	reference.MatMul(rounding, fx, fw, rows, spec.Out, spec.K, spec.Leaves, spec.Nodes)
	reference.MatMul(sums, fx, parts, rows, spec.Out, spec.K, spec.Leaves, spec.Nodes)
	for i := range rounding {
		rounding[i] = rounding[i]*0x1p-11 + sums[i]*float64(2*spec.K+len(spec.Leaves))*eps*1.01 + float64(spec.K)*(tiny+top*0x1p-37*largest)
	}
	near(t, got, want, rounding)
}

// codedRule: a matrix of codes has the products of its values in float32, bit for
// bit, or within its bounds where the backend rounds; a row's is the same alone and among
// others. A table has the rows of its values.
func codedRule(t *testing.T, b kernels.Backend) {
	s := seeded("coded")
	codings := func(k int) []*kernels.Coding {
		index := make([]int32, k)
		for i := range index {
			index[i] = int32(s.IntN(5))
		}
		phase := kernels.Runs(tensor.F16, true, k, 32)
		phase.Phase = 8
		phase.N = phase.GroupOf(k-1) + 1
		return []*kernels.Coding{
			kernels.Runs(tensor.F32, true, k, 32), kernels.Runs(tensor.F16, false, k, 16), phase, kernels.Runs(tensor.BF16, false, k, 128),
			kernels.Runs(tensor.F32, false, k, k), {Scales: tensor.F16, Offsets: true, Index: index, N: 5},
		}
	}
	check := func(spec kernels.WeightSpec, rows int) {
		t.Helper()
		c := randomCoded(s, spec)
		w, err := b.Pack(spec, c)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Free()
		plain := spec
		plain.DType, plain.Coding = tensor.F32, nil
		values := s.floats(rows * spec.K)
		x := put(t, b, values, 1)
		n := max(1, len(spec.Nodes))
		out := newOutput(t, b, n*rows*spec.Out, 3)
		b.MatMul(out.buf, x, w, rows)
		got := out.take(t, b)
		if b.Info().Rounds {
			c.near(t, got, values, rows)
			one := newOutput(t, b, n*spec.Out, 0)
			r := s.IntN(rows)
			b.MatMul(one.buf, put(t, b, values[r*spec.K:(r+1)*spec.K], 0), w, 1)
			for i, v := range one.take(t, b) {
				at := i/spec.Out*rows*spec.Out + r*spec.Out + i%spec.Out
				same(t, []float32{v}, got[at:at+1])
			}
			return
		}
		want := newOutput(t, b, n*rows*spec.Out, 3)
		b.MatMul(want.buf, x, pack(t, b, plain, c.values()), rows)
		same(t, got, want.take(t, b))
	}
	for _, d := range []tensor.DType{tensor.U4, tensor.I4, tensor.I8, tensor.F8} {
		for _, k := range []int{2, 8, 30, 64, 136, 260, 514} {
			for i, c := range codings(k) {
				spec := kernels.WeightSpec{Name: fmt.Sprintf("%v k=%d coding %d", d, k, i), Out: 70, K: k, DType: d, Coding: c}
				t.Log(spec.Name)
				check(spec, []int{1, 3, 7, 30}[(k+i)%4])
				if k == 136 {
					spec.Leaves, spec.Nodes = []int{0, 10, 56, 64, 136}, []tree.Range{{Lo: 0, Hi: 2}, {Lo: 2, Hi: 4}}
					check(spec, 2)
				}
			}
		}
		codedTogether(t, b, s, d)
		spec := kernels.WeightSpec{Name: "table", Out: 9, K: 48, DType: d, Coding: kernels.Runs(tensor.F16, d == tensor.U4, 48, 16)}
		c := randomCoded(s, spec)
		tab, err := b.NewTable(spec, c)
		if err != nil {
			t.Fatal(err)
		}
		ids := []int32{8, 0, 3, 3}
		dst := newOutput(t, b, len(ids)*48, 1)
		b.Gather(dst.buf, tab, ids)
		values, want := make([]float32, 9*48), []float32(nil)
		tensor.Widen(values, c.values(), tensor.F32)
		for _, id := range ids {
			want = append(want, values[id*48:(id+1)*48]...)
		}
		same(t, dst.take(t, b), want)
		tab.Free()
	}
}

// codedTogether: several products of one x are each what it is alone, however their groups are cut
// and kept.
func codedTogether(t *testing.T, b kernels.Backend, s source, d tensor.DType) {
	const rows, k = 9, 160
	x := put(t, b, s.floats(rows*k), 1)
	var list []kernels.Product
	var alone, together []output
	for _, c := range []*kernels.Coding{
		kernels.Runs(tensor.F16, true, k, 32), kernels.Runs(tensor.F32, true, k, 32), kernels.Runs(tensor.F32, false, k, 32),
		kernels.Runs(tensor.F32, false, k, 48), kernels.Runs(tensor.BF16, true, k, 48), kernels.Runs(tensor.BF16, true, k, 8),
	} {
		spec := kernels.WeightSpec{Name: "w", Out: 20 + 10*len(list), K: k, DType: d, Coding: c}
		w, err := b.Pack(spec, randomCoded(s, spec))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Free)
		alone, together = append(alone, newOutput(t, b, rows*spec.Out, 0)), append(together, newOutput(t, b, rows*spec.Out, 1))
		b.MatMul(alone[len(list)].buf, x, w, rows)
		list = append(list, kernels.Product{Dst: together[len(list)].buf, W: w})
	}
	kernels.Multiply(b, kernels.Products{X: x, Rows: rows, List: list})
	for i, o := range together {
		same(t, o.take(t, b), alone[i].take(t, b))
	}
}
