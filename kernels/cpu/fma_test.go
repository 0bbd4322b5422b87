package cpu

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// hardTriple makes operands whose fused sum is hard to round: any exponents, or
// a sum near a tie, in the subnormal range, or cancelling.
func hardTriple(rng *rand.Rand) (x, y, z float32) {
	bits := func() float32 { return math.Float32frombits(rng.Uint32()) }
	short := func() float32 { return float32(rng.IntN(1<<12)) * float32(math.Exp2(float64(rng.IntN(40)-20))) }
	x, y, z = bits(), bits(), bits()
	switch rng.IntN(6) {
	case 0: // anything, NaN and infinities among it
	case 1: // z near the negative product
		x, y = short(), short()
		z = -float32(float64(x) * float64(y))
		z = math.Float32frombits(math.Float32bits(z) + uint32(rng.IntN(5)) - 2)
	case 2: // the product is half a unit of z, or off by a hair
		z = math.Float32frombits(rng.Uint32()&0x80ffffff | uint32(rng.IntN(200)+30)<<23)
		x, y = nearOne(rng)
		y *= float32(math.Exp2(math.Floor(math.Log2(math.Abs(float64(z)))) - 24))
	case 3: // subnormal results
		x = math.Float32frombits(rng.Uint32()&0x80ffffff | uint32(rng.IntN(30)+40)<<23)
		y = math.Float32frombits(rng.Uint32()&0x80ffffff | uint32(rng.IntN(30)+40)<<23)
		z = math.Float32frombits(rng.Uint32() & 0x80ffffff)
	case 4: // the same in the subnormal range
		z = math.Float32frombits(rng.Uint32() & 0x807fffff)
		x, y = nearOne(rng)
		x, y = x*0x1p-75, y*0x1p-75
	case 5: // whole sums
		x, y, z = short(), short(), short()
	}
	return x, y, z
}

// nearOne makes a product of size 1, or off by as little as 2^-46.
func nearOne(rng *rand.Rand) (x, y float32) {
	x = 1 + float32(rng.IntN(1<<23))*0x1p-23
	y = 1 / x
	if rng.IntN(2) == 0 {
		a := float32(math.Exp2(float64(-rng.IntN(12) - 12)))
		x, y = 1+a, 1-a
	}
	if rng.IntN(2) == 0 {
		x = -x
	}
	return x, y
}

// sameFloat is equality of bits, any NaN equal to any NaN.
func sameFloat(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func TestFMAExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	exact := func(f float32) *big.Float { return new(big.Float).SetPrec(1200).SetFloat64(float64(f)) }
	for range 40_000 {
		x, y, z := hardTriple(rng)
		sum := float64(x) + float64(y) + float64(z)
		if math.IsNaN(sum) || math.IsInf(sum, 0) {
			continue
		}
		s := exact(x)
		s.Mul(s, exact(y)).Add(s, exact(z))
		if s.Sign() == 0 {
			continue // the sign of zero is the hardware test's
		}
		want, _ := s.Float32()
		if got := fma32(x, y, z); !sameFloat(got, want) {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", x, y, z, got, want)
		}
	}
}
