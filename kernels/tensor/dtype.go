// Package tensor names element types and converts stored weights to float32.
// It owns no memory.
package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DType is the element type of a stored or packed tensor.
type DType uint8

// The element types that a checkpoint or a packed weight may have. Those from I8
// on are codes: numbers that mean something only with a scale (kernels.Coding).
const (
	Invalid DType = iota
	F32
	BF16
	F16
	I8
	U4 // 0 to 15, two in a byte, the first in the low half
	I4 // -8 to 7, likewise, in two's complement
	F8 // e4m3: 1 sign, 4 exponent and 3 mantissa bits, no infinities
)

var dtypes = [...]struct {
	name string
	bits int
}{F32: {"F32", 32}, BF16: {"BF16", 16}, F16: {"F16", 16}, I8: {"I8", 8}, U4: {"U4", 4}, I4: {"I4", 4}, F8: {"F8_E4M3", 8}}

// Size is the number of bytes of one element, 0 if it has less than one.
func (d DType) Size() int { return d.Bytes(1) }

// Bytes is the number of bytes of n elements in a row; of 4-bit ones n is even.
func (d DType) Bytes(n int) int {
	if int(d) >= len(dtypes) {
		return 0
	}
	return n * dtypes[d].bits / 8
}

// Coded reports whether elements are codes.
func (d DType) Coded() bool { return d >= I8 && int(d) < len(dtypes) }

// String is the type's name in a safetensors header, where it has one.
func (d DType) String() string {
	if d != Invalid && int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// ParseDType reads a type's name; ok is false for a type that no kernel takes.
func ParseDType(s string) (d DType, ok bool) {
	for d, t := range dtypes {
		if s != "" && t.name == s {
			return DType(d), true
		}
	}
	return Invalid, false
}

// Widen converts len(dst) little-endian elements of type d to float32, exactly.
func Widen(dst []float32, src []byte, d DType) {
	switch d {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case BF16:
		for ; len(dst) >= 4 && len(src) >= 8; dst, src = dst[4:], src[8:] {
			four, to := binary.LittleEndian.Uint64(src), (*[4]float32)(dst)
			to[0] = math.Float32frombits(uint32(four) << 16)
			to[1] = math.Float32frombits(uint32(four) & 0xffff0000)
			to[2] = math.Float32frombits(uint32(four>>32) << 16)
			to[3] = math.Float32frombits(uint32(four>>32) & 0xffff0000)
		}
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	case F16:
		for i := range dst {
			dst[i] = HalfToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case I8:
		for i := range dst {
			dst[i] = float32(int8(src[i]))
		}
	case U4:
		for i := range dst {
			dst[i] = float32(src[i/2] >> (i % 2 * 4) & 15)
		}
	case I4:
		for i := range dst {
			dst[i] = float32(int8(src[i/2]<<(4-i%2*4)) >> 4)
		}
	case F8:
		for i := range dst {
			dst[i] = Float8ToFloat32(src[i])
		}
	default:
		panic("tensor: Widen of " + d.String())
	}
}

// Float8ToFloat32 widens an e4m3 value, exactly. All bits set but the sign is NaN.
// After: Micikevicius et al., "FP8 Formats for Deep Learning", 2022.
func Float8ToFloat32(b byte) float32 {
	if b&0x7f == 0x7f {
		return float32(math.NaN())
	}
	// As float32 bits the exponent is too small by 127-7, for subnormals too.
	return math.Float32frombits(uint32(b&0x80)<<24|uint32(b&0x7f)<<20) * 0x1p120
}

// HalfToFloat32 widens an IEEE 754 binary16 value, exactly.
func HalfToFloat32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	man := uint32(h & 0x3ff)
	switch {
	case exp == 0x1f: // Inf, NaN
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
	default: // zero and subnormals: man * 2^-24
		f := float32(man) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	}
}

// Float32ToBF16 rounds to bfloat16, to nearest even; NaN stays NaN.
func Float32ToBF16(f float32) uint16 {
	u := math.Float32bits(f)
	if u&0x7fffffff > 0x7f800000 {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + (u>>16)&1) >> 16)
}

// Float32ToF16 rounds to IEEE 754 binary16, to nearest even; what is too large
// becomes infinite, NaN stays NaN.
func Float32ToF16(f float32) uint16 {
	u := math.Float32bits(f)
	sign := uint16(u>>16) & 0x8000
	u &= 0x7fffffff
	switch {
	case u > 0x7f800000:
		return sign | 0x7e00
	case u >= 0x477ff000: // 65520, the least that rounds to 2^16
		return sign | 0x7c00
	case u >= 0x38800000: // 2^-14, the least normal value
		u -= 112 << 23
		return sign | uint16((u+0xfff+(u>>13)&1)>>13)
	}
	// Subnormal: a whole number of 2^-24, which adding 1.5·2^23·2^-24 rounds to.
	const magic = 0.75
	return sign | uint16(math.Float32bits(math.Float32frombits(u)+magic)-math.Float32bits(magic))
}
