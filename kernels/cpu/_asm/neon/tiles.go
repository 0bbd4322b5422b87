package main

import "fmt"

// Registers beside the accumulators V0 ... V23: of 16 weights widened, of what
// they are widened from, of a broadcast, and of a mask.
const (
	vWide = 24 // to 27
	vRaw  = 28 // and 29
	vX    = 30
	vMask = 31
)

// widenStrip widens the 16 weights of one k of a strip (pack.go) at R6.
func (f *file) widenStrip(dtype string) {
	switch dtype {
	case "F32":
		f.op("VLD1 (R6), %s", list(vWide, 4, "S4"))
	case "BF16":
		f.op("VLD1 (R6), %s", list(vRaw, 2, "S4"))
		for i := range 2 {
			f.op("VSHL $16, V%d.S4, V%d.S4", vRaw+i, vWide+i)
			f.op("VAND V%d.B16, V%d.B16, V%d.B16", vMask, vRaw+i, vWide+2+i)
		}
	case "F16":
		f.op("VLD1 (R6), %s", list(vRaw, 2, "H8"))
		f.widenHalves()
	}
}

// widenHalves widens the 16 binary16 of vRaw.
func (f *file) widenHalves() {
	for i := range 2 {
		f.two(0x0e217800, "fcvtl .4s .4h", vRaw+i, vWide+2*i)
		f.two(0x4e217800, "fcvtl2 .4s .8h", vRaw+i, vWide+2*i+1)
	}
}

// widenKV widens 16 elements of keys or values at R6.
func (f *file) widenKV(kv string) {
	switch kv {
	case "F32":
		f.op("VLD1 (R6), %s", list(vWide, 4, "S4"))
	case "F16":
		f.op("VLD1 (R6), %s", list(vRaw, 2, "H8"))
		f.widenHalves()
	case "BF16":
		f.op("VLD1 (R6), %s", list(vRaw, 2, "H8"))
		for i := range 2 {
			f.two(0x2e613800, "shll .4s .4h #16", vRaw+i, vWide+2*i)
			f.two(0x6e613800, "shll2 .4s .8h #16", vRaw+i, vWide+2*i+1)
		}
	case "Q8":
		f.op("VLD1 (R6), %s", list(vX, 1, "B16"))
		f.two(0x0f08a400, "sshll .8h .8b #0", vX, vRaw)
		f.two(0x4f08a400, "sshll2 .8h .16b #0", vX, vRaw+1)
		for i := range 2 {
			f.two(0x0f10a400, "sshll .4s .4h #0", vRaw+i, vWide+2*i)
			f.two(0x4f10a400, "sshll2 .4s .8h #0", vRaw+i, vWide+2*i+1)
		}
		for i := range 4 {
			f.two(0x4e21d800, "scvtf .4s", vWide+i, vWide+i)
		}
	}
}

// multiply adds the widened strip, times the next element of each row, to
// column q of a tile of m rows and p strips. The first column keeps the rows'
// pointers, the last moves them on.
func (f *file) multiply(m, p, q int) {
	for r := range m {
		if q+1 == p {
			f.op("VLD1R.P 4(R%d), %s", 8+r, list(vX, 1, "S4"))
		} else {
			f.op("VLD1R (R%d), %s", 8+r, list(vX, 1, "S4"))
		}
		for i := range 4 {
			f.fmla(vWide+i, vX, 4*(r*p+q)+i)
		}
	}
}

// gemm writes gemm<type>_<m>x<p>NEON, the tile of variant.gemm for one shape.
func gemm(f *file, dtype string, m, p int) {
	f.function(fmt.Sprintf("gemm%s_%dx%dNEON", dtype, m, p), "gemmGo",
		fmt.Sprintf("variant.gemm for m = %d, p = %d and %s weights, k >= 1", m, p, dtype),
		arg{"c", "*float32"}, arg{"ldc", "int"}, arg{"a", "*float32"}, arg{"lda", "int"}, arg{"b", "*byte"}, arg{"k", "int"}, arg{"ahead", "int"})
	f.op("LSL $2, R1")
	f.op("LSL $2, R3")
	f.loadTile(m, p)
	f.rowPointers(m)
	if dtype == "BF16" {
		f.op("VMOVI $255, V%d.B16", vMask)
		f.op("VSHL $16, V%d.S4, V%d.S4", vMask, vMask)
	}
	step := func(half int) {
		for q := range p {
			f.op("ADD $%d, R4, R6", 64*q+32*half)
			f.widenStrip(dtype)
			f.multiply(m, p, q)
		}
	}
	if dtype == "F32" {
		f.label("one")
		step(0)
		f.op("ADD $256, R4")
		f.op("SUBS $1, R5")
		f.op("BNE one")
	} else {
		f.op("SUBS $2, R5")
		f.op("BLT rest")
		f.label("two")
		step(0)
		step(1)
		f.op("ADD $256, R4")
		f.op("SUBS $2, R5")
		f.op("BGE two")
		f.label("rest")
		f.op("TBZ $0, R5, done")
		step(0)
		f.label("done")
	}
	f.storeTile(m, p)
	f.op("RET")
}

var (
	kvShift = map[string]int{"F32": 2, "BF16": 1, "F16": 1, "Q8": 0}
)

// weigh writes weigh<type>_<m>x<p>NEON, the tile of variant.weigh for one shape.
func weigh(f *file, kv string, m, p int) {
	f.function(fmt.Sprintf("weigh%s_%dx%dNEON", kv, m, p), "weighGo",
		fmt.Sprintf("variant.weigh for %s, m = %d and p = %d, with offs = len(off) >= 1 and n >= 1", kv, m, p),
		arg{"c", "*float32"}, arg{"ldc", "int"}, arg{"a", "*float32"}, arg{"lda", "int"}, arg{"v", "*byte"}, arg{"ldv", "int"}, arg{"off", "*int"}, arg{"offs", "int"}, arg{"n", "int"})
	f.comment("R4 v, R5 its stride in bytes, R17 off, R19 offs, R20 n")
	f.op("MOVD R6, R17")
	f.op("MOVD R7, R19")
	f.op("MOVD R8, R20")
	f.op("LSL $2, R1")
	f.op("LSL $2, R3")
	if s := kvShift[kv]; s > 0 {
		f.op("LSL $%d, R5", s)
	}
	f.loadTile(m, p)
	f.rowPointers(m)
	f.label("block")
	f.op("MOVD.P 8(R17), R21")
	f.op("ADD R21<<%d, R4, R21", kvShift[kv])
	f.op("MOVD R20, R22")
	f.label("one")
	for q := range p {
		f.op("ADD $%d, R21, R6", q*16<<kvShift[kv])
		f.widenKV(kv)
		f.multiply(m, p, q)
	}
	f.op("ADD R5, R21")
	f.op("SUBS $1, R22")
	f.op("BNE one")
	f.op("SUBS $1, R19")
	f.op("BNE block")
	f.storeTile(m, p)
	f.op("RET")
}

// score writes score<type>_<m>x1NEON, variant.score for one number of rows.
func score(f *file, kv string, m int) {
	f.function(fmt.Sprintf("score%s_%dx1NEON", kv, m), "scoreGo",
		fmt.Sprintf("variant.score for %s, m = %d, one tile and d divisible by 8", kv, m),
		arg{"c", "*float32"}, arg{"ldc", "int"}, arg{"a", "*float32"}, arg{"lda", "int"}, arg{"keys", "*[4]*byte"}, arg{"next", "*[4]*byte"}, arg{"d", "int"})
	f.op("LSL $2, R1")
	f.op("LSL $2, R3")
	f.op("MOVD (R4), R4")
	f.op("MOVD (R5), R5")
	f.op("MOVD R6, R19")
	for i := range 4 * m {
		f.op("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
	f.rowPointers(m)
	f.label("one")
	f.op("PRFM (R5), PLDL1KEEP")
	f.op("MOVD R4, R6")
	f.widenKV(kv)
	f.multiply(m, 1, 0)
	f.op("ADD $%d, R4", 16<<kvShift[kv])
	f.op("ADD $%d, R5", 16<<kvShift[kv])
	f.op("SUBS $1, R19")
	f.op("BNE one")
	f.storeTile(m, 1)
	f.op("RET")
}
