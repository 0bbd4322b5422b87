package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func pack() {
	for _, format := range []string{"Q8", "Q4"} {
		for _, d := range []string{"F32", "BF16", "F16"} {
			packRow(format, d)
		}
	}
}

// packRow writes pack<format><type>: whole groups of one row of stored values go to
// their places in a panel's groups.
func packRow(format, d string) {
	TEXT("pack"+format+d, NOSPLIT, "func(scales *byte, lines *byte, row *byte, groups int) int")
	Doc(fmt.Sprintf("pack%s%s is variant.packQuant for %s weights of type %s, groups >= 1.", format, d, format, d),
		"Please refer to packQuantGo for the reference implementation.")
	Pragma("noescape")
	scales, lines, row, groups := ptr("scales"), ptr("lines"), ptr("row"), ptr("groups")
	done := GP64()
	XORQ(done, done)
	order, magnitude := YMM(), YMM()
	VMOVDQU(packOrder(), order)
	VMOVDQU(constant("magnitude", 0x7fffffff), magnitude)
	half := GP32()
	Label("group")
	size := map[string]int{"F32": 4}[d]
	if size == 0 {
		size = 2
	}
	v := make([]VecVirtual, 4)
	top := YMM()
	for i := range v {
		v[i] = YMM()
		at := Mem{Base: row, Disp: 8 * size * i}
		switch d {
		case "F32":
			VMOVUPS(at, v[i])
		case "F16":
			VCVTPH2PS(at, v[i])
		case "BF16":
			VPMOVZXWD(at, v[i])
			VPSLLD(Imm(16), v[i], v[i])
		}
		if i == 0 {
			VPAND(magnitude, v[0], top)
			continue
		}
		y := YMM()
		VPAND(magnitude, v[i], y)
		VPMAXUD(y, top, top)
	}
	Comment("the largest magnitude, in all lanes; as bits they order as the values do")
	y := YMM()
	VPERM2I128(Imm(1), top, top, y)
	VPMAXUD(y, top, top)
	VPSHUFD(Imm(0x4e), top, y)
	VPMAXUD(y, top, top)
	VPSHUFD(Imm(0xb1), top, y)
	VPMAXUD(y, top, top)
	scale := XMM()
	if format == "Q8" {
		VDIVSS(float("full", 127), top.AsX(), scale)
	} else {
		Comment("the first value of that size, over -8: its sign is the other one")
		equal := make([]VecVirtual, 4)
		for i := range equal {
			equal[i] = YMM()
			VPAND(magnitude, v[i], equal[i])
			VPCMPEQD(top, equal[i], equal[i])
		}
		first, sign := GP64(), GP32()
		mask := func(from []VecVirtual, to Register) {
			low, high := YMM(), YMM()
			VPACKSSDW(from[1], from[0], low)
			VPACKSSDW(from[3], from[2], high)
			VPACKSSWB(high, low, low)
			VPERMD(low, order, low)
			VPMOVMSKB(low, to)
		}
		mask(equal, first.As32())
		mask(v, sign)
		BSFL(first.As32(), first.As32())
		BTL(first.As32(), sign)
		SBBL(sign, sign) // all ones if it is negative
		NOTL(sign)
		ANDL(U32(0x80000000), sign)
		VMULSS(float("eighth", 0.125), top.AsX(), scale)
		bits := XMM()
		VMOVD(sign, bits)
		VPOR(bits, scale, scale)
	}
	VCVTPS2PH(Imm(0), scale, scale)
	VMOVD(scale, half)
	MOVW(half.As16(), mem(scales))
	ANDL(U32(0x7c00), half)
	CMPL(half, U32(0x7c00))
	JEQ(LabelRef("end"))
	inv, some := XMM(), XMM()
	VCVTPH2PS(scale, scale)
	VXORPS(some, some, some)
	VCMPSS(Imm(4), some, scale, some) // not equal
	VMOVSS(float("one", 1), inv)
	VDIVSS(scale, inv, inv)
	VANDPS(some, inv, inv)
	all := YMM()
	VBROADCASTSS(inv, all)
	roundBytes(v, all, order)
	if format == "Q8" {
		VPMAXSB(constant("leastByte", 0x81818181), v[0], v[0])
	} else {
		VPMAXSB(constant("leastNibble", 0xf8f8f8f8), v[0], v[0])
		VPMINSB(constant("mostNibble", 0x07070707), v[0], v[0])
		Comment("two values to a byte; flipping bit 3 of a nibble adds 8 to it")
		VPAND(constant("lowNibbles", 0x0f0f0f0f), v[0], v[0])
		VPSRLQ(Imm(28), v[0], v[1])
		VPOR(v[1], v[0], v[0])
		VPXOR(constant("flipNibbles", 0x88888888), v[0], v[0])
	}
	high := XMM()
	VEXTRACTI128(Imm(1), v[0], high)
	step := 8 / quantLines[format]
	for l := range quantLines[format] {
		from := v[0].AsX()
		word := l * step
		if word >= 4 {
			from, word = high, word-4
		}
		to := Mem{Base: lines, Disp: 64 * l}
		if word == 0 {
			VMOVD(from, to)
		} else {
			VPEXTRD(Imm(uint64(word)), from, to)
		}
	}
	ADDQ(U32(32*size), row)
	ADDQ(U32(groupBytes(format)), scales)
	ADDQ(U32(groupBytes(format)), lines)
	INCQ(done)
	CMPQ(done, groups)
	JNE(LabelRef("group"))
	Label("end")
	VZEROUPPER()
	Store(done, ReturnIndex(0))
	RET()
}

// roundBytes rounds 32 values times a factor to bytes in v[0], in their order.
func roundBytes(v []VecVirtual, factor, order Op) {
	for i := range v {
		VMULPS(factor, v[i], v[i])
		VCVTPS2DQ(v[i], v[i])
	}
	VPACKSSDW(v[1], v[0], v[0])
	VPACKSSDW(v[3], v[2], v[2])
	VPACKSSWB(v[2], v[0], v[0])
	VPERMD(v[0], order, v[0])
}

// packOrder puts bytes in order that packing in lanes of 128 bits has mixed.
func packOrder() Mem {
	order, ok := constants["groupOrder"]
	if !ok {
		order = GLOBL("groupOrder", RODATA|NOPTR)
		for i, v := range []uint32{0, 4, 1, 5, 2, 6, 3, 7} {
			DATA(4*i, U32(v))
		}
		constants["groupOrder"] = order
	}
	return order
}
