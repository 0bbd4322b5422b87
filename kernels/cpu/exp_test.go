package cpu

import (
	"math"
	"testing"
)

// TestExpBound holds exp32 to its bound over every 997th float32 of the range in
// which it is neither 0 nor infinite, and all variants to exp32's bits.
func TestExpBound(t *testing.T) {
	const batch = 1 << 12
	src, dst := make([]float32, 0, batch), make([]float32, batch)
	worst, at := 0.0, float32(0)
	flush := func() {
		src = append(src, make([]float32, batch-len(src))...)
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
			want := math.Exp(float64(x))
			if want > math.MaxFloat32 {
				continue
			}
			ulp := math.Max(math.Exp2(math.Floor(math.Log2(want))-23), 0x1p-149)
			if e := math.Abs(float64(dst[i])-want) / ulp; e > worst {
				worst, at = e, x
			}
		}
		src = src[:0]
	}
	stride := uint32(997)
	if testing.Short() || raceEnabled {
		stride = 10_007
	}
	for _, sign := range []uint32{0, 1 << 31} {
		for u := uint32(0); u < math.Float32bits(104); u += stride {
			if src = append(src, math.Float32frombits(u|sign)); len(src) == batch {
				flush()
			}
		}
	}
	flush()
	t.Logf("largest error %.3f ulp, at %v", worst, at)
	if worst > 1 {
		t.Errorf("largest error %.3f ulp, at %v", worst, at)
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
