//go:build !noasm

package cpu

import (
	"math/bits"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// strips512 is variant.strips for 32 registers of 512 bits.
var strips512 = [maxTileRows + 1]int{0, 4, 4, 4, 4, 4, 4}

var gemmTiles512 = gemmTiles{
	tensor.F32:  {1: gemmF32_1x4_512, gemmF32_2x4_512, gemmF32_3x4_512, gemmF32_4x4_512, gemmF32_5x4_512, gemmF32_6x4_512},
	tensor.BF16: {1: gemmBF16_1x4_512, gemmBF16_2x4_512, gemmBF16_3x4_512, gemmBF16_4x4_512, gemmBF16_5x4_512, gemmBF16_6x4_512},
	tensor.F16:  {1: gemmF16_1x4_512, gemmF16_2x4_512, gemmF16_3x4_512, gemmF16_4x4_512, gemmF16_5x4_512, gemmF16_6x4_512},
}

var weighTiles512 = weighTiles{
	kernels.KVF32:  {1: {weighF32_1x1_512, weighF32_1x2_512, weighF32_1x4_512}, 2: {weighF32_2x1_512, weighF32_2x2_512, weighF32_2x4_512}, 3: {weighF32_3x1_512, weighF32_3x2_512, weighF32_3x4_512}, 4: {weighF32_4x1_512, weighF32_4x2_512, weighF32_4x4_512}, 5: {weighF32_5x1_512, weighF32_5x2_512, weighF32_5x4_512}, 6: {weighF32_6x1_512, weighF32_6x2_512, weighF32_6x4_512}},
	kernels.KVF16:  {1: {weighF16_1x1_512, weighF16_1x2_512, weighF16_1x4_512}, 2: {weighF16_2x1_512, weighF16_2x2_512, weighF16_2x4_512}, 3: {weighF16_3x1_512, weighF16_3x2_512, weighF16_3x4_512}, 4: {weighF16_4x1_512, weighF16_4x2_512, weighF16_4x4_512}, 5: {weighF16_5x1_512, weighF16_5x2_512, weighF16_5x4_512}, 6: {weighF16_6x1_512, weighF16_6x2_512, weighF16_6x4_512}},
	kernels.KVBF16: {1: {weighBF16_1x1_512, weighBF16_1x2_512, weighBF16_1x4_512}, 2: {weighBF16_2x1_512, weighBF16_2x2_512, weighBF16_2x4_512}, 3: {weighBF16_3x1_512, weighBF16_3x2_512, weighBF16_3x4_512}, 4: {weighBF16_4x1_512, weighBF16_4x2_512, weighBF16_4x4_512}, 5: {weighBF16_5x1_512, weighBF16_5x2_512, weighBF16_5x4_512}, 6: {weighBF16_6x1_512, weighBF16_6x2_512, weighBF16_6x4_512}},
	kernels.KVQ8:   {1: {weighQ8_1x1_512, weighQ8_1x2_512, weighQ8_1x4_512}, 2: {weighQ8_2x1_512, weighQ8_2x2_512, weighQ8_2x4_512}, 3: {weighQ8_3x1_512, weighQ8_3x2_512, weighQ8_3x4_512}, 4: {weighQ8_4x1_512, weighQ8_4x2_512, weighQ8_4x4_512}, 5: {weighQ8_5x1_512, weighQ8_5x2_512, weighQ8_5x4_512}, 6: {weighQ8_6x1_512, weighQ8_6x2_512, weighQ8_6x4_512}},
}

var scoreTiles512 = scoreTiles{
	kernels.KVF32:  {1: {scoreF32_1x1_512, scoreF32_1x2_512, scoreF32_1x4_512}, 2: {scoreF32_2x1_512, scoreF32_2x2_512, scoreF32_2x4_512}, 3: {scoreF32_3x1_512, scoreF32_3x2_512, scoreF32_3x4_512}, 4: {scoreF32_4x1_512, scoreF32_4x2_512, scoreF32_4x4_512}, 5: {scoreF32_5x1_512, scoreF32_5x2_512, scoreF32_5x4_512}, 6: {scoreF32_6x1_512, scoreF32_6x2_512, scoreF32_6x4_512}},
	kernels.KVF16:  {1: {scoreF16_1x1_512, scoreF16_1x2_512, scoreF16_1x4_512}, 2: {scoreF16_2x1_512, scoreF16_2x2_512, scoreF16_2x4_512}, 3: {scoreF16_3x1_512, scoreF16_3x2_512, scoreF16_3x4_512}, 4: {scoreF16_4x1_512, scoreF16_4x2_512, scoreF16_4x4_512}, 5: {scoreF16_5x1_512, scoreF16_5x2_512, scoreF16_5x4_512}, 6: {scoreF16_6x1_512, scoreF16_6x2_512, scoreF16_6x4_512}},
	kernels.KVBF16: {1: {scoreBF16_1x1_512, scoreBF16_1x2_512, scoreBF16_1x4_512}, 2: {scoreBF16_2x1_512, scoreBF16_2x2_512, scoreBF16_2x4_512}, 3: {scoreBF16_3x1_512, scoreBF16_3x2_512, scoreBF16_3x4_512}, 4: {scoreBF16_4x1_512, scoreBF16_4x2_512, scoreBF16_4x4_512}, 5: {scoreBF16_5x1_512, scoreBF16_5x2_512, scoreBF16_5x4_512}, 6: {scoreBF16_6x1_512, scoreBF16_6x2_512, scoreBF16_6x4_512}},
	kernels.KVQ8:   {1: {scoreQ8_1x1_512, scoreQ8_1x2_512, scoreQ8_1x4_512}, 2: {scoreQ8_2x1_512, scoreQ8_2x2_512, scoreQ8_2x4_512}, 3: {scoreQ8_3x1_512, scoreQ8_3x2_512, scoreQ8_3x4_512}, 4: {scoreQ8_4x1_512, scoreQ8_4x2_512, scoreQ8_4x4_512}, 5: {scoreQ8_5x1_512, scoreQ8_5x2_512, scoreQ8_5x4_512}, 6: {scoreQ8_6x1_512, scoreQ8_6x2_512, scoreQ8_6x4_512}},
}

var gemmLeavesTiles512 = [...][maxTileRows + 1]func(c *float32, size, ldc int, a *float32, lda int, b *byte, k, leaves, first, ahead int){
	tensor.F32:  {1: gemmLeavesF32_1_512, gemmLeavesF32_2_512, gemmLeavesF32_3_512, gemmLeavesF32_4_512, gemmLeavesF32_5_512, gemmLeavesF32_6_512},
	tensor.BF16: {1: gemmLeavesBF16_1_512, gemmLeavesBF16_2_512, gemmLeavesBF16_3_512, gemmLeavesBF16_4_512, gemmLeavesBF16_5_512, gemmLeavesBF16_6_512},
	tensor.F16:  {1: gemmLeavesF16_1_512, gemmLeavesF16_2_512, gemmLeavesF16_3_512, gemmLeavesF16_4_512, gemmLeavesF16_5_512, gemmLeavesF16_6_512},
}

func gemmLeavesAVX512(d tensor.DType, c []float32, size, ldc int, a []float32, lda int, b []byte, m, k, leaves, first, ahead int) {
	if k%2 != 0 || k == 0 || leaves < 1 {
		panic("cpu: gemmLeaves: no such leaves")
	}
	depth := 0 // of the stack, at most
	for done := first; done < first+leaves; done++ {
		depth = max(depth, bits.OnesCount(uint(done)))
	}
	last := place(leaves*k-1, panelStrips-1, d) + stripWidth*d.Size() - 1
	_, _, _ = c[depth*size+(m-1)*ldc+panelWidth-1], a[(m-1)*lda+leaves*k-1], b[last]
	if raceEnabled {
		raceRead(b[:last+1])
		for r := range m {
			raceRead(a[r*lda:][:leaves*k])
			for s := range depth + 1 {
				raceWrite(c[s*size+r*ldc:][:panelWidth])
			}
		}
	}
	gemmLeavesTiles512[d][m](&c[0], size, ldc, &a[0], lda, &b[0], k, leaves, first, ahead)
}

func gemmAVX512(d tensor.DType, c []float32, ldc int, a []float32, lda int, b []byte, m, p, k, ahead int) {
	gemmVec(&gemmTiles512, &strips512, d, c, ldc, a, lda, b, m, p, k, ahead)
}

func weighAVX512(t kernels.KVType, c []float32, ldc int, a []float32, lda int, v []byte, ldv int, off []int, m, p, n int) {
	weighVec(&weighTiles512, t, c, ldc, a, lda, v, ldv, off, m, p, n)
}

func scoreAVX512(t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, next []byte, nextOff []int, m, d int, ends *scoreEnds) {
	scoreVec(&scoreTiles512[t][m], t, c, ldc, a, lda, keys, off, next, nextOff, m, d, ends)
}

func foldVec(c []float32, size, folds int) {
	c = c[:(folds+1)*size]
	raceWrite(c)
	foldAVX512(&c[0], size, folds)
}

func softmaxRowsVec(x []float32, stride, rows, n int, scale float32, out [][2]float32) {
	_, _ = x[(rows-1)*stride+n-1], out[rows-1]
	if raceEnabled {
		for r := range rows {
			raceWrite(x[r*stride:][:n])
		}
	}
	softmaxRowsAVX512(&x[0], stride, rows, n, scale, &out[0])
}
