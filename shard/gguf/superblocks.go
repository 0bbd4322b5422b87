package gguf

import "encoding/binary"

// Blocks of 256 values: groups of 16 or 32 have small whole numbers for scales (and
// minima), which a binary16 d (and dmin) of the block scales in turn. Each product
// of the two is exact in float32, so a code's value is rounded once.
// After: ggml-org/ggml, src/ggml-common.h and the dequantize_row functions of
// src/ggml-quants.c.

// scales6 unpacks the 6-bit scales and minima of the 8 groups of Q4_K and Q5_K.
func scales6(b []byte) (scales, minima [8]byte) {
	for i := range 4 {
		scales[i], minima[i] = b[i]&63, b[4+i]&63
		scales[4+i] = b[8+i]&15 | b[i]>>6<<4
		minima[4+i] = b[8+i]>>4 | b[4+i]>>6<<4
	}
	return scales, minima
}

// Q2_K: d·sc·q - dmin·m, groups of 16, 4-bit sc and m.
func decodeQ2_K(b, codes []byte, scales, offsets []float32) {
	d, dmin := half(b[80:]), half(b[82:])
	for i, s := range b[:16] {
		scales[i], offsets[i] = d*float32(s&15), -(dmin * float32(s>>4))
	}
	for part := range 2 { // 128 values each
		qs := b[16+32*part:][:32]
		for shift := range 4 {
			for l, q := range qs {
				codes[128*part+32*shift+l] = q >> (2 * shift) & 3
			}
		}
	}
}

// Q3_K: d·(sc - 32)·(q - 4), groups of 16, 6-bit sc; the third bit of q is in a
// mask of its own.
func decodeQ3_K(b, codes []byte, scales, _ []float32) {
	mask, qs, packed, d := b[:32], b[32:96], b[96:108], half(b[108:])
	for i := range 16 {
		low := packed[i%8] >> (i / 8 * 4) & 15
		high := packed[8+i%4] >> (i / 4 * 2) & 3
		scales[i] = d * float32(int(low|high<<4)-32)
	}
	for i := range 256 {
		part, shift, l := i/128, i%128/32, i%32
		q := qs[32*part+l] >> (2 * shift) & 3
		q |= mask[l] >> (4*part + shift) & 1 << 2
		codes[i] = (q - 4) & 15
	}
}

// Q4_K: d·sc·q - dmin·m, groups of 32, 6-bit sc and m.
func decodeQ4_K(b, codes []byte, scales, offsets []float32) {
	minima(b, scales, offsets)
	for i, q := range b[16:144] {
		at := i/32*64 + i%32
		codes[at], codes[at+32] = q&15, q>>4
	}
}

// Q5_K is Q4_K with a fifth bit.
func decodeQ5_K(b, codes []byte, scales, offsets []float32) {
	minima(b, scales, offsets)
	high := b[16:48]
	for i, q := range b[48:176] {
		pair, l := i/32, i%32
		at := 64*pair + l
		codes[at] = q&15 | high[l]>>(2*pair)&1<<4
		codes[at+32] = q>>4 | high[l]>>(2*pair+1)&1<<4
	}
}

// minima reads the scales and offsets of Q4_K and Q5_K.
func minima(b []byte, scales, offsets []float32) {
	d, dmin := half(b), half(b[2:])
	sc, m := scales6(b[4:16])
	for i := range sc {
		scales[i], offsets[i] = d*float32(sc[i]), -(dmin * float32(m[i]))
	}
}

// Q6_K: d·sc·(q - 32), groups of 16, 8-bit sc.
func decodeQ6_K(b, codes []byte, scales, _ []float32) {
	d := half(b[208:])
	for i, s := range b[192:208] {
		scales[i] = d * float32(int8(s))
	}
	for part := range 2 { // 128 values each
		low, high := b[64*part:][:64], b[128+32*part:][:32]
		for l, h := range high {
			at := codes[128*part+l:]
			at[0] = (low[l]&15 | h&3<<4) - 32
			at[32] = (low[32+l]&15 | h>>2&3<<4) - 32
			at[64] = (low[l]>>4 | h>>4&3<<4) - 32
			at[96] = (low[32+l]>>4 | h>>6<<4) - 32
		}
	}
}

// IQ4_XS: d·(sc - 32)·v[q], groups of 32, 6-bit sc.
func decodeIQ4XS(b, codes []byte, scales, _ []float32) {
	d, high := half(b), binary.LittleEndian.Uint16(b[2:])
	for i := range 8 {
		sc := int(b[4+i/2]>>(i%2*4)&15) | int(high>>(2*i)&3)<<4
		scales[i] = d * float32(sc-32)
		group := codes[32*i:]
		nibbles(group, b[8+16*i:])
		for j, q := range group[:32] {
			group[j] = byte(nonlinear[q])
		}
	}
}
