package cpu

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"
)

var sweep = flag.Bool("sweep", false, "hold exp, tanh, SiLU and GELU to their bounds at every finite float32 (minutes each)")

// eachFloat calls f with every 997th float32 of either sign below limit, in
// batches; with -sweep, with every finite one.
func eachFloat(limit float32, f func(x []float32)) {
	const batch = 1 << 12
	x := make([]float32, 0, batch)
	stride := uint32(997)
	if testing.Short() || raceEnabled {
		stride = 10_007
	}
	if *sweep {
		stride, limit = 1, float32(math.Inf(1))
	}
	for _, sign := range []uint32{0, 1 << 31} {
		for u := uint32(0); u < math.Float32bits(limit); u += stride {
			if x = append(x, math.Float32frombits(u|sign)); len(x) == batch {
				f(x)
				x = x[:0]
			}
		}
	}
	f(append(x, make([]float32, batch-len(x))...))
}

// worst is the largest error seen, in units of the bound, and where.
type worst struct {
	err float64
	at  float32
}

func (w *worst) see(x float32, err float64) {
	if err > w.err {
		w.err, w.at = err, x
	}
}

// ulp is the distance of float32 values at the size of y.
func ulp(y float64) float64 {
	return math.Max(math.Exp2(math.Floor(math.Log2(math.Abs(y)))-23), tiny)
}

const tiny = 0x1p-149 // least subnormal

// TestExpBound holds exp32 to its bound over the range in which it is neither 0
// nor infinite, and all variants to exp32's bits.
func TestExpBound(t *testing.T) {
	var w worst
	dst := make([]float32, 1<<12)
	eachFloat(104, func(src []float32) {
		for _, v := range variants() {
			var sum [8]float64
			v.expSum(dst, src, 0, &sum)
			for i, x := range src {
				if !sameFloat(dst[i], exp32(x)) {
					t.Fatalf("%s: exp(%x) = %x, exp32 gives %x", v.name, x, dst[i], exp32(x))
				}
			}
		}
		for i, x := range src {
			switch want := math.Exp(float64(x)); {
			case want <= math.MaxFloat32:
				w.see(x, math.Abs(float64(dst[i])-want)/ulp(want))
			case want > 0x1p128 && !math.IsInf(float64(dst[i]), 1):
				t.Fatalf("exp(%v) = %v", x, dst[i])
			}
		}
	})
	t.Logf("largest error %.3f ulp, at %v", w.err, w.at)
	if w.err > 1 {
		t.Errorf("largest error %.3f ulp, at %v", w.err, w.at)
	}
}

// TestTanhBound holds tanh32 to its bound over the range in which it is not 1,
// and all variants to its bits.
func TestTanhBound(t *testing.T) {
	var w worst
	dst := make([]float32, 1<<12)
	eachFloat(10, func(src []float32) {
		for _, v := range variants() {
			copy(dst, src)
			v.softCap(dst, 1, 1)
			for i, x := range src {
				if !sameFloat(dst[i], tanh32(x)) {
					t.Fatalf("%s: tanh(%x) = %x, tanh32 gives %x", v.name, x, dst[i], tanh32(x))
				}
			}
		}
		for i, x := range src {
			want := math.Tanh(float64(x))
			w.see(x, math.Abs(float64(dst[i])-want)/ulp(want))
		}
	})
	t.Logf("largest error %.3f ulp, at %v", w.err, w.at)
	if w.err > 2 {
		t.Errorf("largest error %.3f ulp, at %v", w.err, w.at)
	}
}

// TestGELUBound holds gelu32 to its bound over the range in which it is neither
// its argument nor 0, and all variants to its bits.
func TestGELUBound(t *testing.T) {
	var w, abs worst
	dst, one := make([]float32, 1<<12), make([]float32, 1<<12)
	fill(one, 1)
	eachFloat(16, func(src []float32) {
		for _, v := range variants() {
			v.geluMul(dst, src, one)
			for i, x := range src {
				if !sameFloat(dst[i], gelu32(x)) {
					t.Fatalf("%s: gelu(%x) = %x, gelu32 gives %x", v.name, x, dst[i], gelu32(x))
				}
			}
		}
		for i, x32 := range src {
			x := float64(x32)
			arg := -2 * math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x)
			want := x / (1 + math.Exp(arg))
			if math.IsInf(float64(dst[i]), 0) {
				t.Fatalf("gelu(%v) = %v", x, dst[i])
			}
			err := math.Abs(float64(dst[i]) - want)
			abs.see(x32, err/math.Max(1, math.Abs(x)))
			if arg > 88.7 {
				err = math.Max(0, math.Abs(float64(dst[i]))-2*math.Abs(want)) // one is zero, the other nearly
			}
			w.see(x32, err/((4+3*math.Abs(arg))*math.Abs(want)*0x1p-24+tiny))
		}
	})
	t.Logf("largest error %.3f of the bound, at %v; absolute, over max(1, |x|), %.3g, at %v", w.err, w.at, abs.err, abs.at)
	if w.err > 1 || abs.err > 1.5e-7 {
		t.Errorf("largest error %.3f of the bound, at %v; absolute %.3g, at %v", w.err, w.at, abs.err, abs.at)
	}
}

// TestSiLUBound holds siluMul to its bound (4·2^-24 of the result, where that is a
// normal float32 and exp(-x) is finite), and all variants to one another's bits.
func TestSiLUBound(t *testing.T) {
	var w worst
	dst, same, one := make([]float32, 1<<12), make([]float32, 1<<12), make([]float32, 1<<12)
	fill(one, 1)
	eachFloat(128, func(src []float32) {
		siluMulGo(dst, src, one)
		for _, v := range variants() {
			v.siluMul(same, src, one)
			for i, x := range src {
				if !sameFloat(same[i], dst[i]) {
					t.Fatalf("%s: silu(%x) = %x, in Go %x", v.name, x, same[i], dst[i])
				}
			}
		}
		for i, x32 := range src {
			x := float64(x32)
			want := x / (1 + math.Exp(-x))
			err := math.Abs(float64(dst[i]) - want)
			if x < -88.7 {
				err = math.Max(0, err-2.7e-37) // exp(-x) is infinite, the result zero
			}
			w.see(x32, err/(4*math.Abs(want)*0x1p-24+tiny))
		}
	})
	t.Logf("largest error %.3f of the bound, at %v", w.err, w.at)
	if w.err > 1 {
		t.Errorf("largest error %.3f of the bound, at %v", w.err, w.at)
	}
}

// TestSoftmaxBound: with d = x - max, an exponential is within (2 + |d|)·2^-24 of
// itself, and the sum within what these make together and 2^-24.
func TestSoftmaxBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var one, all worst
	var lanes [8]float64
	for i := range 2000 {
		n := 1 + rng.IntN(2*chunk)
		x, got := make([]float32, n), make([]float32, n, n+8)
		for j := range x {
			x[j] = float32(rng.NormFloat64() * math.Exp2(float64(i%12-5)))
		}
		copy(got, x)
		top, sum := variants()[0].softmax(got, 1, &lanes)
		total, slack := 0.0, 0.0
		for j, v := range x {
			d := float64(v) - float64(top)
			want := math.Exp(d)
			bound := (2-d)*want*0x1p-24 + tiny
			one.see(v, math.Abs(float64(got[j])-want)/bound)
			total, slack = total+want, slack+bound
		}
		all.see(float32(n), math.Abs(float64(sum)-total)/(slack+total*0x1p-24))
	}
	t.Logf("largest errors, of their bounds: exponentials %.3f, sums %.3f", one.err, all.err)
	if one.err > 1 || all.err > 1 {
		t.Errorf("largest errors, of their bounds: exponentials %.3f at %v, sums %.3f of %v", one.err, one.at, all.err, all.at)
	}
}

func TestExpEdges(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct{ x, want float32 }{
		{0, 1}, {float32(math.Copysign(0, -1)), 1}, {-inf, 0}, {inf, inf}, {-104, 0}, {-1e30, 0}, {1e30, inf},
		{-103, 0x1p-149}, {88.73, inf}, {89, inf}, {float32(math.NaN()), float32(math.NaN())},
	} {
		if got := exp32(c.x); !sameFloat(got, c.want) {
			t.Errorf("exp(%v) = %x, want %x", c.x, got, c.want)
		}
	}
}

func TestTanhEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct{ x, tanh, gelu float32 }{
		{0, 0, 0}, {float32(math.Copysign(0, -1)), float32(math.Copysign(0, -1)), float32(math.Copysign(0, -1))},
		{inf, 1, inf}, {-inf, -1, nan}, {nan, nan, nan}, {1e30, 1, 1e30}, {-1e30, -1, float32(math.Copysign(0, -1))},
		{math.MaxFloat32, 1, math.MaxFloat32}, {tiny, tiny, 0}, {20, 1, 20},
	} {
		if got := tanh32(c.x); !sameFloat(got, c.tanh) {
			t.Errorf("tanh(%v) = %x, want %x", c.x, got, c.tanh)
		}
		if got := gelu32(c.x); !sameFloat(got, c.gelu) {
			t.Errorf("gelu(%v) = %x, want %x", c.x, got, c.gelu)
		}
	}
}
