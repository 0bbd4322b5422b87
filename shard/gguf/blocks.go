package gguf

import (
	"encoding/binary"

	"github.com/sullae/sullae/kernels/tensor"
)

// Blocks of 32 values under one scale d, a binary16 number, and in some types a
// minimum m. In blocks of 4-bit codes the low halves of the 16 bytes are the first
// 16 codes; a fifth bit of each code is in a word of 32 bits.
// After: ggml-org/ggml, src/ggml-common.h and the dequantize_row functions of
// src/ggml-quants.c.

func half(b []byte) float32 { return tensor.HalfToFloat32(binary.LittleEndian.Uint16(b)) }

// nibbles writes the 32 codes of 16 bytes.
func nibbles(codes, packed []byte) {
	for i, b := range packed[:16] {
		codes[i], codes[16+i] = b&15, b>>4
	}
}

// fifth adds a fifth bit to 32 codes.
func fifth(codes []byte, word uint32) {
	for i := range codes[:32] {
		codes[i] |= byte(word>>i&1) << 4
	}
}

// Q4_0: d·(q - 8).
func decodeQ4_0(b, codes []byte, scales, _ []float32) {
	scales[0] = half(b)
	nibbles(codes, b[2:])
	for i := range codes[:32] {
		codes[i] ^= 8 // q-8 in four bits of two's complement
	}
}

// Q4_1: d·q + m.
func decodeQ4_1(b, codes []byte, scales, offsets []float32) {
	scales[0], offsets[0] = half(b), half(b[2:])
	nibbles(codes, b[4:])
}

// Q5_0: d·(q - 16).
func decodeQ5_0(b, codes []byte, scales, _ []float32) {
	scales[0] = half(b)
	nibbles(codes, b[6:])
	fifth(codes, binary.LittleEndian.Uint32(b[2:]))
	for i := range codes[:32] {
		codes[i] -= 16
	}
}

// Q5_1: d·q + m.
func decodeQ5_1(b, codes []byte, scales, offsets []float32) {
	scales[0], offsets[0] = half(b), half(b[2:])
	nibbles(codes, b[8:])
	fifth(codes, binary.LittleEndian.Uint32(b[4:]))
}

// Q8_0: d·q.
func decodeQ8_0(b, codes []byte, scales, _ []float32) {
	scales[0] = half(b)
	copy(codes[:32], b[2:])
}

// nonlinear are the values that the codes of IQ4_NL and IQ4_XS stand for.
// After: ggml-org/ggml, src/ggml-common.h, kvalues_iq4nl.
var nonlinear = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// IQ4_NL: d·v[q].
func decodeIQ4NL(b, codes []byte, scales, _ []float32) {
	scales[0] = half(b)
	nibbles(codes, b[2:])
	for i, q := range codes[:32] {
		codes[i] = byte(nonlinear[q])
	}
}
