package sample

import "math"

// The functions of package math differ in their last bits between
// architectures (some have assembly, some fuse multiply and add). These don't:
// every product is rounded by an explicit conversion before it is added.

const (
	ln2Hi = 6.93147180369123816490e-01 // the upper 32 bits of ln 2
	ln2Lo = 1.90821492927058770002e-10
)

// exp is e^x for finite x, within 2e-15 relative; 0 below -700.
func exp(x float64) float64 {
	if x < -700 {
		return 0
	}
	k := math.Round(x * (1 / math.Ln2))
	r := x - float64(k*ln2Hi)
	r -= float64(k * ln2Lo)
	// Taylor to r^13/13!; |r| <= ln2/2 leaves less than 1e-17.
	p := 1.0
	for n := 13.0; n >= 1; n-- {
		p = 1 + float64(p*r)/n
	}
	return math.Ldexp(p, int(k))
}

// ln is the natural logarithm of a positive normal x, within 1e-15 relative or
// so (absolute near 1).
func ln(x float64) float64 {
	f, e := math.Frexp(x) // f in [0.5, 1)
	if f < math.Sqrt2/2 {
		f *= 2
		e--
	}
	// ln f = 2 atanh(s), s = (f-1)/(f+1), |s| <= 0.1716: s^23 is the last term.
	s := (f - 1) / (f + 1)
	z := float64(s * s)
	p := 0.0
	for n := 23.0; n >= 3; n -= 2 {
		p = float64((1/n + p) * z)
	}
	return float64(float64(e)*ln2Hi) + (float64(2*s) + (float64(float64(2*s)*p) + float64(float64(e)*ln2Lo)))
}
