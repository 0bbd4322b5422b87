package cpu

import "math"

// fma32 is the fused multiply-add x·y + z, rounded once to float32: the bits of
// the hardware's instruction, for the portable twin.
//
// The product of two float32 is exact in float64, so only the sum rounds, to 53
// bits. Rounding that again to 24 can go wrong only where the 53-bit sum looks
// like a tie between two float32 values and is not one, or where the result is
// subnormal and the tie stands elsewhere; those go the long way.
func fma32(x, y, z float32) float32 {
	s := float64(x)*float64(y) + float64(z) // fusing changes nothing: the product is exact
	if u := math.Float64bits(s); u&0x1fffffff == 0x10000000 || u<<1 < minNormal<<1 {
		return fma32Odd(x, y, z)
	}
	return float32(s)
}

// minNormal is the float64 bit pattern of 2^-126, the least normal float32.
const minNormal = (1023 - 126) << 52

// fma32Odd rounds the sum to odd: of the two float64 around the exact sum it
// takes the one whose last bit is set. That bit then stands for all that was
// cut off, and the rounding to float32 sees which side of a tie it is on.
// After: Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums:
// proved algorithms using rounding to odd", 2008.
func fma32Odd(x, y, z float32) float32 {
	p, c := float64(float64(x)*float64(y)), float64(z)
	s := p + c
	bb := s - p
	err := (p - (s - bb)) + (c - bb) // s + err is the exact sum
	if err == 0 || err != err {
		return float32(s)
	}
	if u := math.Float64bits(s); u&1 == 0 {
		// s is even and inexact: its odd neighbour lies towards err.
		if (err > 0) == (s > 0) {
			u++
		} else {
			u--
		}
		s = math.Float64frombits(u)
	}
	return float32(s)
}
