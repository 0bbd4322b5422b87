package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The layout of quantized weights and activations, as in package cpu
// (quantweight.go, quantrow.go).
const (
	stripScales = 32 // bytes of a strip's scales in one group
	stripCount  = 4
	quantTile2  = 4 // rows side by side for AVX2
	quantTile5  = 8 // and for AVX-512
)

var quantLines = map[string]int{"Q8": 8, "Q4": 4}

func groupBytes(format string) int { return stripCount * (stripScales + 64*quantLines[format]) }

// quantStrips2 and quantStrips5 are how many strips a tile of 1, 2 ... rows has.
var (
	quantStrips2 = [quantTile2]int{4, 2, 1, 1}
	quantStrips5 = [quantTile5]int{4, 4, 4, 4, 2, 2, 2, 2}
)

func quant() {
	for _, format := range []string{"Q8", "Q4"} {
		for m, p := range quantStrips2 {
			quantGemm(format, m+1, p)
		}
	}
	quantizeRow()
	dotProbe("dot3Probe", "maddubs, madd and add for each 32 products", 1)
	dotProbe("dot8Probe", "eight times maddubs and add, then madd and add, for each 256 products", 8)
}

// quantArgs are the pointers of a product of quantized operands.
type quantArgs struct {
	x, scales, lines, groups, ahead Register
	tileRows                        int
}

func loadQuantArgs(tileRows int) quantArgs {
	return quantArgs{ptr("x"), ptr("scales"), ptr("lines"), ptr("groups"), ptr("ahead"), tileRows}
}

const quantSignature = "func(c *float32, ldc int, x *byte, scales *byte, lines *byte, groups int, ahead int)"

// quad is four values of row r, from 4·i on.
func (a quantArgs) quad(r, i int) Mem { return Mem{Base: a.x, Disp: 32*r + 4*i} }

// scale and bias are those of row r.
func (a quantArgs) scale(r int) Mem { return Mem{Base: a.x, Disp: 32*a.tileRows + 4*r} }
func (a quantArgs) bias(r int) Mem  { return Mem{Base: a.x, Disp: 36*a.tileRows + 4*r} }

func (a quantArgs) next(format string) {
	ADDQ(U32(40*a.tileRows), a.x)
	ADDQ(U32(groupBytes(format)), a.scales)
	ADDQ(U32(groupBytes(format)), a.lines)
	DECQ(a.groups)
	JNZ(LabelRef("group"))
}

// fetch hints at the lines of strip s in a later group.
func (a quantArgs) fetch(format string, s, line int) {
	PREFETCHT1(Mem{Base: a.lines, Index: a.ahead, Scale: 1, Disp: 64 * (quantLines[format]*s + line)})
}

func quantDoc(name, format string, m, p int) {
	Doc(fmt.Sprintf("%s is variant.quantGemm for m = %d, p = %d and %s weights, groups >= 1.", name, m, p, format),
		"Please refer to quantGemmGo for the reference implementation.")
	Pragma("noescape")
}

// quantGemm writes quantGemm<format>_<m>x<p> for AVX2.
func quantGemm(format string, m, p int) {
	name := fmt.Sprintf("quantGemm%s_%dx%d", format, m, p)
	TEXT(name, NOSPLIT, quantSignature)
	quantDoc(name, format, m, p)
	Comment("The tile of c stays in registers.")
	t := newTile(m, p)
	t.load()
	a := loadQuantArgs(quantTile2)
	ones := YMM()
	Comment("1 in every 16-bit lane")
	VPCMPEQW(ones, ones, ones)
	VPSRLW(Imm(15), ones, ones)
	low := constant("lowNibbles", 0x0f0f0f0f)
	acc := make([]VecVirtual, m)
	for r := range acc {
		acc[r] = YMM()
	}
	Label("group")
	for s := range p {
		for h := range 2 {
			Comment(fmt.Sprintf("strip + %d, half %d", s, h))
			for l := range quantLines[format] {
				at := Mem{Base: a.lines, Disp: 64*(quantLines[format]*s+l) + 32*h}
				if m > 1 && h == 0 {
					a.fetch(format, s, l)
				}
				w, u := YMM(), YMM()
				VMOVDQU(at, w)
				if format == "Q8" {
					VPABSB(w, u)
					for r := range m {
						x := YMM()
						VPBROADCASTD(a.quad(r, l), x)
						VPSIGNB(w, x, x)
						VPMADDUBSW(x, u, x)
						if l == 0 {
							VPMADDWD(ones, x, acc[r])
							continue
						}
						VPMADDWD(ones, x, x)
						VPADDD(x, acc[r], acc[r])
					}
					continue
				}
				VPAND(low, w, u)
				VPSRLW(Imm(4), w, w)
				VPAND(low, w, w)
				for r := range m {
					for i, nibbles := range []VecVirtual{u, w} {
						x := YMM()
						VPBROADCASTD(a.quad(r, 2*l+i), x)
						if l == 0 && i == 0 {
							VPMADDUBSW(x, nibbles, acc[r])
							continue
						}
						VPMADDUBSW(x, nibbles, x)
						VPADDW(x, acc[r], acc[r])
					}
				}
			}
			sw := YMM()
			VCVTPH2PS(Mem{Base: a.scales, Disp: stripScales*s + 16*h}, sw)
			for r := range m {
				x := YMM()
				if format == "Q4" {
					VPMADDWD(ones, acc[r], acc[r])
					VPBROADCASTD(a.bias(r), x)
					VPADDD(x, acc[r], acc[r])
				}
				VBROADCASTSS(a.scale(r), x)
				VMULPS(x, sw, x)
				VCVTDQ2PS(acc[r], acc[r])
				VFMADD231PS(acc[r], x, t.acc[r][2*s+h])
			}
		}
	}
	a.next(format)
	t.store()
	VZEROUPPER()
	RET()
}

// quantizeRow writes quantizeAVX2.
func quantizeRow() {
	TEXT("quantizeAVX2", NOSPLIT, "func(q *byte, scale *float32, toBias int, stride int, x *float32, groups int, offset int32)")
	Doc("quantizeAVX2 is variant.quantize: of each group the quants go to q, the scale to scale and the bias toBias bytes",
		"behind it, and all three then move on by stride bytes.",
		"Please refer to quantizeGo for the reference implementation.")
	Pragma("noescape")
	q, scale, toBias, stride, x, groups := ptr("q"), ptr("scale"), ptr("toBias"), ptr("stride"), ptr("x"), ptr("groups")
	offset := Load(Param("offset"), GP32())
	order := GLOBL("groupOrder", RODATA|NOPTR)
	for i, v := range []uint32{0, 4, 1, 5, 2, 6, 3, 7} {
		DATA(4*i, U32(v))
	}
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
	for i := range v {
		VMULPS(all, v[i], v[i])
		VCVTPS2DQ(v[i], v[i])
	}
	VPACKSSDW(v[1], v[0], v[0])
	VPACKSSDW(v[3], v[2], v[2])
	VPACKSSWB(v[2], v[0], v[0])
	VMOVDQU(order, v[1])
	VPERMD(v[0], v[1], v[0])
	VMOVDQU(v[0], mem(q))
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
