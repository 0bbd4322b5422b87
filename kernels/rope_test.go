package kernels

import (
	"hash/fnv"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestSinCosBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	worst := 0.0
	check := func(x float64) {
		s, c := sinCos(x)
		ws, wc := math.Sincos(x)
		worst = max(worst, math.Abs(s-ws), math.Abs(c-wc))
	}
	for range 200_000 {
		check(rng.Float64() * math.Exp2(float64(rng.IntN(21))))
	}
	// Near the multiples of π/2, where the reduction cancels most.
	for k := 0; k < 1<<19; k += 37 {
		x := float64(k) * math.Pi / 2
		check(x)
		check(math.Nextafter(x, 0))
	}
	// math.Sincos has an error of its own of up to about 2e-16.
	if worst > 6e-16 {
		t.Fatalf("largest difference from math.Sincos: %g", worst)
	}
	if s, c := sinCos(0); s != 0 || c != 1 {
		t.Fatalf("sinCos(0) = %v, %v", s, c)
	}
}

func TestInvFreq(t *testing.T) {
	for _, theta := range []float64{10_000, 500_000, 1_000_000, 2, 1, 0.5, 150_000.25} {
		for _, dim := range []int{2, 4, 64, 80, 128} {
			got := InvFreq(theta, dim)
			if len(got) != dim/2 || got[0] != 1 {
				t.Fatalf("InvFreq(%v, %d): %d values, first %v", theta, dim, len(got), got[0])
			}
			for i, f := range got {
				want := math.Pow(theta, -2*float64(i)/float64(dim))
				if math.Abs(f-want) > 4e-15*want {
					t.Fatalf("InvFreq(%v, %d)[%d] = %v, want about %v", theta, dim, i, f, want)
				}
			}
			// f^(dim/2) = theta^-i, checked in more bits than f has.
			i := dim/2 - 1
			have, _ := bigPow(newBig(got[i]), dim/2).Float64()
			want, _ := new(big.Float).Quo(newBig(1), bigPow(newBig(theta), i)).Float64()
			if math.Abs(have-want) > 1.2e-16*float64(dim/2)*want {
				t.Fatalf("InvFreq(%v, %d)[%d]^%d = %v, want %v", theta, dim, i, dim/2, have, want)
			}
		}
	}
}

// The table's bits are part of what a sequence's replay on another machine
// relies on, so they are pinned.
func TestRopeTableBits(t *testing.T) {
	tab := NewRopeTable(InvFreq(500_000, 128), 1, 4096)
	if tab.Half != 64 || len(tab.Cos) != 4096*64 || len(tab.Sin) != len(tab.Cos) {
		t.Fatalf("shape: half %d, %d cos, %d sin", tab.Half, len(tab.Cos), len(tab.Sin))
	}
	h := fnv.New64a()
	for i := range tab.Cos {
		for _, f := range [2]float32{tab.Cos[i], tab.Sin[i]} {
			u := math.Float32bits(f)
			h.Write([]byte{byte(u), byte(u >> 8), byte(u >> 16), byte(u >> 24)})
		}
	}
	const want = 0x5021837004838331
	if got := h.Sum64(); got != want {
		t.Fatalf("hash %#x, want %#x", got, uint64(want))
	}
}
