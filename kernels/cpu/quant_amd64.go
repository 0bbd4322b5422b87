//go:build !noasm

package cpu

import (
	"unsafe"

	"github.com/sullae/sullae/kernels"
)

// avx512 is avx2 with VNNI's byte products for quantized weights, and needs
// AVX-512 F, BW, VL and VNNI besides.
var avx512 = func() *variant {
	v := *avx2
	v.name = "avx512vnni"
	v.quantGemm = quantGemmAVX512
	v.tileRows = 8
	v.quantStrips = quantStrips8[:]
	return &v
}()

type quantGemmTile func(c *float32, ldc int, x, scales, lines *byte, groups, ahead int)

// quantTiles are by format and rows.
var quantTiles = [...][]quantGemmTile{
	kernels.Q8: {1: quantGemmQ8_1x4, quantGemmQ8_2x2, quantGemmQ8_3x1, quantGemmQ8_4x1},
	kernels.Q4: {1: quantGemmQ4_1x4, quantGemmQ4_2x2, quantGemmQ4_3x1, quantGemmQ4_4x1},
}

var quantTilesVNNI = [...][]quantGemmTile{
	kernels.Q8: {1: quantGemmQ8VNNI_1x4, quantGemmQ8VNNI_2x4, quantGemmQ8VNNI_3x4, quantGemmQ8VNNI_4x4,
		quantGemmQ8VNNI_5x2, quantGemmQ8VNNI_6x2, quantGemmQ8VNNI_7x2, quantGemmQ8VNNI_8x2},
	kernels.Q4: {1: quantGemmQ4VNNI_1x4, quantGemmQ4VNNI_2x4, quantGemmQ4VNNI_3x4, quantGemmQ4VNNI_4x4,
		quantGemmQ4VNNI_5x2, quantGemmQ4VNNI_6x2, quantGemmQ4VNNI_7x2, quantGemmQ4VNNI_8x2},
}

func quantGemmAVX2(f kernels.Format, c []float32, ldc int, x, w []byte, q, m, p, groups, ahead int) {
	if p != quantStrips4[m] {
		panic("cpu: quantGemm: no such tile")
	}
	quantGemmVec(quantTiles[f][m], 4, f, c, ldc, x, w, q, m, p, groups, ahead)
}

func quantGemmAVX512(f kernels.Format, c []float32, ldc int, x, w []byte, q, m, p, groups, ahead int) {
	if p != quantStrips8[m] {
		panic("cpu: quantGemm: no such tile")
	}
	quantGemmVec(quantTilesVNNI[f][m], 8, f, c, ldc, x, w, q, m, p, groups, ahead)
}

func quantGemmVec(tile quantGemmTile, tileRows int, f kernels.Format, c []float32, ldc int, x, w []byte, q, m, p, groups, ahead int) {
	if groups == 0 {
		return
	}
	strip := quantLines(f) * lineBytes
	x, w = x[:groups*tileRows*rowGroupBytes], w[:groups*quantGroupBytes(f)]
	_, _ = c[(m-1)*ldc+p*stripWidth-1], w[quantScaleBytes+(q+p)*strip-1]
	raceRead(x)
	raceRead(w)
	for r := range m {
		raceWrite(c[r*ldc:][:p*stripWidth])
	}
	tile(&c[0], ldc, &x[0], &w[2*stripWidth*q], &w[quantScaleBytes+strip*q], groups, ahead)
}

func quantizeVec(tile []byte, tileRows, slot int, x []float32, offset int32) {
	groups := len(x) / kernels.Group
	if groups == 0 {
		return
	}
	stride := tileRows * rowGroupBytes
	tile = tile[:groups*stride]
	raceRead(x)
	for g := range groups {
		raceWrite(tile[g*stride+slot*kernels.Group:][:kernels.Group])
	}
	scale := &tile[tileRows*kernels.Group+4*slot]
	quantizeAVX2(&tile[slot*kernels.Group], (*float32)(unsafe.Pointer(scale)), 4*tileRows, stride, &x[0], groups, offset)
}
