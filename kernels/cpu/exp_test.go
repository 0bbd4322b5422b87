package cpu

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

var sweep = flag.Bool("sweep", false, "hold exp, tanh, SiLU and GELU to their bounds at every finite float32 (10 to 40 minutes each)")

// eachFloat calls f with every 997th float32 of either sign below limit, in
// batches and several at a time; with -sweep, with every finite one.
func eachFloat(t *testing.T, limit float32, f func(x []float32) error) {
	const batch = 1 << 14
	stride := uint32(997)
	if testing.Short() || raceEnabled {
		stride = 10_007
	}
	if *sweep {
		stride, limit = 1, float32(math.Inf(1))
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, sign := range []uint32{0, 1 << 31} {
		for u, end := uint32(0), math.Float32bits(limit); u < end; u += batch * stride {
			g.Go(func() error {
				x := make([]float32, batch)
				for i := range x {
					// The last batch ends with its last number again and again.
					at := min(u+uint32(i)*stride, u+(end-1-u)/stride*stride)
					x[i] = math.Float32frombits(at | sign)
				}
				return f(x)
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// sameAll holds every variant's loop to the portable one's bits, which it returns.
func sameAll(x []float32, loop func(v *variant, dst []float32)) ([]float32, error) {
	want, got := make([]float32, len(x)), make([]float32, len(x))
	loop(portable, want)
	for _, v := range variants() {
		if v == portable {
			continue
		}
		loop(v, got)
		for i := range x {
			if !sameFloat(got[i], want[i]) {
				return nil, fmt.Errorf("%s: of %x: %x, portable gives %x", v.name, x[i], got[i], want[i])
			}
		}
	}
	return want, nil
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

// worstOf collects the worst of batches.
type worstOf struct {
	mu sync.Mutex
	worst
}

func (w *worstOf) join(o worst) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.see(o.at, o.err)
}

// ulp is the distance of float32 values at the size of y, a normal number or zero.
func ulp(y float64) float64 {
	power := math.Float64frombits(math.Float64bits(y) & (0x7ff << 52))
	return max(power*0x1p-23, tiny)
}

const tiny = 0x1p-149 // least subnormal

// TestExpBound holds exp32 to its bound, and all variants to exp32's bits.
func TestExpBound(t *testing.T) {
	var w worstOf
	eachFloat(t, 104, func(x []float32) error {
		got, err := sameAll(x, func(v *variant, dst []float32) { v.expSum(dst, x, 0, new([8]float64)) })
		if err != nil {
			return err
		}
		var most worst
		for i, x := range x {
			switch want := math.Exp(float64(x)); {
			case want <= math.MaxFloat32:
				most.see(x, math.Abs(float64(got[i])-want)/ulp(want))
			case want > 0x1p128 && !math.IsInf(float64(got[i]), 1):
				return fmt.Errorf("exp(%v) = %v", x, got[i])
			}
		}
		w.join(most)
		return nil
	})
	t.Logf("largest error %.3f ulp, at %v", w.err, w.at)
	if w.err > 1 {
		t.Errorf("largest error %.3f ulp, at %v", w.err, w.at)
	}
}

// TestTanhBound holds tanh32 to its bound, and all variants to its bits.
func TestTanhBound(t *testing.T) {
	var w worstOf
	eachFloat(t, 10, func(x []float32) error {
		got, err := sameAll(x, func(v *variant, dst []float32) {
			copy(dst, x)
			v.softCap(dst, 1, 1)
		})
		if err != nil {
			return err
		}
		var most worst
		for i, x := range x {
			want := math.Tanh(float64(x))
			most.see(x, math.Abs(float64(got[i])-want)/ulp(want))
		}
		w.join(most)
		return nil
	})
	t.Logf("largest error %.3f ulp, at %v", w.err, w.at)
	if w.err > 2 {
		t.Errorf("largest error %.3f ulp, at %v", w.err, w.at)
	}
}

// TestGELUBound holds gelu32 to its bound, and all variants to its bits.
func TestGELUBound(t *testing.T) {
	var w, abs worstOf
	eachFloat(t, 16, func(x []float32) error {
		got, err := sameAll(x, func(v *variant, dst []float32) { v.geluMul(dst, x, ones(len(x))) })
		if err != nil {
			return err
		}
		var most, mostAbs worst
		for i, x32 := range x {
			x := float64(x32)
			arg := -2 * math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x)
			want := x / (1 + math.Exp(arg))
			if math.IsInf(float64(got[i]), 0) {
				return fmt.Errorf("gelu(%v) = %v", x, got[i])
			}
			err := math.Abs(float64(got[i]) - want)
			mostAbs.see(x32, err/math.Max(1, math.Abs(x)))
			if arg > 88.7 {
				err = math.Max(0, math.Abs(float64(got[i]))-2*math.Abs(want)) // one is zero, the other nearly
			}
			most.see(x32, err/((4+3*math.Abs(arg))*math.Abs(want)*0x1p-24+tiny))
		}
		w.join(most)
		abs.join(mostAbs)
		return nil
	})
	t.Logf("largest error %.3f of the bound, at %v; absolute, over max(1, |x|), %.3g, at %v", w.err, w.at, abs.err, abs.at)
	if w.err > 1 || abs.err > 1.5e-7 {
		t.Errorf("largest error %.3f of the bound, at %v; absolute %.3g, at %v", w.err, w.at, abs.err, abs.at)
	}
}

// TestSiLUBound holds siluMul to its bound (4·2^-24 of the result, where that is a
// normal float32 and exp(-x) is finite), and all variants to one another's bits.
func TestSiLUBound(t *testing.T) {
	var w worstOf
	eachFloat(t, 128, func(x []float32) error {
		got, err := sameAll(x, func(v *variant, dst []float32) { v.siluMul(dst, x, ones(len(x))) })
		if err != nil {
			return err
		}
		var most worst
		for i, x32 := range x {
			x := float64(x32)
			want := x / (1 + math.Exp(-x))
			err := math.Abs(float64(got[i]) - want)
			if x < -88.7 {
				err = math.Max(0, err-2.7e-37) // exp(-x) is infinite, the result zero
			}
			most.see(x32, err/(4*math.Abs(want)*0x1p-24+tiny))
		}
		w.join(most)
		return nil
	})
	t.Logf("largest error %.3f of the bound, at %v", w.err, w.at)
	if w.err > 1 {
		t.Errorf("largest error %.3f of the bound, at %v", w.err, w.at)
	}
}

func ones(n int) []float32 {
	v := make([]float32, n)
	fill(v, 1)
	return v
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
