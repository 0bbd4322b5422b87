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

func quant() {
	for _, format := range []string{"Q8", "Q4"} {
		for m := range quantTile2 {
			quantGemm(format, m+1, format == "Q8")
		}
	}
	quantGemm("Q8", 1, false)
	for _, format := range []string{"Q8", "Q4"} {
		unpack(format)
		quantTall(format)
	}
	quantizeRow(false)
	quantizeRow(true)
	dotProbe("dot3Probe", "maddubs, madd and add for each 32 products", 1)
	dotProbe("dot8Probe", "eight times maddubs and add, then madd and add, for each 256 products", 8)
}

// quantArgs are the pointers of a product of quantized operands.
type quantArgs struct {
	x, scales, lines, groups, ahead Register
	tileRows, rowBytes              int
	stream                          int // how far ahead of a stream its bytes are asked for
}

func loadQuantArgs(tileRows, rowBytes int) quantArgs {
	return quantArgs{ptr("x"), ptr("scales"), ptr("lines"), ptr("groups"), ptr("ahead"), tileRows, rowBytes, streamAhead}
}

const quantSignature = "func(c *float32, ldc int, x *byte, scales *byte, lines *byte, groups int, ahead int)"

// quad is four values of row r, from 4·i on; of wide rows the even two, the odd
// ones being 32 bytes behind.
func (a quantArgs) quad(r, i int) Mem { return Mem{Base: a.x, Disp: a.rowBytes*r + 4*i} }

// scale and bias are those of row r.
func (a quantArgs) scale(r int) Mem { return Mem{Base: a.x, Disp: a.rowBytes*a.tileRows + 4*r} }
func (a quantArgs) bias(r int) Mem  { return Mem{Base: a.x, Disp: (a.rowBytes+4)*a.tileRows + 4*r} }

func (a quantArgs) next(format string) {
	ADDQ(U32((a.rowBytes+8)*a.tileRows), a.x)
	ADDQ(U32(groupBytes(format)), a.scales)
	ADDQ(U32(groupBytes(format)), a.lines)
	DECQ(a.groups)
	JNZ(LabelRef("group"))
}

// fetch hints at the lines of strip s in a later group: a whole tile's as far
// ahead as the caller says. Few rows read a panel as one stream.
func (a quantArgs) fetch(format string, s, line int, whole bool) {
	at := Mem{Base: a.lines, Disp: 64 * (quantLines[format]*s + line)}
	if !whole {
		at.Disp += a.stream
		PREFETCHT0(at)
		return
	}
	at.Index, at.Scale = a.ahead, 1
	PREFETCHT1(at)
}

// streamAhead is how far ahead of a stream its bytes are asked for: the CPU's own
// fetching alone reads half as fast where many instructions lie between two lines.
const streamAhead = 3072

// streamFar is streamAhead where more instructions still lie between them: in AVX2 one
// row of 4 and 8 bits is read 10 to 15 % faster from memory, where that is fast, than with
// 3072, and as fast as before where it is slow.
const streamFar = 8192

func quantDoc(name, format string, m int) {
	Doc(fmt.Sprintf("%s is variant.quantGemm for m = %d and %s weights, groups >= 1.", name, m, format),
		"Please refer to quantGemmGo for the reference implementation.")
	Pragma("noescape")
}

// quantGemm writes quantGemm<format>_<m> for AVX2. The sums of a strip's
// integers stay in registers for a group; c, which is wanted once a group, in
// the first cache.
func quantGemm(format string, m int, wide bool) {
	name := fmt.Sprintf("quantGemm%s_%d", format, m)
	if wide {
		name = fmt.Sprintf("quantGemm%sWide_%d", format, m)
	}
	TEXT(name, NOSPLIT, quantSignature)
	quantDoc(name, format, m)
	c := rows{first: ptr("c"), stride: ptr("ldc")}
	SHLQ(Imm(2), c.stride)
	if m > 3 {
		c.third = GP64()
		LEAQ(Mem{Base: c.first, Index: c.stride, Scale: 2}, c.third)
		ADDQ(c.stride, c.third)
	}
	rowBytes := 32
	if wide {
		rowBytes = 64
	}
	a := loadQuantArgs(quantTile2, rowBytes)
	a.stream = streamFar
	ones, low := YMM(), YMM()
	if !wide {
		Comment("1 in every 16-bit lane")
		VPCMPEQW(ones, ones, ones)
		VPSRLW(Imm(15), ones, ones)
	}
	if format == "Q4" {
		Comment("0x0f in every byte")
		VPCMPEQW(low, low, low)
		VPSRLW(Imm(12), low, low)
		y := YMM()
		VPSLLW(Imm(8), low, y)
		VPOR(y, low, low)
	}
	acc := make([][2]VecVirtual, m)
	for r := range acc {
		acc[r] = [2]VecVirtual{YMM(), YMM()}
	}
	Label("group")
	for s := range stripCount {
		Comment(fmt.Sprintf("strip + %d", s))
		for l := range quantLines[format] {
			a.fetch(format, s, l, m == quantTile2)
			at := Mem{Base: a.lines, Disp: 64 * (quantLines[format]*s + l)}
			next := at
			next.Disp += 32
			w := [2]VecVirtual{YMM(), YMM()}
			VMOVDQU(at, w[0])
			VMOVDQU(next, w[1])
			if wide {
				quantLine8Wide(a, l, w, acc)
			} else if format == "Q8" {
				quantLine8(a, l, w, ones, acc)
			} else {
				quantLine4(a, l, w, low, acc)
			}
		}
		for r := range acc {
			if format == "Q4" {
				a.widenSums(r, acc[r], ones)
			}
		}
		scaleSums(a, c, s, acc)
	}
	a.next(format)
	VZEROUPPER()
	RET()
}

// widenSums makes row r's sums of a group from 16-bit ones of pairs.
func (a quantArgs) widenSums(r int, acc [2]VecVirtual, ones VecVirtual) {
	bias := YMM()
	VPBROADCASTD(a.bias(r), bias)
	for _, y := range acc {
		VPMADDWD(ones, y, y)
		VPADDD(bias, y, y)
	}
}

// quantLine8 adds a line of 8-bit weights. The products want one operand
// unsigned: the weights' magnitudes, their signs going to the rows.
func quantLine8(a quantArgs, l int, w [2]VecVirtual, ones VecVirtual, acc [][2]VecVirtual) {
	u := [2]VecVirtual{YMM(), YMM()}
	for h := range u {
		VPABSB(w[h], u[h])
	}
	for r := range acc {
		x := YMM()
		VPBROADCASTD(a.quad(r, l), x)
		for h, sum := range acc[r] {
			y := x
			if h == 0 {
				y = YMM()
			}
			VPSIGNB(w[h], x, y)
			VPMADDUBSW(y, u[h], y)
			if l == 0 {
				VPMADDWD(ones, y, sum)
				continue
			}
			VPMADDWD(ones, y, y)
			VPADDD(y, sum, sum)
		}
	}
}

// quantLine8Wide is quantLine8 in 16 bits: for several rows, where the signs
// would take the multipliers' ports once for each.
func quantLine8Wide(a quantArgs, l int, w [2]VecVirtual, acc [][2]VecVirtual) {
	for odd := range 2 {
		var u [2]VecVirtual
		for h := range w {
			u[h] = w[h]
			if odd == 0 {
				u[h] = YMM()
				VPSLLW(Imm(8), w[h], u[h])
			}
			VPSRAW(Imm(8), u[h], u[h])
		}
		for r := range acc {
			x := YMM()
			at := a.quad(r, l)
			at.Disp += 32 * odd
			VPBROADCASTD(at, x)
			for h, sum := range acc[r] {
				if l == 0 && odd == 0 {
					VPMADDWD(x, u[h], sum)
					continue
				}
				y := x
				if h == 0 {
					y = YMM()
				}
				VPMADDWD(x, u[h], y)
				VPADDD(y, sum, sum)
			}
		}
	}
}

// quantLine4 adds a line of 4-bit weights. Eight sums of two products, each at
// most 2·15·127, fit 16 bits.
func quantLine4(a quantArgs, l int, w [2]VecVirtual, low VecVirtual, acc [][2]VecVirtual) {
	var u [2]VecVirtual
	for i := range 2 {
		for h := range w {
			if i == 0 {
				u[h] = YMM()
				VPAND(low, w[h], u[h])
				VPSRLW(Imm(4), w[h], w[h])
				VPAND(low, w[h], w[h])
			} else {
				u[h] = w[h]
			}
		}
		for r := range acc {
			x := YMM()
			VPBROADCASTD(a.quad(r, 2*l+i), x)
			for h, sum := range acc[r] {
				if l == 0 && i == 0 {
					VPMADDUBSW(x, u[h], sum)
					continue
				}
				y := x
				if h == 0 {
					y = YMM()
				}
				VPMADDUBSW(x, u[h], y)
				VPADDW(y, sum, sum)
			}
		}
	}
}

// tallLines of what comes next are asked for in each group of a whole tile: faster
// than they come, they would hold up the products; slower, they would come too late.
const tallLines = 8

// fetchNext asks for strip s's part of them.
func (a quantArgs) fetchNext(s int) {
	for i := range tallLines / stripCount {
		PREFETCHT1(Mem{Base: a.ahead, Disp: 64 * (s*tallLines/stripCount + i)})
	}
}

// unpackedStrip is the size of an unpacked strip in a group: its scales as float32,
// then of each line two, which hold what quantLine8Wide and quantLine4 make of it.
func unpackedStrip(format string) int { return 64 + 128*quantLines[format] }

// unpack writes unpack<format>: what every tile of many rows would do again.
func unpack(format string) {
	TEXT("unpack"+format, NOSPLIT, "func(dst *byte, w *byte, groups int)")
	Doc(fmt.Sprintf("unpack%s unpacks groups of a panel of %s weights for quantTall%[1]s.", format, format))
	Pragma("noescape")
	dst, w, groups := ptr("dst"), ptr("w"), ptr("groups")
	low := YMM()
	if format == "Q4" {
		VMOVDQU(constant("lowNibbles", 0x0f0f0f0f), low)
	}
	Label("group")
	for s := range stripCount {
		out := Mem{Base: dst, Disp: s * unpackedStrip(format)}
		put := func(y VecVirtual) {
			VMOVDQU(y, out)
			out.Disp += 32
		}
		for h := range 2 {
			scales := YMM()
			VCVTPH2PS(Mem{Base: w, Disp: stripScales*s + 16*h}, scales)
			put(scales)
		}
		for l := range quantLines[format] {
			at := Mem{Base: w, Disp: stripCount*stripScales + 64*(quantLines[format]*s+l)}
			for part := range 2 {
				for h := range 2 {
					from, y := at, YMM()
					from.Disp += 32 * h
					VMOVDQU(from, y)
					switch {
					case format == "Q8" && part == 0:
						VPSLLW(Imm(8), y, y)
						fallthrough
					case format == "Q8":
						VPSRAW(Imm(8), y, y)
					case part == 1:
						VPSRLW(Imm(4), y, y)
						fallthrough
					default:
						VPAND(low, y, y)
					}
					put(y)
				}
			}
		}
	}
	ADDQ(U32(stripCount*unpackedStrip(format)), dst)
	ADDQ(U32(groupBytes(format)), w)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// quantTall writes quantTall<format>: a whole tile of quantGemm whose weights are
// unpacked.
func quantTall(format string) {
	TEXT("quantTall"+format, NOSPLIT, "func(c *float32, ldc int, x *byte, w *byte, groups int, next uintptr)")
	Doc(fmt.Sprintf("quantTall%s is variant.quantGemm for a whole tile of rows and %s weights that unpack%[1]s made, groups >= 1.", format, format),
		"The lines from next on, tallLines for each group, are wanted soon.",
		"Please refer to quantGemmGo for the reference implementation.")
	Pragma("noescape")
	const m = quantTile2
	c := rows{first: ptr("c"), stride: ptr("ldc"), third: GP64()}
	SHLQ(Imm(2), c.stride)
	LEAQ(Mem{Base: c.first, Index: c.stride, Scale: 2}, c.third)
	ADDQ(c.stride, c.third)
	a := quantArgs{x: ptr("x"), groups: ptr("groups"), ahead: ptr("next"), tileRows: m, rowBytes: 32}
	if format == "Q8" {
		a.rowBytes = 64
	}
	w := ptr("w")
	var ones VecVirtual
	if format == "Q4" {
		ones = YMM()
		Comment("1 in every 16-bit lane")
		VPCMPEQW(ones, ones, ones)
		VPSRLW(Imm(15), ones, ones)
	}
	var acc [m][2]VecVirtual
	for r := range acc {
		acc[r] = [2]VecVirtual{YMM(), YMM()}
	}
	Label("group")
	for s := range stripCount {
		Comment(fmt.Sprintf("strip + %d", s))
		a.fetchNext(s)
		at := Mem{Base: w, Disp: s * unpackedStrip(format)}
		scales := [2]Mem{at, at}
		scales[1].Disp += 32
		at.Disp += 64
		for i := range 2 * quantLines[format] {
			u := [2]VecVirtual{YMM(), YMM()}
			for h := range u {
				VMOVDQU(at, u[h])
				at.Disp += 32
			}
			for r := range acc {
				x := YMM()
				quad := a.quad(r, i)
				if format == "Q8" { // even values, then odd ones
					quad = a.quad(r, i/2)
					quad.Disp += 32 * (i % 2)
				}
				VPBROADCASTD(quad, x)
				for h, sum := range acc[r] {
					y := x
					switch {
					case i == 0:
						y = sum
					case h == 0:
						y = YMM()
					}
					if format == "Q8" {
						VPMADDWD(x, u[h], y)
					} else {
						VPMADDUBSW(x, u[h], y)
					}
					switch {
					case i == 0:
					case format == "Q8":
						VPADDD(y, sum, sum)
					default:
						VPADDW(y, sum, sum)
					}
				}
			}
		}
		for r := range acc {
			if format == "Q4" {
				a.widenSums(r, acc[r], ones)
			}
			x := YMM()
			VBROADCASTSS(a.scale(r), x)
			for h, y := range acc[r] {
				scale := YMM()
				VMULPS(scales[h], x, scale)
				VCVTDQ2PS(y, y)
				to := c.at(r, 16*s+8*h)
				VFMADD213PS(to, scale, y)
				VMOVUPS(y, to)
			}
		}
	}
	ADDQ(U32(stripCount*unpackedStrip(format)), w)
	ADDQ(U32(64*tallLines), a.ahead)
	ADDQ(U32((a.rowBytes+8)*m), a.x)
	DECQ(a.groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

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
