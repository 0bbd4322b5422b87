package sample

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestPhilox checks the generator against the test vectors of the paper's own
// implementation (Random123 kat_vectors, philox4x32 10).
func TestPhilox(t *testing.T) {
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}, [2]uint32{^uint32(0), ^uint32(0)},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
	} {
		if got := philox(c.ctr, c.key); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.ctr, c.key, got, c.want)
		}
	}
}

func TestMath(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200000 {
		x := rng.Float64()*800 - 690
		if w := math.Exp(min(x, 100)); math.Abs(exp(min(x, 100))/w-1) > 2e-15 {
			t.Fatalf("exp(%g) = %g, want %g", x, exp(x), w)
		}
		y := math.Exp(rng.Float64()*80 - 40)
		if w := math.Log(y); math.Abs(ln(y)-w) > 1e-15*max(1, math.Abs(w)) {
			t.Fatalf("ln(%g) = %g, want %g", y, ln(y), w)
		}
	}
	if g := gumbelMax(); g >= maxGumbel {
		t.Errorf("largest noise %g is not below maxGumbel %g", g, maxGumbel)
	}
}

func gumbelMax() float64 { return -ln(-ln((float64(^uint32(0)) + 0.5) * (1.0 / (1 << 32)))) }

// TestNoiseBound: no noise is above its bound, at the edges of each number of
// leading ones and in between.
func TestNoiseBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 200_000 {
		r := rng.Uint32()
		switch ones := i % 33; i % 4 {
		case 0:
			r = ^(^uint32(0) >> ones) // the least with as many
		case 1:
			r |= ^(^uint32(0) >> ones)
		case 2:
			if ones < 32 {
				r = ^(uint32(1) << (31 - ones)) // the largest
			}
		}
		if g, b := gumbelOf(r), noiseBound(r); g > b {
			t.Fatalf("noise %v of %#x is above its bound %v", g, r, b)
		}
	}
}

// TestNoiseBits: no token with fewer bits than are needed has the key.
func TestNoiseBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	spared := 0
	for i := range 200_000 {
		best := rng.NormFloat64() * math.Exp2(float64(i%40)-5)
		key := best + maxGumbel*(1.2*rng.Float64()-0.2)
		least := noiseBits(best, key)
		if least == 0 {
			continue
		}
		spared++
		if k := best + gumbelOf(least-1); k >= key {
			t.Fatalf("logit %v, bits %#x: key %v, not below %v", best, least-1, k, key)
		}
	}
	if spared < 100_000 {
		t.Errorf("%d of 200,000 spare anything", spared)
	}
	for _, key := range []float64{math.Inf(-1), math.NaN(), math.Inf(1)} {
		if least := noiseBits(key, key); least != 0 {
			t.Errorf("key and logit %v: bits %#x are needed", key, least)
		}
	}
}
