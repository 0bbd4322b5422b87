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

// The element types that a checkpoint or a packed weight may have.
const (
	Invalid DType = iota
	F32
	BF16
	F16
)

// Size is the number of bytes of one element.
func (d DType) Size() int {
	switch d {
	case F32:
		return 4
	case BF16, F16:
		return 2
	}
	return 0
}

// String is the type's name in a safetensors header.
func (d DType) String() string {
	switch d {
	case F32:
		return "F32"
	case BF16:
		return "BF16"
	case F16:
		return "F16"
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// ParseDType reads a safetensors dtype name; ok is false for a type that no
// kernel takes.
func ParseDType(s string) (d DType, ok bool) {
	switch s {
	case "F32":
		return F32, true
	case "BF16":
		return BF16, true
	case "F16":
		return F16, true
	}
	return Invalid, false
}

// Widen converts len(dst) little-endian elements of type d to float32. Every
// F32, BF16 and F16 value is exact in float32.
func Widen(dst []float32, src []byte, d DType) {
	switch d {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	case F16:
		for i := range dst {
			dst[i] = HalfToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	default:
		panic("tensor: Widen of " + d.String())
	}
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
