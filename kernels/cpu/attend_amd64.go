//go:build !noasm

package cpu

import "github.com/sullae/sullae/kernels"

var weighTiles256 = weighTiles{
	kernels.KVF32:  {1: {weighF32_1x1, weighF32_1x2, weighF32_1x4}, 2: {weighF32_2x1, weighF32_2x2}, 3: {weighF32_3x1, weighF32_3x2}, 4: {weighF32_4x1}, 5: {weighF32_5x1}, 6: {weighF32_6x1}},
	kernels.KVF16:  {1: {weighF16_1x1, weighF16_1x2, weighF16_1x4}, 2: {weighF16_2x1, weighF16_2x2}, 3: {weighF16_3x1, weighF16_3x2}, 4: {weighF16_4x1}, 5: {weighF16_5x1}, 6: {weighF16_6x1}},
	kernels.KVBF16: {1: {weighBF16_1x1, weighBF16_1x2, weighBF16_1x4}, 2: {weighBF16_2x1, weighBF16_2x2}, 3: {weighBF16_3x1, weighBF16_3x2}, 4: {weighBF16_4x1}, 5: {weighBF16_5x1}, 6: {weighBF16_6x1}},
	kernels.KVQ8:   {1: {weighQ8_1x1, weighQ8_1x2, weighQ8_1x4}, 2: {weighQ8_2x1, weighQ8_2x2}, 3: {weighQ8_3x1, weighQ8_3x2}, 4: {weighQ8_4x1}, 5: {weighQ8_5x1}, 6: {weighQ8_6x1}},
}

var scoreTiles256 = scoreTiles{
	kernels.KVF32:  {1: {scoreF32_1x1}, 2: {scoreF32_2x1}, 3: {scoreF32_3x1}, 4: {scoreF32_4x1}, 5: {scoreF32_5x1}, 6: {scoreF32_6x1}},
	kernels.KVF16:  {1: {scoreF16_1x1}, 2: {scoreF16_2x1}, 3: {scoreF16_3x1}, 4: {scoreF16_4x1}, 5: {scoreF16_5x1}, 6: {scoreF16_6x1}},
	kernels.KVBF16: {1: {scoreBF16_1x1}, 2: {scoreBF16_2x1}, 3: {scoreBF16_3x1}, 4: {scoreBF16_4x1}, 5: {scoreBF16_5x1}, 6: {scoreBF16_6x1}},
	kernels.KVQ8:   {1: {scoreQ8_1x1}, 2: {scoreQ8_2x1}, 3: {scoreQ8_3x1}, 4: {scoreQ8_4x1}, 5: {scoreQ8_5x1}, 6: {scoreQ8_6x1}},
}

func weighAVX2(t kernels.KVType, c []float32, ldc int, a []float32, lda int, v []byte, ldv int, off []int, m, p, n int) {
	weighVec(&weighTiles256, t, c, ldc, a, lda, v, ldv, off, m, p, n)
}

func scoreAVX2(t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, next []byte, nextOff []int, m, d int, ends *scoreEnds) {
	scoreVec(&scoreTiles256[t][m], t, c, ldc, a, lda, keys, off, next, nextOff, m, d, ends)
}
