package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// coded writes the decoders of coded panels (package cpu, coded.go).
func coded(w isa) {
	for _, d := range []string{"U4", "I4", "I8", "F8"} {
		decode(w, d, false)
		decode(w, d, true)
	}
	if w.perStrip == 2 {
		widenHalves()
	}
}

// decode writes variant.decode for one type, with offsets or without. A vector of
// words is loaded once, and shifted for each k so that its code lies at the top,
// and down again.
func decode(w isa, d string, offsets bool) {
	name := "decode" + d
	if offsets {
		name += "Offset"
	}
	name += w.suffix
	TEXT(name, NOSPLIT, "func(dst *float32, codes *byte, scales *float32, offsets *float32, rowOf *int32, lines int)")
	Doc(fmt.Sprintf("%s is variant.decode for %s; lines of each strip, at least 1.", name, d),
		"Please refer to decodeGo for the reference implementation.")
	Pragma("noescape")
	dst, codes, scales, rowOf, lines := ptr("dst"), ptr("codes"), ptr("scales"), ptr("rowOf"), ptr("lines")
	var offs Register
	if offsets {
		offs = ptr("offsets")
	}
	width := 4
	if d == "I8" || d == "F8" {
		width = 8
	}
	perWord := 32 / width
	var mask, power VecVirtual
	if d == "F8" {
		mask, power = w.vec(), w.vec()
		x, r := XMM(), GP32()
		Comment("sign, exponent and mantissa of e4m3 where float32 has them, and 2^120")
		for _, c := range []struct {
			bits uint32
			to   VecVirtual
		}{{0x87f00000, mask}, {0x7b800000, power}} {
			MOVL(U32(c.bits), r)
			VMOVD(r, x)
			VPBROADCASTD(x, c.to)
		}
	}
	rows := make([]Register, perWord)
	for i := range rows {
		if perWord == 4 || i < 4 {
			rows[i] = GP64()
		}
	}
	Label("line")
	for half := 0; half < perWord; half += 4 {
		Comment(fmt.Sprintf("scales of k + %d to k + %d", half, half+3))
		for i := range 4 {
			MOVLQSX(Mem{Base: rowOf, Disp: 4 * (half + i)}, rows[i])
		}
		for v := range 4 * w.perStrip {
			word := w.vec()
			VMOVDQUx(w, Mem{Base: codes, Disp: w.bytes * v}, word)
			for i := range 4 {
				k := half + i
				y := w.vec()
				up := 32 - width*(k+1)
				from := word
				if up > 0 {
					VPSLLD(Imm(uint64(up)), word, y)
					from = y
				}
				switch d {
				case "U4":
					VPSRLD(Imm(28), from, y)
				case "I4":
					VPSRAD(Imm(28), from, y)
				case "I8":
					VPSRAD(Imm(24), from, y)
				case "F8":
					VPSRAD(Imm(4), from, y)
					if w.perStrip == 1 {
						VPANDD(mask, y, y)
					} else {
						VPAND(mask, y, y)
					}
					VMULPS(power, y, y)
				}
				if d != "F8" {
					VCVTDQ2PS(y, y)
				}
				VMULPS(Mem{Base: scales, Index: rows[i], Scale: 4, Disp: w.bytes * v}, y, y)
				if offsets {
					VADDPS(Mem{Base: offs, Index: rows[i], Scale: 4, Disp: w.bytes * v}, y, y)
				}
				VMOVUPS(y, Mem{Base: dst, Disp: 256*k + w.bytes*v})
			}
		}
	}
	ADDQ(U32(256), codes)
	ADDQ(Imm(uint64(4*perWord)), rowOf)
	ADDQ(U32(uint32(256*perWord)), dst)
	DECQ(lines)
	JNZ(LabelRef("line"))
	VZEROUPPER()
	RET()
}

// VMOVDQUx loads a vector of integers.
func VMOVDQUx(w isa, from Mem, to VecVirtual) {
	if w.perStrip == 1 {
		VMOVDQU32(from, to)
	} else {
		VMOVDQU(from, to)
	}
}

// widenHalves writes variant.widenHalves.
func widenHalves() {
	TEXT("widenHalvesAVX2", NOSPLIT, "func(dst *float32, src *byte, n int)")
	Doc("widenHalvesAVX2 is variant.widenHalves; n is a multiple of 8, at least 8.")
	Pragma("noescape")
	dst, src, n := ptr("dst"), ptr("src"), ptr("n")
	y := YMM()
	Label("loop")
	VCVTPH2PS(Mem{Base: src}, y)
	VMOVUPS(y, Mem{Base: dst})
	ADDQ(Imm(16), src)
	ADDQ(Imm(32), dst)
	SUBQ(Imm(8), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
