package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func quant512() {
	for _, format := range []string{"Q8", "Q4"} {
		for m, p := range quantStrips5 {
			quantGemm512(format, m+1, p)
		}
	}
	vnniProbe()
}

// quantGemm512 writes quantGemm<format>VNNI_<m>x<p> for AVX-512 with VNNI.
// VPDPBUSD takes unsigned times signed bytes: 8-bit weights get 128 added, and
// the rows' biases, from which the sums begin, take it away again.
func quantGemm512(format string, m, p int) {
	name := fmt.Sprintf("quantGemm%sVNNI_%dx%d", format, m, p)
	TEXT(name, NOSPLIT, quantSignature)
	quantDoc(name, format, m, p)
	c, ldc := ptr("c"), ptr("ldc")
	SHLQ(Imm(2), ldc)
	tile := make([][]VecVirtual, m)
	row := GP64()
	each := func(f func(r, s int, at Mem)) {
		MOVQ(c, row)
		for r := range m {
			for s := range p {
				f(r, s, Mem{Base: row, Disp: 64 * s})
			}
			if r+1 < m {
				ADDQ(ldc, row)
			}
		}
	}
	Comment("The tile of c stays in registers.")
	each(func(r, s int, at Mem) {
		z := ZMM()
		VMOVUPS(at, z)
		tile[r] = append(tile[r], z)
	})
	a := loadQuantArgs(quantTile5)
	bits := GP32()
	fix := ZMM() // flips the sign of bytes, or cuts out low nibbles
	if format == "Q8" {
		MOVL(U32(0x80808080), bits)
	} else {
		MOVL(U32(0x0f0f0f0f), bits)
	}
	VPBROADCASTD(bits, fix)
	acc := make([]VecVirtual, m)
	for r := range acc {
		acc[r] = ZMM()
	}
	Label("group")
	for s := range p {
		Comment(fmt.Sprintf("strip + %d", s))
		for r := range m {
			VPBROADCASTD(a.bias(r), acc[r])
		}
		for l := range quantLines[format] {
			at := Mem{Base: a.lines, Disp: 64 * (quantLines[format]*s + l)}
			if m > 1 {
				a.fetch(format, s, l)
			}
			w := ZMM()
			if format == "Q8" {
				VPXORD(at, fix, w)
				for r := range m {
					VPDPBUSD_BCST(a.quad(r, l), w, acc[r])
				}
				continue
			}
			low := ZMM()
			VMOVDQU32(at, w)
			VPANDD(w, fix, low)
			VPSRLD(Imm(4), w, w)
			VPANDD(w, fix, w)
			for r := range m {
				VPDPBUSD_BCST(a.quad(r, 2*l), low, acc[r])
			}
			for r := range m {
				VPDPBUSD_BCST(a.quad(r, 2*l+1), w, acc[r])
			}
		}
		sw := ZMM()
		VCVTPH2PS(Mem{Base: a.scales, Disp: stripScales * s}, sw)
		for r := range m {
			x := ZMM()
			VMULPS_BCST(a.scale(r), sw, x)
			VCVTDQ2PS(acc[r], acc[r])
			VFMADD231PS(acc[r], x, tile[r][s])
		}
	}
	a.next(format)
	each(func(r, s int, at Mem) { VMOVUPS(tile[r][s], at) })
	VZEROUPPER()
	RET()
}

func vnniProbe() {
	TEXT("vnniProbe", NOSPLIT, "func(n int)")
	Doc("vnniProbe does 12 n VPDPBUSD of 512 bits between registers, 1536 n operations.")
	n := ptr("n")
	acc := make([]VecVirtual, 12)
	for i := range acc {
		acc[i] = ZMM()
		VPXORD(acc[i], acc[i], acc[i])
	}
	x := ZMM()
	VPXORD(x, x, x)
	Label("loop")
	for i := range acc {
		VPDPBUSD(x, x, acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
