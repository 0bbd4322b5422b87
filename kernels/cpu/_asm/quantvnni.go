package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func quantVNNI() {
	for _, format := range []string{"Q8", "Q4"} {
		for m := range quantTile2 {
			quantGemmVNNI(format, m+1)
		}
	}
	vnniProbe256()
}

// quantGemmVNNI writes quantGemm<format>AVXVNNI_<m> for AVX-VNNI without AVX-512:
// quantGemm512 in 256 bits, a strip being two registers. As in quantGemm, c stays
// in the first cache.
func quantGemmVNNI(format string, m int) {
	name := fmt.Sprintf("quantGemm%sAVXVNNI_%d", format, m)
	TEXT(name, NOSPLIT, quantSignature)
	quantDoc(name, format, m)
	c := rows{first: ptr("c"), stride: ptr("ldc")}
	SHLQ(Imm(2), c.stride)
	if m > 3 {
		c.third = GP64()
		LEAQ(Mem{Base: c.first, Index: c.stride, Scale: 2}, c.third)
		ADDQ(c.stride, c.third)
	}
	a := loadQuantArgs(quantTile2, 32)
	fix := YMM() // flips the sign of bytes, or cuts out low nibbles
	if format == "Q8" {
		VMOVDQU(constant("signBytes", 0x80808080), fix)
	} else {
		VMOVDQU(constant("lowNibbles", 0x0f0f0f0f), fix)
	}
	acc := make([][2]VecVirtual, m)
	for r := range acc {
		acc[r] = [2]VecVirtual{YMM(), YMM()}
	}
	dot := func(quad int, w [2]VecVirtual) {
		for r := range acc {
			x := YMM()
			VPBROADCASTD(a.quad(r, quad), x)
			for h, sum := range acc[r] {
				VPDPBUSD(x, w[h], sum) // vex makes it AVX-VNNI's
			}
		}
	}
	Label("group")
	for s := range stripCount {
		Comment(fmt.Sprintf("strip + %d", s))
		for r := range acc {
			for _, y := range acc[r] {
				VPBROADCASTD(a.bias(r), y)
			}
		}
		for l := range quantLines[format] {
			a.fetch(format, s, l, m == quantTile2)
			w, high := [2]VecVirtual{YMM(), YMM()}, [2]VecVirtual{}
			for h := range w {
				at := Mem{Base: a.lines, Disp: 64*(quantLines[format]*s+l) + 32*h}
				if format == "Q8" {
					VPXOR(at, fix, w[h])
					continue
				}
				high[h] = YMM()
				VMOVDQU(at, high[h])
				VPAND(high[h], fix, w[h])
				VPSRLW(Imm(4), high[h], high[h])
				VPAND(high[h], fix, high[h])
			}
			if format == "Q8" {
				dot(l, w)
				continue
			}
			dot(2*l, w)
			dot(2*l+1, high)
		}
		scaleSums(a, c, s, acc)
	}
	a.next(format)
	VZEROUPPER()
	RET()
}

// scaleSums adds a strip's sums of one group, times their scales, to c.
func scaleSums(a quantArgs, c rows, s int, acc [][2]VecVirtual) {
	var sw [2]VecVirtual
	for h := range sw {
		sw[h] = YMM()
		VCVTPH2PS(Mem{Base: a.scales, Disp: stripScales*s + 16*h}, sw[h])
	}
	for r := range acc {
		x := YMM()
		VBROADCASTSS(a.scale(r), x)
		for h, y := range acc[r] {
			scale := YMM()
			VMULPS(x, sw[h], scale)
			VCVTDQ2PS(y, y)
			at := c.at(r, 16*s+8*h)
			VFMADD213PS(at, scale, y)
			VMOVUPS(y, at)
		}
	}
}

func vnniProbe256() {
	TEXT("vnniProbe256", NOSPLIT, "func(n int)")
	Doc("vnniProbe256 does 12 n VPDPBUSD of 256 bits between registers, 768 n operations.")
	n := ptr("n")
	acc := make([]VecVirtual, 12)
	for i := range acc {
		acc[i] = YMM()
		VPXOR(acc[i], acc[i], acc[i])
	}
	x := YMM()
	VPXOR(x, x, x)
	Label("loop")
	for i := range acc {
		VPDPBUSD(x, x, acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

var dpbusd = regexp.MustCompile(`(?m)^\tVPDPBUSD +Y(\d+), Y(\d+), Y(\d+)$`)

// vex rewrites a generated file's VPDPBUSD, which Go's assembler knows as
// AVX-512's alone, as the bytes of AVX-VNNI's: VEX.256.66.0F38.W0 50 /r.
func vex(file string) error {
	src, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	src = dpbusd.ReplaceAllFunc(src, func(line []byte) []byte {
		m := dpbusd.FindSubmatch(line)
		var reg [3]int // x, w, sum
		for i := range reg {
			if reg[i], err = strconv.Atoi(string(m[i+1])); err != nil || reg[i] > 15 {
				panic(fmt.Sprintf("%s: %s: registers 0 to 15 are encoded", file, line))
			}
		}
		x, w, sum := reg[0], reg[1], reg[2]
		code := []int{0xc4, 0x42 | (^sum&8)<<4 | (^x&8)<<2, 0x05 | (^w&15)<<3, 0x50, 0xc0 | (sum&7)<<3 | x&7}
		var out bytes.Buffer
		for i, b := range code {
			sep := "; "
			if i == 0 {
				sep = "\t"
			}
			fmt.Fprintf(&out, "%sBYTE $0x%02x", sep, b)
		}
		fmt.Fprintf(&out, " // VPDPBUSD Y%d, Y%d, Y%d", x, w, sum)
		return out.Bytes()
	})
	if bytes.Contains(src, []byte("\tVPDPBUSD")) {
		return fmt.Errorf("%s: a VPDPBUSD is not between registers of 256 bits", file)
	}
	return os.WriteFile(file, src, 0o644)
}
