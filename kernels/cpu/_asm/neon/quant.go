package main

import "fmt"

// The layout of quantized weights and activations, as in package cpu
// (quantweight.go, quantrow.go), with 4 rows in a tile.
const (
	quantTile   = 4
	stripScales = 32 // bytes of a strip's scales in one group
	stripCount  = 4
)

var quantLines = map[string]int{"Q8": 8, "Q4": 4}

// quantGemm writes quantGemm<format>_<m>NEON. The sums of row r are in V4r ...
// V4r+3, its quants in V16+2r and V17+2r; c, which is wanted once a group, stays in
// the first cache.
func quantGemm(f *file, format string, m int) {
	lines := quantLines[format]
	f.function(fmt.Sprintf("quantGemm%s_%dNEON", format, m), "quantGemmGo",
		fmt.Sprintf("variant.quantGemm for m = %d and %s weights, groups >= 1", m, format),
		arg{"c", "*float32"}, arg{"ldc", "int"}, arg{"x", "*byte"}, arg{"scales", "*byte"}, arg{"lines", "*byte"}, arg{"groups", "int"}, arg{"ahead", "int"})
	f.op("LSL $2, R1")
	const w, t0, t1, low = 24, 28, 29, 31 // weights 24 to 27, temporaries
	if format == "Q4" {
		f.op("VMOVI $15, V%d.B16", low)
	}
	f.label("group")
	f.op("MOVD R2, R6")
	for r := range m {
		f.op("VLD1.P 32(R6), %s", list(16+2*r, 2, "B16"))
	}
	f.op("MOVD R4, R8")
	for s := range stripCount {
		f.comment(fmt.Sprintf("strip + %d", s))
		for r := range m {
			if format == "Q8" {
				for h := range 4 {
					f.op("VEOR V%d.B16, V%d.B16, V%d.B16", 4*r+h, 4*r+h, 4*r+h)
				}
				continue
			}
			f.op("ADD $%d, R2, R6", quantTile*36+4*r)
			for h := range 4 {
				f.op("VLD1R (R6), %s", list(4*r+h, 1, "S4"))
			}
		}
		for l := range lines {
			f.op("VLD1.P 64(R8), %s", list(w, 4, "B16"))
			quads := 1
			if format == "Q4" {
				quads = 2
			}
			for i := range quads {
				quad := quads*l + i
				for h := range 4 {
					from := w + h
					if format == "Q4" {
						from = t0 + h%2
						if i == 0 {
							f.op("VAND V%d.B16, V%d.B16, V%d.B16", low, w+h, from)
						} else {
							f.op("VUSHR $4, V%d.B16, V%d.B16", w+h, from)
						}
					}
					for r := range m {
						f.sdot(from, 16+2*r+quad/4, quad%4, 4*r+h)
					}
				}
			}
		}
		f.comment("c + sums · (the weights' scale · the row's)")
		f.op("ADD $%d, R3, R6", stripScales*s)
		f.op("VLD1 (R6), %s", list(t0, 2, "H8"))
		for i := range 2 {
			f.two(0x0e217800, "fcvtl .4s .4h", t0+i, w+2*i)
			f.two(0x4e217800, "fcvtl2 .4s .8h", t0+i, w+2*i+1)
		}
		f.op("ADD $%d, R0, R7", 64*s)
		for r := range m {
			f.op("ADD $%d, R2, R6", quantTile*32+4*r)
			f.op("VLD1R (R6), %s", list(30, 1, "S4"))
			f.op("MOVD R7, R9")
			for h := range 4 {
				f.fmul(w+h, 30, t0)
				f.two(0x4e21d800, "scvtf .4s", 4*r+h, 4*r+h)
				f.op("VLD1 (R9), %s", list(t1, 1, "S4"))
				f.fmla(4*r+h, t0, t1)
				f.op("VST1.P %s, 16(R9)", list(t1, 1, "S4"))
			}
			if r+1 < m {
				f.op("ADD R1, R7")
			}
		}
	}
	f.op("ADD $%d, R2", quantTile*40)
	f.op("ADD $%d, R3", stripCount*(stripScales+64*lines))
	f.op("ADD $%d, R4", stripCount*(stripScales+64*lines))
	f.op("SUBS $1, R5")
	f.op("BNE group")
	f.op("RET")
}
