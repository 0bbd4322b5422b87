package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// quantizeRow writes quantizeAVX2 or quantizeWideAVX2.
func quantizeRow(wide bool) {
	name := "quantizeAVX2"
	if wide {
		name = "quantizeWideAVX2"
	}
	TEXT(name, NOSPLIT, "func(q *byte, scale *float32, toBias int, stride int, x *float32, groups int, offset int32)")
	Doc(name+" is variant.quantize: of each group the quants go to q, the scale to scale and the bias toBias bytes",
		"behind it, and all three then move on by stride bytes.",
		"Please refer to quantizeGo for the reference implementation.")
	Pragma("noescape")
	q, scale, toBias, stride, x, groups := ptr("q"), ptr("scale"), ptr("toBias"), ptr("stride"), ptr("x"), ptr("groups")
	offset := Load(Param("offset"), GP32())
	bits, sum := GP32(), GP32()
	Label("group")
	v := make([]VecVirtual, 4)
	top := YMM()
	for i := range v {
		v[i] = YMM()
		VMOVUPS(Mem{Base: x, Disp: 32 * i}, v[i])
		if i == 0 {
			VPAND(constant("magnitude", 0x7fffffff), v[0], top)
			continue
		}
		y := YMM()
		VPAND(constant("magnitude", 0x7fffffff), v[i], y)
		VPMAXUD(y, top, top)
	}
	Comment("the largest magnitude, as bits: they order as the values do, NaN above all")
	half := XMM()
	VEXTRACTI128(Imm(1), top, half)
	VPMAXUD(half, top.AsX(), half)
	y := XMM()
	VPSHUFD(Imm(0x4e), half, y)
	VPMAXUD(y, half, half)
	VPSHUFD(Imm(0xb1), half, y)
	VPMAXUD(y, half, half)
	VMOVD(half, bits)
	CMPL(bits, U32(0x7f800000))
	JGE(LabelRef("bad"))
	CMPL(bits, U32(0x0d800000)) // 2^-100
	JL(LabelRef("zero"))
	inv := XMM()
	VMOVSS(float("full", 127), inv)
	VDIVSS(half, inv, inv)
	VMULSS(float("perStep", 1.0/127), half, half)
	VMOVSS(half, mem(scale))
	all := YMM()
	VBROADCASTSS(inv, all)
	order := YMM()
	VMOVDQU(packOrder(), order)
	roundBytes(v, all, order)
	if wide {
		Comment("values 0 and 2 of each four, then 1 and 3")
		VPSLLW(Imm(8), v[0], v[1])
		VPSRAW(Imm(8), v[1], v[1])
		VMOVDQU(v[1], mem(q))
		VPSRAW(Imm(8), v[0], v[1])
		VMOVDQU(v[1], Mem{Base: q, Disp: 32})
	} else {
		VMOVDQU(v[0], mem(q))
	}
	Comment("the sum, by way of unsigned bytes")
	zero := YMM()
	VPXOR(constant("signBytes", 0x80808080), v[0], v[0])
	VPXOR(zero, zero, zero)
	VPSADBW(zero, v[0], v[0])
	VEXTRACTI128(Imm(1), v[0], half)
	VPADDD(half, v[0].AsX(), half)
	VPSHUFD(Imm(0x4e), half, y)
	VPADDD(y, half, half)
	VMOVD(half, sum)
	SUBL(U32(128*32), sum)
	IMULL(offset, sum)
	NEGL(sum)
	MOVL(sum, Mem{Base: scale, Index: toBias, Scale: 1})
	Label("next")
	ADDQ(Imm(128), x)
	ADDQ(stride, q)
	ADDQ(stride, scale)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
	for _, c := range []struct {
		label string
		scale uint32
	}{{"bad", 0x7fc00000}, {"zero", 0}} {
		Label(c.label)
		none := YMM()
		VPXOR(none, none, none)
		VMOVDQU(none, mem(q))
		if wide {
			VMOVDQU(none, Mem{Base: q, Disp: 32})
		}
		MOVL(U32(c.scale), mem(scale))
		MOVL(U32(0), Mem{Base: scale, Index: toBias, Scale: 1})
		JMP(LabelRef("next"))
	}
}

// dotProbe writes a probe of the peak of integer products: per madd, so many
// maddubs whose sums are added in 16 bits.
func dotProbe(name, what string, sums int) {
	TEXT(name, NOSPLIT, "func(n int)")
	Doc(fmt.Sprintf("%s does %s, between registers, %d operations in each of n turns.", name, what, 2*32*sums*4))
	n := ptr("n")
	acc := make([]VecVirtual, 4)
	for i := range acc {
		acc[i] = YMM()
		VPXOR(acc[i], acc[i], acc[i])
	}
	x, ones := YMM(), YMM()
	VPXOR(x, x, x)
	VPXOR(ones, ones, ones)
	Label("loop")
	for i := range acc {
		sum := YMM()
		VPMADDUBSW(x, ones, sum)
		for range sums - 1 {
			y := YMM()
			VPMADDUBSW(x, ones, y)
			VPADDW(y, sum, sum)
		}
		VPMADDWD(ones, sum, sum)
		VPADDD(sum, acc[i], acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
