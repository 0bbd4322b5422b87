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
		for _, offsets := range []bool{false, true} {
			decode(w, d, offsets)
			codedRow(w, d, offsets)
		}
	}
	if w.perStrip == 2 {
		widenHalves()
	}
}

// codedArgs are what decoders share: 4 values of K at a time of a line's words.
type codedArgs struct {
	isa
	d                             string
	codes, scales, offsets, rowOf Register
	mask, power                   VecVirtual // of F8
	rows                          [4]Register
}

func loadCodedArgs(w isa, d string, offsets bool) codedArgs {
	a := codedArgs{isa: w, d: d, codes: ptr("codes"), scales: ptr("scales"), rowOf: ptr("rowOf")}
	if offsets {
		a.offsets = ptr("offsets")
	}
	for i := range a.rows {
		a.rows[i] = GP64()
	}
	if d == "F8" {
		a.mask, a.power = w.vec(), w.vec()
		x, r := XMM(), GP32()
		Comment("sign, exponent and mantissa of e4m3 where float32 has them, and 2^120")
		for _, c := range []struct {
			bits uint32
			to   VecVirtual
		}{{0x87f00000, a.mask}, {0x7b800000, a.power}} {
			MOVL(U32(c.bits), r)
			VMOVD(r, x)
			VPBROADCASTD(x, c.to)
		}
	}
	return a
}

// perWord is how many codes a word has.
func (a codedArgs) perWord() int {
	if a.d == "I8" || a.d == "F8" {
		return 4
	}
	return 8
}

// line does all values of a line of words: before is called for each four of K,
// and use with the values of vector v for k, in a register that is free after it.
func (a codedArgs) line(before func(k int), use func(v, k int, y VecVirtual)) {
	width := 32 / a.perWord()
	for half := 0; half < a.perWord(); half += 4 {
		Comment(fmt.Sprintf("k + %d to k + %d", half, half+3))
		for i, r := range a.rows {
			MOVLQSX(Mem{Base: a.rowOf, Disp: 4 * (half + i)}, r)
		}
		before(half)
		for v := range 4 * a.perStrip {
			word := a.vec()
			if a.perStrip == 1 {
				VMOVDQU32(Mem{Base: a.codes, Disp: a.bytes * v}, word)
			} else {
				VMOVDQU(Mem{Base: a.codes, Disp: a.bytes * v}, word)
			}
			for i, row := range a.rows {
				k, y := half+i, a.vec()
				from := word
				if up := 32 - width*(k+1); up > 0 {
					VPSLLD(Imm(uint64(up)), word, y)
					from = y
				}
				a.number(from, y)
				VMULPS(Mem{Base: a.scales, Index: row, Scale: 4, Disp: a.bytes * v}, y, y)
				if a.offsets != nil {
					VADDPS(Mem{Base: a.offsets, Index: row, Scale: 4, Disp: a.bytes * v}, y, y)
				}
				use(v, k, y)
			}
		}
	}
	ADDQ(U32(256), a.codes)
	ADDQ(Imm(uint64(4*a.perWord())), a.rowOf)
}

// number makes float32 of the codes at the top of words.
func (a codedArgs) number(from, y VecVirtual) {
	switch a.d {
	case "U4":
		VPSRLD(Imm(28), from, y)
	case "I4":
		VPSRAD(Imm(28), from, y)
	case "I8":
		VPSRAD(Imm(24), from, y)
	case "F8":
		VPSRAD(Imm(4), from, y)
		if a.perStrip == 1 {
			VPANDD(a.mask, y, y)
		} else {
			VPAND(a.mask, y, y)
		}
		VMULPS(a.power, y, y)
		return
	}
	VCVTDQ2PS(y, y)
}

func codedName(w isa, verb, d string, offsets bool) string {
	name := verb + d
	if offsets {
		name += "Offset"
	}
	return name + w.suffix
}

// decode writes variant.decode for one type, with offsets or without.
func decode(w isa, d string, offsets bool) {
	name := codedName(w, "decode", d, offsets)
	TEXT(name, NOSPLIT, "func(dst *float32, codes *byte, scales *float32, offsets *float32, rowOf *int32, lines int)")
	Doc(fmt.Sprintf("%s is variant.decode for %s; lines of each strip, at least 1.", name, d),
		"Please refer to decodeGo for the reference implementation.")
	Pragma("noescape")
	dst, lines := ptr("dst"), ptr("lines")
	a := loadCodedArgs(w, d, offsets)
	Label("line")
	a.line(func(int) {}, func(v, k int, y VecVirtual) { VMOVUPS(y, Mem{Base: dst, Disp: 256*k + w.bytes*v}) })
	ADDQ(U32(uint32(256*a.perWord())), dst)
	DECQ(lines)
	JNZ(LabelRef("line"))
	VZEROUPPER()
	RET()
}

// codedRow writes variant.codedRow for one type, with offsets or without.
func codedRow(w isa, d string, offsets bool) {
	name := codedName(w, "codedRow", d, offsets)
	TEXT(name, NOSPLIT, "func(c *float32, x *float32, codes *byte, scales *float32, offsets *float32, rowOf *int32, lines int)")
	Doc(fmt.Sprintf("%s is variant.codedRow for %s; lines of each strip, at least 1.", name, d),
		"Please refer to codedRowGo for the reference implementation.")
	Pragma("noescape")
	c, x, lines := ptr("c"), ptr("x"), ptr("lines")
	a := loadCodedArgs(w, d, offsets)
	acc := make([]VecVirtual, 4*w.perStrip)
	for v := range acc {
		acc[v] = w.vec()
		VMOVUPS(Mem{Base: c, Disp: w.bytes * v}, acc[v])
	}
	var xs [4]VecVirtual
	Label("line")
	a.line(func(k int) {
		if w.perStrip == 1 {
			for i := range xs {
				xs[i] = w.vec()
				VBROADCASTSS(Mem{Base: x, Disp: 4 * (k + i)}, xs[i])
			}
		}
	}, func(v, k int, y VecVirtual) {
		if w.perStrip == 1 {
			VFMADD231PS(xs[k%4], y, acc[v])
			return
		}
		b := w.vec()
		VBROADCASTSS(Mem{Base: x, Disp: 4 * k}, b)
		VFMADD231PS(b, y, acc[v])
	})
	ADDQ(Imm(uint64(4*a.perWord())), x)
	DECQ(lines)
	JNZ(LabelRef("line"))
	for v := range acc {
		VMOVUPS(acc[v], Mem{Base: c, Disp: w.bytes * v})
	}
	VZEROUPPER()
	RET()
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
