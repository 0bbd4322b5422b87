package kernels

import (
	"fmt"
	"math"
	"math/big"
)

// NewRopeTable computes cos and sin of pos·invFreq[j] for pos in
// [0, positions), times mult, rounded once to float32. The angle and its sine
// are float64 in a fixed order of operations, so the table has the same bits on
// every architecture. Angles may reach 2^20.
func NewRopeTable(invFreq []float64, mult float64, positions int) *RopeTable {
	half := len(invFreq)
	t := &RopeTable{
		Half: half,
		Cos:  make([]float32, positions*half),
		Sin:  make([]float32, positions*half),
	}
	for p := range positions {
		for j, f := range invFreq {
			sin, cos := sinCos(float64(float64(p) * f))
			t.Cos[p*half+j] = float32(float64(cos * mult))
			t.Sin[p*half+j] = float32(float64(sin * mult))
		}
	}
	return t
}

// InvFreq returns theta^(-2i/dim) for i in [0, dim/2), each correctly rounded.
// math.Pow would be shorter, but its bits differ between architectures.
// theta must be positive and dim even and positive.
func InvFreq(theta float64, dim int) []float64 {
	if !(theta > 0) || math.IsInf(theta, 0) || dim <= 0 || dim%2 != 0 {
		panic(fmt.Sprintf("kernels: InvFreq(%v, %d)", theta, dim))
	}
	root := bigRoot(theta, dim/2)
	out := make([]float64, dim/2)
	power := newBig(1)
	for i := range out {
		out[i], _ = new(big.Float).Quo(newBig(1), power).Float64()
		power.Mul(power, root)
	}
	return out
}

func newBig(f float64) *big.Float { return new(big.Float).SetPrec(256).SetFloat64(f) }

// bigRoot is the n-th root of a > 0 to about 240 bits, by Newton's iteration
// from above: y ← ((n-1)·y + a/y^(n-1)) / n.
func bigRoot(a float64, n int) *big.Float {
	_, exp := math.Frexp(a) // a < 2^exp
	y := newBig(1)
	if exp > 0 {
		y.SetMantExp(y, (exp+n-1)/n)
	}
	x, size := newBig(a), newBig(float64(n))
	for {
		next := new(big.Float).Mul(newBig(float64(n-1)), y)
		next.Add(next, new(big.Float).Quo(x, bigPow(y, n-1)))
		next.Quo(next, size)
		step := new(big.Float).Sub(y, next)
		if step.Sign() <= 0 || step.MantExp(nil) < y.MantExp(nil)-240 {
			return next
		}
		y = next
	}
}

// bigPow is x^n by repeated squaring.
func bigPow(x *big.Float, n int) *big.Float {
	out, sq := newBig(1), new(big.Float).Set(x)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			out.Mul(out, sq)
		}
		sq.Mul(sq, sq)
	}
	return out
}

// π/2 = piOver2A + piOver2B + an error below 2^-86. A and B have 33 significant
// bits, so that their product with a quotient of at most 20 bits is exact.
var piOver2A, piOver2B, piOver2C = splitPiOver2()

func splitPiOver2() (a, b, c float64) {
	// The first 200 bits of π/2.
	rest, _, err := big.ParseFloat("1.57079632679489661923132169163975144209858469968755291048747229615390820314", 10, 256, big.ToNearestEven)
	if err != nil {
		panic(err)
	}
	cut := func(prec uint) float64 {
		f, _ := new(big.Float).SetMode(big.ToZero).SetPrec(prec).Set(rest).Float64()
		rest.Sub(rest, newBig(f))
		return f
	}
	return cut(33), cut(33), cut(53)
}

// sinCos returns sin x and cos x for 0 <= x <= 2^20, with an absolute error
// below 4e-16. Every product is rounded by an explicit conversion before it is
// added, since Go may otherwise fuse the two on some architectures.
func sinCos(x float64) (sin, cos float64) {
	k := math.Floor(float64(x*(2/math.Pi)) + 0.5)
	r := x - float64(k*piOver2A) // exact: both are near each other
	r -= float64(k * piOver2B)
	r -= float64(k * piOver2C)
	z := float64(r * r)
	s, c := r+float64(float64(r*z)*horner(z, sinTaylor[:])), 1+float64(z*horner(z, cosTaylor[:]))
	switch int64(k) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}

// The Taylor series after their first terms; on |r| <= π/4 the first term left
// out is below 1e-18.
var (
	sinTaylor = [...]float64{-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000}
	cosTaylor = [...]float64{-1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000}
)

func horner(z float64, c []float64) float64 {
	s := c[len(c)-1]
	for i := len(c) - 2; i >= 0; i-- {
		s = float64(s*z) + c[i]
	}
	return s
}
