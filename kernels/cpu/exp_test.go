package cpu

import (
	"math"
	"testing"
)

// eachFloat calls f with every 997th float32 of either sign below limit, in
// batches.
func eachFloat(limit float32, f func(x []float32)) {
	const batch = 1 << 12
	x := make([]float32, 0, batch)
	stride := uint32(997)
	if testing.Short() || raceEnabled {
		stride = 10_007
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
			if want := math.Exp(float64(x)); want <= math.MaxFloat32 {
				w.see(x, math.Abs(float64(dst[i])-want)/ulp(want))
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
