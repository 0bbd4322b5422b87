//go:build !noasm

package cpu

import (
	"unsafe"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// avx512 is avx2 with VNNI's byte products for quantized weights and wider
// tiles, and needs AVX-512 F, BW, VL and VNNI besides.
var avx512 = func() *variant {
	v := *avx2
	v.name = "avx512vnni"
	v.strips = &strips512
	v.gemm, v.weigh, v.score = gemmAVX512, weighAVX512, scoreAVX512
	v.quantGemm, v.quantTall = quantGemmAVX512, quantTallAVX512
	v.gemmLeaves, v.fold, v.softmaxRows = gemmLeavesAVX512, foldVec, softmaxRowsVec
	v.decode, v.codedRow = decodeAVX512, codedRowAVX512
	v.tileRows, v.wide8 = 8, false
	return &v
}()

// avxvnni is avx2 with the same products in 256 bits, for CPUs that have AVX-VNNI
// and no AVX-512.
var avxvnni = func() *variant {
	v := *avx2
	v.name = "avxvnni"
	v.quantGemm, v.quantTall = quantGemmAVXVNNI, nil
	v.wide8 = false
	return &v
}()

// quantTiles are by format and rows.
var quantTiles = [...][]quantGemmTile{
	kernels.Q8: {1: quantGemmQ8_1},
	kernels.Q4: {1: quantGemmQ4_1, quantGemmQ4_2, quantGemmQ4_3, quantGemmQ4_4},
}

// quantTilesWide are for 8-bit weights and wide rows, by rows.
var quantTilesWide = []quantGemmTile{1: quantGemmQ8Wide_1, quantGemmQ8Wide_2, quantGemmQ8Wide_3, quantGemmQ8Wide_4}

var quantTilesVNNI = [...][]quantGemmTile{
	kernels.Q8: {1: quantGemmQ8VNNI_1, quantGemmQ8VNNI_2, quantGemmQ8VNNI_3, quantGemmQ8VNNI_4,
		quantGemmQ8VNNI_5, quantGemmQ8VNNI_6, quantGemmQ8VNNI_7, quantGemmQ8VNNI_8},
	kernels.Q4: {1: quantGemmQ4VNNI_1, quantGemmQ4VNNI_2, quantGemmQ4VNNI_3, quantGemmQ4VNNI_4,
		quantGemmQ4VNNI_5, quantGemmQ4VNNI_6, quantGemmQ4VNNI_7, quantGemmQ4VNNI_8},
}

var quantTilesAVXVNNI = [...][]quantGemmTile{
	kernels.Q8: {1: quantGemmQ8AVXVNNI_1, quantGemmQ8AVXVNNI_2, quantGemmQ8AVXVNNI_3, quantGemmQ8AVXVNNI_4},
	kernels.Q4: {1: quantGemmQ4AVXVNNI_1, quantGemmQ4AVXVNNI_2, quantGemmQ4AVXVNNI_3, quantGemmQ4AVXVNNI_4},
}

func quantGemmAVX2(f kernels.Format, c []float32, ldc int, wide bool, x, w []byte, m, groups, ahead int) {
	tiles := quantTiles[f]
	if wide {
		tiles = quantTilesWide
	}
	quantGemmVec(tiles[m], tileStride(4, wide), f, c, ldc, x, w, m, groups, ahead)
}

// unpackedBytes is the size of a panel's unpacked group: scales in float32, two
// bytes for one.
func unpackedBytes(f kernels.Format) int { return 2 * quantGroupBytes(f) }

func quantTallAVX2(f kernels.Format, c []float32, ldc int, x []byte, rowGroups int, w, scratch []byte, tiles, groups int) {
	if groups == 0 || tiles == 0 {
		return
	}
	unpack, tile := unpackQ8, quantTallQ8
	if f == kernels.Q4 {
		unpack, tile = unpackQ4, quantTallQ4
	}
	w, scratch = w[:groups*quantGroupBytes(f)], scratch[:groups*unpackedBytes(f)]
	raceRead(w)
	raceWrite(scratch)
	unpack(&scratch[0], &w[0], groups)
	tallTilesOf(4, tileStride(4, f == kernels.Q8), c, ldc, x, rowGroups, tiles, groups, func(t int, c *float32, x *byte) {
		tile(c, ldc, x, &scratch[0], groups, tallNext(t, groups, w))
	})
}

func quantTallAVX512(f kernels.Format, c []float32, ldc int, x []byte, rowGroups int, w, _ []byte, tiles, groups int) {
	if groups == 0 || tiles == 0 {
		return
	}
	tile := quantTallQ8VNNI
	if f == kernels.Q4 {
		tile = quantTallQ4VNNI
	}
	w = w[:groups*quantGroupBytes(f)]
	raceRead(w)
	tallTilesOf(8, tileStride(8, false), c, ldc, x, rowGroups, tiles, groups, func(t int, c *float32, x *byte) {
		tile(c, ldc, x, &w[0], &w[quantScaleBytes], groups, tallNext(t, groups, w))
	})
}

// tallLines lines for each group are what a whole tile asks for ahead.
const tallLines = 8

// tallNext is what tile t asks for: the first tiles share the block that follows
// w, and the others ask for what is there.
func tallNext(t, groups int, w []byte) uintptr {
	off := t * groups * tallLines * lineBytes
	if off >= len(w) {
		off = -len(w)
	}
	return uintptr(unsafe.Pointer(&w[0])) + uintptr(len(w)+off)
}

// tallTilesOf calls tile for each tile of m rows: what it adds to and its first group.
func tallTilesOf(m, stride int, c []float32, ldc int, x []byte, rowGroups, tiles, groups int, tile func(t int, c *float32, x *byte)) {
	for t := range tiles {
		at, to := x[t*rowGroups*stride:][:groups*stride], c[t*m*ldc:]
		_ = to[(m-1)*ldc+panelWidth-1]
		raceRead(at)
		for r := range m {
			raceWrite(to[r*ldc:][:panelWidth])
		}
		tile(t, &to[0], &at[0])
	}
}

func quantGemmAVX512(f kernels.Format, c []float32, ldc int, wide bool, x, w []byte, m, groups, ahead int) {
	quantGemmVec(quantTilesVNNI[f][m], tileStride(8, false), f, c, ldc, x, w, m, groups, ahead)
}

func quantGemmAVXVNNI(f kernels.Format, c []float32, ldc int, wide bool, x, w []byte, m, groups, ahead int) {
	quantGemmVec(quantTilesAVXVNNI[f][m], tileStride(4, false), f, c, ldc, x, w, m, groups, ahead)
}

func quantizeVec(tile []byte, tileRows int, wide bool, slot int, x []float32, offset int32) {
	groups := len(x) / kernels.Group
	if groups == 0 {
		return
	}
	stride, size := tileStride(tileRows, wide), quantBytes(wide)
	tile = tile[:groups*stride]
	raceRead(x)
	for g := range groups {
		raceWrite(tile[g*stride+slot*size:][:size])
	}
	f := quantizeAVX2
	if wide {
		f = quantizeWideAVX2
	}
	scale := &tile[tileRows*size+4*slot]
	f(&tile[slot*size], (*float32)(unsafe.Pointer(scale)), 4*tileRows, stride, &x[0], groups, offset)
}

var packTiles = [...][tensor.F16 + 1]func(scales, lines, row *byte, groups int) int{
	kernels.Q8: {tensor.F32: packQ8F32, tensor.BF16: packQ8BF16, tensor.F16: packQ8F16},
	kernels.Q4: {tensor.F32: packQ4F32, tensor.BF16: packQ4BF16, tensor.F16: packQ4F16},
}

func packQuantAVX2(f kernels.Format, d tensor.DType, panel, row []byte, j, groups int) int {
	if groups == 0 {
		return 0
	}
	row, panel = row[:groups*kernels.Group*d.Size()], panel[:groups*quantGroupBytes(f)]
	raceRead(row)
	raceWrite(panel)
	return packTiles[f][d](&panel[2*j], &panel[quantPlace(f, j)], &row[0], groups)
}
