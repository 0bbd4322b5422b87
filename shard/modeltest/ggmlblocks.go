package modeltest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/gguf"
)

// GGMLShape is how many values and bytes a block of a quantized type has, and where
// in it the binary16 numbers lie.
type GGMLShape struct {
	Values, Bytes int
	Halves        []int
}

// GGMLTypes are the quantized types of GGUF.
var GGMLTypes = map[gguf.Type]GGMLShape{
	gguf.Q4_0: {32, 18, []int{0}}, gguf.Q4_1: {32, 20, []int{0, 2}}, gguf.Q5_0: {32, 22, []int{0}}, gguf.Q5_1: {32, 24, []int{0, 2}},
	gguf.Q8_0: {32, 34, []int{0}}, gguf.Q2_K: {256, 84, []int{80, 82}}, gguf.Q3_K: {256, 110, []int{108}}, gguf.Q4_K: {256, 144, []int{0, 2}},
	gguf.Q5_K: {256, 176, []int{0, 2}}, gguf.Q6_K: {256, 210, []int{208}}, gguf.IQ4NL: {32, 18, []int{0}}, gguf.IQ4XS: {256, 136, []int{0}},
}

// RandomBlock is a block of random bits, but for its scales, which are of the order
// of scale.
func RandomBlock(rng *rand.Rand, t gguf.Type, scale float64) []byte {
	s := GGMLTypes[t]
	b := make([]byte, s.Bytes)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	for _, at := range s.Halves {
		binary.LittleEndian.PutUint16(b[at:], tensor.Float32ToF16(float32((rng.Float64()*2-1)*scale)))
	}
	return b
}

// GGMLValue is value i of a block, by the type's definition, bit by bit and in
// float64: what a decoder is held to. It rounds once, at the end.
func GGMLValue(t gguf.Type, b []byte, i int) float32 {
	h := func(at int) float64 { return float64(tensor.HalfToFloat32(binary.LittleEndian.Uint16(b[at:]))) }
	// bits is n bits from bit number at of the bytes from off on.
	bits := func(off, at, n int) int {
		v := 0
		for k := range n {
			v |= int(b[off+(at+k)/8]>>((at+k)%8)&1) << k
		}
		return v
	}
	nibble := func(off int) int { return bits(off+i%16, i/16*4, 4) } // of 32 in 16 bytes
	// kScale is the 6-bit scale and minimum of a group of Q4_K and Q5_K.
	kScale := func(j int) (sc, m int) {
		if j < 4 {
			return bits(4+j, 0, 6), bits(8+j, 0, 6)
		}
		return bits(8+j, 0, 4) | bits(j, 6, 2)<<4, bits(8+j, 4, 4) | bits(4+j, 6, 2)<<4
	}
	table := []int{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
	switch t {
	case gguf.Q4_0:
		return float32(h(0) * float64(nibble(2)-8))
	case gguf.Q4_1:
		return float32(h(0)*float64(nibble(4)) + h(2))
	case gguf.Q5_0:
		return float32(h(0) * float64(nibble(6)+16*bits(2, i, 1)-16))
	case gguf.Q5_1:
		return float32(h(0)*float64(nibble(8)+16*bits(4, i, 1)) + h(2))
	case gguf.Q8_0:
		return float32(h(0) * float64(int8(b[2+i])))
	case gguf.IQ4NL:
		return float32(h(0) * float64(table[nibble(2)]))
	case gguf.Q2_K:
		half, shift, l := i/128, i%128/32, i%32
		q := bits(16+32*half+l, 2*shift, 2)
		return float32(h(80)*float64(bits(i/16, 0, 4)*q) - h(82)*float64(bits(i/16, 4, 4)))
	case gguf.Q3_K:
		half, shift, l := i/128, i%128/32, i%32
		q := bits(32+32*half+l, 2*shift, 2) + 4*bits(l, i/32, 1) - 4
		j := i / 16
		sc := bits(96+j%8, j/8*4, 4) + 16*bits(104+j%4, j/4*2, 2) - 32
		return float32(h(108) * float64(sc*q))
	case gguf.Q4_K:
		sc, m := kScale(i / 32)
		return float32(h(0)*float64(sc*bits(16+i/64*32+i%32, i/32%2*4, 4)) - h(2)*float64(m))
	case gguf.Q5_K:
		sc, m := kScale(i / 32)
		q := bits(48+i/64*32+i%32, i/32%2*4, 4) + 16*bits(16+i%32, i/32, 1)
		return float32(h(0)*float64(sc*q) - h(2)*float64(m))
	case gguf.Q6_K:
		half, quarter, l := i/128, i%128/32, i%32
		q := bits(64*half+quarter%2*32+l, quarter/2*4, 4) + 16*bits(128+32*half+l, 2*quarter, 2) - 32
		return float32(h(208) * float64(int(int8(b[192+i/16]))*q))
	case gguf.IQ4XS:
		j := i / 32
		sc := bits(4+j/2, j%2*4, 4) + 16*bits(2, 2*j, 2) - 32
		return float32(h(0) * float64(sc*table[bits(8+16*j+i%16, i%32/16*4, 4)]))
	}
	panic(fmt.Sprint("modeltest: no definition of ", t))
}

// ToQ8_0 quantizes a row as llama.cpp does: d = max|x|/127, codes to the nearest.
func ToQ8_0(x []float32) []byte {
	var out []byte
	for ; len(x) > 0; x = x[32:] {
		top := 0.0
		for _, v := range x[:32] {
			top = max(top, math.Abs(float64(v)))
		}
		out = binary.LittleEndian.AppendUint16(out, tensor.Float32ToF16(float32(top/127)))
		for _, v := range x[:32] {
			q := 0.0
			if top > 0 {
				q = math.Round(float64(v) / (top / 127))
			}
			out = append(out, byte(int8(q)))
		}
	}
	return out
}
