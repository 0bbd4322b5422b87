package cpu

import "math"

// exp32 is e^x: within 1 ulp where the result is a normal float32, within one
// least subnormal below that, +Inf from 88.73 on, 0 from -103.98 down, NaN for
// NaN. Its order of operations is the specification that the vector forms
// follow step by step:
//
//	n = round(x·log2 e) by adding 1.5·2^23;  r = x - n·ln 2, in two steps
//	e^r by a polynomial of degree 6;  times 2^n in two halves, so that the
//	result may be subnormal and is then rounded once
//
// The coefficients are those of a minimax fit of relative error on
// |r| <= 0.34667: 3.1e-9 before they are rounded.
func exp32(x float32) float32 {
	// Comparisons are written so that NaN stays, as vmaxps and vminps keep it.
	if expLo > x {
		x = expLo
	}
	if expHi < x {
		x = expHi
	}
	t := fma32(x, log2E, roundMagic)
	n := t - roundMagic
	r := fma32(n, -ln2Hi, x)
	r = fma32(n, -ln2Lo, r)
	p := float32(expC6)
	p = fma32(p, r, expC5)
	p = fma32(p, r, expC4)
	p = fma32(p, r, expC3)
	p = fma32(p, r, expC2)
	p = fma32(p, r, 1)
	p = fma32(p, r, 1)
	i := int32(math.Float32bits(t) - roundMagicBits)
	half := i >> 1
	rest := i - half
	a := math.Float32frombits(uint32(half+127) << 23)
	b := math.Float32frombits(uint32(rest+127) << 23)
	return float32(float32(p*a) * b)
}

// The constants of exp32. ln2Hi has 9 trailing zero bits, so that n·ln2Hi is
// exact. The generator of the assembly has its own copy; a test compares them.
const (
	expLo          = -104.0
	expHi          = 89.0
	log2E          = 1.44269504088896341
	roundMagic     = 12582912.0 // 1.5 · 2^23
	roundMagicBits = 0x4b400000
	ln2Hi          = 0.693145751953125
	ln2Lo          = 1.42860676533018e-06
	expC2          = 0.4999999403953552
	expC3          = 0.1666652113199234
	expC4          = 0.04166838899254799
	expC5          = 0.00836872961372137
	expC6          = 0.001381457201205194
)
