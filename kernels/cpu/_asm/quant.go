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
