package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/reference"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

var dtypes = []tensor.DType{tensor.F32, tensor.BF16, tensor.F16}

func matMulCases() []testCase {
	var list []testCase
	for _, d := range dtypes {
		add := func(rows, out, k int, leaves []int, nodes []tree.Range, special bool) {
			list = append(list, matMulCase(d, rows, out, k, leaves, nodes, special))
		}
		for rows := 1; rows <= 17; rows++ {
			add(rows, 75, 37, nil, nil, false)
		}
		for _, rows := range []int{31, 64, 193, 200} {
			add(rows, 33, 70, nil, nil, false)
		}
		for out := 1; out <= 49; out++ {
			add(1+out%3, out, 9, nil, nil, false)
		}
		for _, out := range []int{63, 64, 65, 127, 128, 129, 200, 300} {
			add(1, out, 40, nil, nil, false)
			add(5, out, 17, nil, nil, false)
		}
		for k := 1; k <= 25; k++ {
			add(1, 64, k, nil, nil, false)
			add(7, 17, k, nil, nil, false)
		}
		for _, k := range []int{511, 512, 513, 1100} {
			add(1, 70, k, nil, nil, false)
			add(13, 20, k, nil, nil, false)
		}
		for n := 2; n <= 9; n++ {
			leaves, k := ascending(n)
			add(3, 40, k, leaves, nil, false)
			add(8, 17, k, leaves, tree.Maximal(n+3, tree.Range{Lo: 0, Hi: n}), false)
		}
		add(1, 130, 1024, even(1024, 32), nil, false)
		add(9, 33, 640, even(640, 20), []tree.Range{{Lo: 1, Hi: 2}, {Lo: 4, Hi: 9}, {Lo: 16, Hi: 20}}, false)
		add(0, 5, 5, nil, nil, false)
		for _, rows := range []int{1, 2, 6, 20} {
			add(rows, 67, 30, nil, nil, true)
			add(rows, 20, 30, even(30, 6), nil, true)
		}
	}
	return list
}

// ascending is n leaves of 1, 2, 3 ... values.
func ascending(n int) (leaves []int, k int) {
	leaves = []int{0}
	for i := 1; i <= n; i++ {
		k += i
		leaves = append(leaves, k)
	}
	return leaves, k
}

func even(k, n int) []int {
	leaves := make([]int, n+1)
	for i := range leaves {
		leaves[i] = k * i / n
	}
	return leaves
}

// shrink makes the largest finite values smaller: sums must not overflow on the way.
func shrink(x []float32) {
	for i, v := range x {
		if math.Abs(float64(v)) > 1e30 && !math.IsInf(float64(v), 0) {
			x[i] = v * 0x1p-20
		}
	}
}

// quantCases are products of quantized operands.
func quantCases() []testCase {
	var list []testCase
	for _, f := range []kernels.Format{kernels.Q8, kernels.Q4} {
		add := func(d tensor.DType, rows, out, k int, leaves []int, nodes []tree.Range, special bool) {
			list = append(list, quantCase(f, d, rows, out, k, leaves, nodes, special))
		}
		for rows := 1; rows <= 17; rows++ {
			add(tensor.F32, rows, 75, 96, nil, nil, false)
			add(tensor.BF16, rows, 140, 80, nil, nil, false)
		}
		for _, rows := range []int{31, 64, 193, 200} {
			add(tensor.F16, rows, 33, 64, nil, nil, false)
		}
		for _, out := range []int{1, 15, 16, 17, 63, 64, 65, 127, 128, 129} {
			add(tensor.F32, 1, out, 64, nil, nil, false)
			add(tensor.BF16, 5, out, 32, nil, nil, false)
		}
		for _, k := range []int{1, 5, 8, 31, 32, 33, 63, 65, 500, 2048, 2100, 4200} {
			add(tensor.BF16, 1, 70, k, nil, nil, false)
			add(tensor.BF16, 9, 20, k, nil, nil, false)
			add(tensor.F32, 27, 20, k, nil, nil, false)
		}
		for n := 2; n <= 9; n++ {
			leaves, k := ascending(n)
			add(tensor.F32, 3, 40, k, leaves, nil, false)
			add(tensor.F32, 9, 17, k, leaves, tree.Maximal(n+3, tree.Range{Lo: 0, Hi: n}), false)
		}
		add(tensor.BF16, 1, 130, 1024, even(1024, 32), nil, false)
		add(tensor.BF16, 11, 33, 640, even(640, 20), []tree.Range{{Lo: 1, Hi: 2}, {Lo: 4, Hi: 9}, {Lo: 16, Hi: 20}}, false)
		add(tensor.F32, 0, 5, 5, nil, nil, false)
		for _, rows := range []int{1, 2, 6, 20} {
			add(tensor.F32, rows, 67, 96, nil, nil, true)
			add(tensor.F32, rows, 20, 48, even(48, 6), nil, true)
		}
	}
	return list
}

func quantCase(f kernels.Format, d tensor.DType, rows, out, k int, leaves []int, nodes []tree.Range, special bool) testCase {
	name := fmt.Sprintf("MatMul/%v/%v/rows=%d,out=%d,k=%d,leaves=%d,nodes=%d,special=%v", f, d, rows, out, k, len(leaves), len(nodes), special)
	s := seeded(name)
	x, w := s.floats(rows*k), s.floats(out*k)
	if special {
		s.special(x)
		shrink(x)
		for i := range w {
			switch s.IntN(12) {
			case 0:
				w[i] *= 0x1p-30 // below the least scale, where it fills a group
			case 1:
				w[i] *= 0x1p10
			}
		}
		for i := range min(k, 16) {
			w[i] = 0
			x[i] = 0x1p-120
		}
	}
	raw, back := store(w, d)
	qx := append([]float32(nil), x...)
	for r := range rows {
		reference.QuantizeRow(qx[r*k:(r+1)*k], leaves)
	}
	for o := range out {
		reference.QuantizeWeights(back[o*k:(o+1)*k], leaves, f)
	}
	spec := kernels.WeightSpec{Name: name, Out: out, K: k, DType: d, Format: f, Leaves: leaves, Nodes: nodes}
	n := max(1, len(nodes))
	return testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, n*rows*out, 3)
			b.MatMul(dst.buf, put(t, b, x, 1), pack(t, b, spec, raw), rows)
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) {
			want, tol := make([]float64, n*rows*out), make([]float64, n*rows*out)
			fx, fw := wide(qx), wide(back)
			reference.MatMul(want, fx, fw, rows, out, k, leaves, nodes)
			for i := range fx {
				fx[i] = math.Abs(fx[i])
			}
			for i := range fw {
				fw[i] = math.Abs(fw[i])
			}
			reference.MatMul(tol, fx, fw, rows, out, k, leaves, nodes)
			for i := range tol {
				// A group rounds its scale and its sum; the reference rounded each of
				// its two operands once.
				tol[i] = tol[i]*float64(k/kernels.Group+len(leaves)+6)*eps*1.01 + float64(k)*tiny
			}
			near(t, got, want, tol)
		},
	}
}

func matMulCase(d tensor.DType, rows, out, k int, leaves []int, nodes []tree.Range, special bool) testCase {
	name := fmt.Sprintf("MatMul/%v/rows=%d,out=%d,k=%d,leaves=%d,nodes=%d,special=%v", d, rows, out, k, len(leaves), len(nodes), special)
	s := seeded(name)
	x := s.floats(rows * k)
	if special {
		s.special(x)
		shrink(x)
	}
	w := s.floats(out * k)
	for i := range w {
		if s.IntN(20) == 0 {
			w[i] *= 0x1p-20 // subnormal in F16
		}
	}
	raw, back := store(w, d)
	spec := kernels.WeightSpec{Name: name, Out: out, K: k, DType: d, Leaves: leaves, Nodes: nodes}
	n := max(1, len(nodes))
	check := func(t *testing.T, got []float32, rounding float64) {
		want := make([]float64, n*rows*out)
		tol := make([]float64, n*rows*out)
		fx, fw := wide(x), wide(back)
		reference.MatMul(want, fx, fw, rows, out, k, leaves, nodes)
		largest := 0.0 // of x: what is far smaller may be rounded away
		for i := range fx {
			fx[i] = math.Abs(fx[i])
			if fx[i] > largest && !math.IsInf(fx[i], 0) {
				largest = fx[i]
			}
		}
		for i := range fw {
			fw[i] = math.Abs(fw[i])
		}
		reference.MatMul(tol, fx, fw, rows, out, k, leaves, nodes)
		for i := range tol {
			// Each of at most k products and leaves rounds once, and more than
			// once only in the later terms of the bound.
			tol[i] = tol[i]*(float64(k+len(leaves))*eps*1.01+rounding) + float64(k)*(tiny+rounding*0x1p-26*largest)
		}
		near(t, got, want, tol)
	}
	c := testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, n*rows*out, 3)
			b.MatMul(dst.buf, put(t, b, x, 1), pack(t, b, spec, raw), rows)
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) { check(t, got, 0) },
	}
	if d != tensor.F32 {
		c.rounded = func(t *testing.T, got []float32) { check(t, got, 0x1p-11) }
	}
	return c
}
