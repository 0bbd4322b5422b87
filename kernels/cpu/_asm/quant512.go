package main

import (
	"fmt"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// stripPair strips share each load of a row's values: with one strip the loads take
// longer than the products. Few rows are faster strip by strip, which reads the
// weights from memory in longer runs.
const stripPair = 2

func quant512() {
	for _, format := range []string{"Q8", "Q4"} {
		for m := range quantTile5 {
			quantGemm512(format, m+1, 1)
		}
		quantGemm512(format, quantTile5, stripPair)
	}
	vnniProbe()
}

// quantGemm512 writes quantGemm<format>VNNI_<m> for AVX-512 with VNNI.
// VPDPBUSD takes unsigned times signed bytes: 8-bit weights get 128 added, and
// the rows' biases, from which the sums begin, take it away again. With several
// strips at a time it is quantTall<format>VNNI, and ahead are the lines wanted soon
// themselves, tallLines for each group.
func quantGemm512(format string, m, strips int) {
	name := fmt.Sprintf("quantGemm%sVNNI_%d", format, m)
	if strips > 1 {
		name = fmt.Sprintf("quantTall%sVNNI", format)
	}
	signature := quantSignature
	if strips > 1 {
		signature = strings.Replace(signature, "ahead int", "ahead uintptr", 1)
	}
	TEXT(name, NOSPLIT, signature)
	quantDoc(name, format, m)
	c, ldc := [3]Register{ptr("c"), GP64(), GP64()}, ptr("ldc") // rows 0, 3 and 6
	SHLQ(Imm(2), ldc)
	for i := 1; 3*i < m; i++ {
		LEAQ(Mem{Base: c[i-1], Index: ldc, Scale: 2}, c[i])
		ADDQ(ldc, c[i])
	}
	at := func(r, s int) Mem {
		to := Mem{Base: c[r/3], Disp: 64 * s}
		if r%3 > 0 {
			to.Index, to.Scale = ldc, uint8(r%3)
		}
		return to
	}
	keep := m*stripCount <= 16
	tile := make([][]VecVirtual, m)
	each := func(f func(r, s int)) {
		for r := range m {
			for s := range stripCount {
				f(r, s)
			}
		}
	}
	if keep {
		Comment("The tile of c stays in registers.")
		each(func(r, s int) {
			tile[r] = append(tile[r], ZMM())
			VMOVUPS(at(r, s), tile[r][s])
		})
	}
	a := loadQuantArgs(quantTile5, 32)
	bits := GP32()
	fix := ZMM() // flips the sign of bytes, or cuts out low nibbles
	if format == "Q8" {
		MOVL(U32(0x80808080), bits)
	} else {
		MOVL(U32(0x0f0f0f0f), bits)
	}
	VPBROADCASTD(bits, fix)
	acc := make([][]VecVirtual, strips)
	for s := range acc {
		for range m {
			acc[s] = append(acc[s], ZMM())
		}
	}
	dots := func(quad int, w []VecVirtual) {
		for r := range m {
			if strips == 1 {
				VPDPBUSD_BCST(a.quad(r, quad), w[0], acc[0][r])
				continue
			}
			x := ZMM()
			VPBROADCASTD(a.quad(r, quad), x)
			for s := range acc {
				VPDPBUSD(x, w[s], acc[s][r])
			}
		}
	}
	Label("group")
	for first := 0; first < stripCount; first += strips {
		Comment(fmt.Sprintf("strips + %d", first))
		for r := range m {
			VPBROADCASTD(a.bias(r), acc[0][r])
			for _, strip := range acc[1:] {
				VMOVDQA32(acc[0][r], strip[r])
			}
		}
		for l := range quantLines[format] {
			w, low := make([]VecVirtual, strips), make([]VecVirtual, strips)
			for s := range acc {
				at := Mem{Base: a.lines, Disp: 64 * (quantLines[format]*(first+s) + l)}
				switch {
				case strips == 1:
					a.fetch(format, first+s, l, m == quantTile5)
				case l == 0:
					a.fetchNext(first + s)
				}
				w[s] = ZMM()
				if format == "Q8" {
					VPXORD(at, fix, w[s])
					continue
				}
				low[s] = ZMM()
				VMOVDQU32(at, w[s])
				VPANDD(w[s], fix, low[s])
				VPSRLD(Imm(4), w[s], w[s])
				VPANDD(w[s], fix, w[s])
			}
			if format == "Q8" {
				dots(l, w)
				continue
			}
			dots(2*l, low)
			dots(2*l+1, w)
		}
		for i, strip := range acc {
			s := first + i
			sw := ZMM()
			VCVTPH2PS(Mem{Base: a.scales, Disp: stripScales * s}, sw)
			for r := range m {
				x := ZMM()
				VMULPS_BCST(a.scale(r), sw, x)
				VCVTDQ2PS(strip[r], strip[r])
				if keep {
					VFMADD231PS(strip[r], x, tile[r][s])
					continue
				}
				VFMADD213PS(at(r, s), x, strip[r])
				VMOVUPS(strip[r], at(r, s))
			}
		}
	}
	if strips > 1 {
		ADDQ(U32(64*tallLines), a.ahead)
	}
	a.next(format)
	if keep {
		each(func(r, s int) { VMOVUPS(tile[r][s], at(r, s)) })
	}
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
