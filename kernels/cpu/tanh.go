package cpu

import "math"

// tanh32 is tanh x, within 2 ulp; NaN for NaN. Its order of operations is the
// specification that the vector form follows step by step, with a = |x|:
//
//	a < 0.625: a + a·z·P(z), z = a², P a polynomial of degree 4
//	else:      1 - 2/(exp32(2a) + 1)
//
// The coefficients are those of a minimax fit of relative error on the interval:
// 4.4e-9 before they are rounded.
func tanh32(x float32) float32 {
	a := math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
	r := 1 - 2/(exp32(a+a)+1)
	if !(a >= tanhSplit) {
		z := float32(a * a)
		p := float32(tanhC4)
		p = fma32(p, z, tanhC3)
		p = fma32(p, z, tanhC2)
		p = fma32(p, z, tanhC1)
		p = fma32(p, z, tanhC0)
		r = fma32(float32(p*z), a, a)
	}
	return math.Float32frombits(math.Float32bits(r) | math.Float32bits(x)&(1<<31))
}

// gelu32 is the tanh form of GELU by way of tanh y = 1 - 2/(exp(2y) + 1):
//
//	x / (1 + exp32(t)),  t = x·fma(x², B, A),  A = -2·√(2/π), B = 0.044715·A
//
// Its relative error is below (4 + 3|t|)·2^-24 where the result is a normal
// float32; where t is above 88.7 it is zero. -Inf gives NaN, as the formula does.
func gelu32(x float32) float32 {
	t := x * fma32(float32(x*x), geluB, geluA)
	return x / (1 + exp32(t))
}

// The constants of tanh32 and gelu32; the generator of the assembly has its own
// copy, and a test compares them.
const (
	tanhSplit = 0.625
	tanhC0    = -0.33333281942012773
	tanhC1    = 0.13331442198175808
	tanhC2    = -0.053739715085824959
	tanhC3    = 0.020639087244729173
	tanhC4    = -0.0057049869934552029
	geluA     = -1.5957691216057308
	geluB     = -0.0713548162726
)
