package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

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
