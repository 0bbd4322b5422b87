package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/reference"
)

func rowCases() []testCase {
	var list []testCase
	for n := 1; n <= 50; n++ {
		list = append(list, rmsNormCase(1+n%3, n, n%2 == 0))
	}
	for _, n := range []int{64, 100, 2048, 4096} {
		list = append(list, rmsNormCase(9, n, false))
	}
	for half := 1; half <= 33; half++ {
		list = append(list, ropeCase(1+half%4, 1+half%3, 2*half+half%5, half))
	}
	list = append(list, ropeCase(40, 8, 128, 64))
	for n := range 50 {
		list = append(list, gateCase("SiLUMul", n, n%2 == 0), gateCase("GELUMul", n, n%2 == 0), addCase(n),
			softCapCase(n, 30), addBiasCase(1+n%4, n+1), scaleCase(n))
	}
	return append(list, gateCase("SiLUMul", 30_000, false), gateCase("GELUMul", 30_000, false), addCase(70_000),
		softCapCase(70_000, 50), addBiasCase(30, 1000), scaleCase(70_000))
}

func rmsNormCase(rows, c int, inPlace bool) testCase {
	name := fmt.Sprintf("RMSNorm/rows=%d,c=%d,inPlace=%v", rows, c, inPlace)
	s := seeded(name)
	x, w := s.floats(rows*c), s.floats(c)
	if c%10 == 7 {
		s.special(x)
	}
	const e = 1e-5
	return testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, rows*c, 1)
			src := put(t, b, x, 3)
			if inPlace {
				if err := b.Upload(dst.buf, x); err != nil {
					t.Fatal(err)
				}
				src = dst.buf
			}
			b.RMSNorm(dst.buf, src, put(t, b, w, 5), rows, e)
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) {
			want := make([]float64, rows*c)
			reference.RMSNorm(want, wide(x), wide(w), rows, float64(float32(e)))
			tol := make([]float64, rows*c)
			for i := range tol {
				// The scale and two products are rounded; where values are huge
				// the scale, and where tiny the product, may be subnormal.
				tol[i] = 3.1*eps*math.Abs(want[i]) + 2*tiny*(1+math.Abs(float64(w[i%c]))) + tiny*math.Abs(float64(x[i])*float64(w[i%c]))
				if math.IsInf(tol[i], 0) || math.IsNaN(tol[i]) {
					tol[i] = 0
				}
			}
			near(t, got, want, tol)
		},
	}
}

func ropeCase(rows, heads, headDim, half int) testCase {
	name := fmt.Sprintf("Rope/rows=%d,heads=%d,dim=%d,half=%d", rows, heads, headDim, half)
	s := seeded(name)
	x := s.floats(rows * heads * headDim)
	const positions = 300
	table := kernels.NewRopeTable(kernels.InvFreq(10_000, 2*half), 1, positions)
	pos := make([]int32, rows)
	for i := range pos {
		pos[i] = int32(s.IntN(positions))
	}
	return testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, len(x), 3)
			if err := b.Upload(dst.buf, x); err != nil {
				t.Fatal(err)
			}
			b.Rope(dst.buf, heads, headDim, pos, table)
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) {
			want := wide(x)
			reference.Rope(want, heads, headDim, pos, half, wide(table.Cos), wide(table.Sin))
			tol := make([]float64, len(x))
			for i := range tol {
				tol[i] = 2.1 * eps * 2 * 6 // two products of at most 6 in size, and their sum
				if i%headDim >= 2*half {
					tol[i] = 0
				}
			}
			near(t, got, want, tol)
		},
	}
}

// gateCase is SiLUMul or GELUMul.
func gateCase(op string, n int, inPlace bool) testCase {
	name := fmt.Sprintf("%s/n=%d,inPlace=%v", op, n, inPlace)
	s := seeded(name)
	gate, up := s.floats(n), s.floats(n)
	for i := range gate {
		gate[i] *= 20
		if op == "GELUMul" {
			gate[i] /= 4
		}
	}
	s.special(gate)
	return testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, n, 1)
			g := put(t, b, gate, 3)
			if inPlace {
				if err := b.Upload(dst.buf, gate); err != nil {
					t.Fatal(err)
				}
				g = dst.buf
			}
			f := b.SiLUMul
			if op == "GELUMul" {
				f = b.GELUMul
			}
			f(dst.buf, g, put(t, b, up, 5))
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) {
			want, tol := make([]float64, n), make([]float64, n)
			f := reference.SiLUMul
			if op == "GELUMul" {
				f = reference.GELUMul
			}
			f(want, wide(gate), wide(up))
			for i, g := range wide(gate) {
				// exp is within 2 eps; then a sum, a quotient, a product. Below
				// -88 exp is infinite and the quotient 0 instead of some 1e-37.
				tol[i] = 6*eps*math.Abs(want[i]) + 2e-36*math.Abs(float64(up[i])) + tiny
				if op == "GELUMul" {
					// exp's argument, 2·√(2/π)·(g + 0.044715·g³), is rounded at its size.
					// Near -1 the reference itself loses digits of 1 + tanh.
					size := math.Min(1.6*math.Abs(g+0.044715*g*g*g), 100)
					tol[i] += 3*size*eps*math.Abs(want[i]) + 1e-15*math.Abs(g*float64(up[i]))
				}
				if math.IsInf(tol[i], 0) {
					tol[i] = 0
				}
			}
			near(t, got, want, tol)
		},
	}
}

func softCapCase(n int, limit float32) testCase {
	name := fmt.Sprintf("SoftCap/n=%d,limit=%v", n, limit)
	s := seeded(name)
	x := s.floats(n)
	for i := range x {
		x[i] *= 30
	}
	return inPlaceCase(name, s.special(x), func(b kernels.Backend, dst kernels.Buffer) { b.SoftCap(dst, limit) },
		func(want, tol []float64) {
			reference.SoftCap(want, float64(limit))
			for i := range tol {
				tol[i] = 6*eps*math.Abs(want[i]) + 2*float64(limit)*tiny // tanh is within 2 ulp, and the quotient may be subnormal
			}
		})
}

func addBiasCase(rows, c int) testCase {
	name := fmt.Sprintf("AddBias/rows=%d,c=%d", rows, c)
	s := seeded(name)
	x, bias := s.floats(rows*c), s.floats(c)
	return testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, len(x), 1)
			if err := b.Upload(dst.buf, x); err != nil {
				t.Fatal(err)
			}
			b.AddBias(dst.buf, put(t, b, bias, 3), rows)
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) {
			want, tol := wide(x), make([]float64, len(x))
			reference.AddBias(want, wide(bias), rows)
			for i := range tol {
				tol[i] = eps * math.Abs(want[i])
			}
			near(t, got, want, tol)
		},
	}
}

func scaleCase(n int) testCase {
	name := fmt.Sprintf("Scale/n=%d", n)
	s := seeded(name)
	const f = 55.42563
	return inPlaceCase(name, s.special(s.floats(n)), func(b kernels.Backend, dst kernels.Buffer) { b.Scale(dst, f) },
		func(want, tol []float64) {
			for i := range want {
				want[i] *= float64(float32(f))
				tol[i] = eps*math.Abs(want[i]) + tiny
			}
		})
}

// inPlaceCase is an op on one buffer. check turns the input into what is wanted
// and says how far from it a result may be; NaN and infinities must be met.
func inPlaceCase(name string, x []float32, op func(kernels.Backend, kernels.Buffer), check func(want, tol []float64)) testCase {
	return testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, len(x), 1)
			if err := b.Upload(dst.buf, x); err != nil {
				t.Fatal(err)
			}
			op(b, dst.buf)
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) {
			want, tol := wide(x), make([]float64, len(x))
			check(want, tol)
			near(t, got, want, tol)
		},
	}
}

func addCase(n int) testCase {
	name := fmt.Sprintf("Add/n=%d", n)
	s := seeded(name)
	a, x := s.special(s.floats(n)), s.special(s.floats(n))
	return testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, n, 1)
			if err := b.Upload(dst.buf, a); err != nil {
				t.Fatal(err)
			}
			b.Add(dst.buf, put(t, b, x, 3))
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) {
			want := wide(a)
			reference.Add(want, wide(x))
			tol := make([]float64, n)
			for i := range tol {
				if tol[i] = eps * math.Abs(want[i]); math.IsNaN(tol[i]) || math.IsInf(tol[i], 0) {
					tol[i] = 0
				}
			}
			near(t, got, want, tol)
		},
	}
}

func expSumsCases() []testCase {
	var list []testCase
	for n := 1; n <= 40; n++ {
		list = append(list, expSumsCase(1+n%3, n, 1+n%13, n%5 == 0))
	}
	return append(list, expSumsCase(3, 5000, 1024, false), expSumsCase(2, 2048, 512, false), expSumsCase(1, 3000, 4096, false))
}

func expSumsCase(rows, n, block int, special bool) testCase {
	name := fmt.Sprintf("ExpSums/rows=%d,n=%d,block=%d,special=%v", rows, n, block, special)
	s := seeded(name)
	logits := s.floats(rows * n)
	for i := range logits {
		logits[i] *= 15
	}
	if special {
		s.special(logits)
		for i := range min(block, n) {
			logits[i] = float32(math.Inf(-1))
		}
	}
	size := rows * ((n + block - 1) / block) * 2
	return testCase{
		name: name,
		run: func(t *testing.T, b kernels.Backend) []float32 {
			dst := newOutput(t, b, size, 1)
			src := put(t, b, logits, 3)
			b.ExpSums(dst.buf, src, rows, n, block)
			after := make([]float32, len(logits))
			if err := b.Download(after, src); err != nil {
				t.Fatal(err)
			}
			same(t, after, logits)
			return dst.take(t, b)
		},
		check: func(t *testing.T, got []float32) {
			want, tol := make([]float64, size), make([]float64, size)
			reference.ExpSums(want, wide(logits), rows, n, block)
			for i := 0; i < size; i += 2 {
				// The difference is rounded, at sizes up to some 100 where it matters.
				tol[i+1] = want[i+1]*110*eps + tiny
			}
			near(t, got, want, tol)
		},
	}
}

func gatherCases() []testCase {
	var list []testCase
	for _, d := range dtypes {
		for _, c := range []int{1, 7, 8, 9, 64} {
			name := fmt.Sprintf("Gather/%v/c=%d", d, c)
			s := seeded(name)
			const rows = 150
			raw, back := store(s.floats(rows*c), d)
			ids := make([]int32, 20)
			for i := range ids {
				ids[i] = int32(s.IntN(rows))
			}
			ids[3], ids[4] = 0, rows-1
			list = append(list, testCase{
				name: name,
				run: func(t *testing.T, b kernels.Backend) []float32 {
					tab, err := b.NewTable(kernels.WeightSpec{Name: "table", Out: rows, K: c, DType: d}, memory{raw, d.Size(), c})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(tab.Free)
					if want := int64(rows * c * d.Size()); tab.Bytes() != want {
						t.Errorf("table of %d bytes, want %d", tab.Bytes(), want)
					}
					dst := newOutput(t, b, len(ids)*c, 1)
					b.Gather(dst.buf, tab, ids)
					return dst.take(t, b)
				},
				check: func(t *testing.T, got []float32) {
					var want []float32
					for _, id := range ids {
						want = append(want, back[int(id)*c:int(id+1)*c]...)
					}
					same(t, got, want)
				},
			})
		}
	}
	return list
}
