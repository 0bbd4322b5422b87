//go:build !noasm

package cpu

import (
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"golang.org/x/sys/cpu"
)

// variants lists what this machine runs, best first.
func variants() []*variant {
	if cpu.ARM64.HasASIMDDP {
		return []*variant{neon, portable}
	}
	return []*variant{portable}
}

// neon is portable with products and attention in NEON, and needs its dot
// products (SDOT, of ARMv8.2).
var neon = func() *variant {
	v := *portable
	v.name = "neon"
	v.gemm, v.weigh, v.score, v.quantGemm = gemmNEON, weighNEON, scoreNEON, quantGemmNEON
	return &v
}()

var gemmTilesNEON = gemmTiles{
	tensor.F32:  {1: gemmF32_1x4NEON, gemmF32_2x2NEON, gemmF32_3x2NEON, gemmF32_4x1NEON, gemmF32_5x1NEON, gemmF32_6x1NEON},
	tensor.BF16: {1: gemmBF16_1x4NEON, gemmBF16_2x2NEON, gemmBF16_3x2NEON, gemmBF16_4x1NEON, gemmBF16_5x1NEON, gemmBF16_6x1NEON},
	tensor.F16:  {1: gemmF16_1x4NEON, gemmF16_2x2NEON, gemmF16_3x2NEON, gemmF16_4x1NEON, gemmF16_5x1NEON, gemmF16_6x1NEON},
}

var weighTilesNEON = weighTiles{
	kernels.KVF32:  {1: {weighF32_1x1NEON, nil, weighF32_1x4NEON}, 2: {weighF32_2x1NEON, weighF32_2x2NEON}, 3: {weighF32_3x1NEON, weighF32_3x2NEON}, 4: {weighF32_4x1NEON}, 5: {weighF32_5x1NEON}, 6: {weighF32_6x1NEON}},
	kernels.KVF16:  {1: {weighF16_1x1NEON, nil, weighF16_1x4NEON}, 2: {weighF16_2x1NEON, weighF16_2x2NEON}, 3: {weighF16_3x1NEON, weighF16_3x2NEON}, 4: {weighF16_4x1NEON}, 5: {weighF16_5x1NEON}, 6: {weighF16_6x1NEON}},
	kernels.KVBF16: {1: {weighBF16_1x1NEON, nil, weighBF16_1x4NEON}, 2: {weighBF16_2x1NEON, weighBF16_2x2NEON}, 3: {weighBF16_3x1NEON, weighBF16_3x2NEON}, 4: {weighBF16_4x1NEON}, 5: {weighBF16_5x1NEON}, 6: {weighBF16_6x1NEON}},
	kernels.KVQ8:   {1: {weighQ8_1x1NEON, nil, weighQ8_1x4NEON}, 2: {weighQ8_2x1NEON, weighQ8_2x2NEON}, 3: {weighQ8_3x1NEON, weighQ8_3x2NEON}, 4: {weighQ8_4x1NEON}, 5: {weighQ8_5x1NEON}, 6: {weighQ8_6x1NEON}},
}

var scoreTilesNEON = scoreTiles{
	kernels.KVF32:  {1: {scoreF32_1x1NEON}, 2: {scoreF32_2x1NEON}, 3: {scoreF32_3x1NEON}, 4: {scoreF32_4x1NEON}, 5: {scoreF32_5x1NEON}, 6: {scoreF32_6x1NEON}},
	kernels.KVF16:  {1: {scoreF16_1x1NEON}, 2: {scoreF16_2x1NEON}, 3: {scoreF16_3x1NEON}, 4: {scoreF16_4x1NEON}, 5: {scoreF16_5x1NEON}, 6: {scoreF16_6x1NEON}},
	kernels.KVBF16: {1: {scoreBF16_1x1NEON}, 2: {scoreBF16_2x1NEON}, 3: {scoreBF16_3x1NEON}, 4: {scoreBF16_4x1NEON}, 5: {scoreBF16_5x1NEON}, 6: {scoreBF16_6x1NEON}},
	kernels.KVQ8:   {1: {scoreQ8_1x1NEON}, 2: {scoreQ8_2x1NEON}, 3: {scoreQ8_3x1NEON}, 4: {scoreQ8_4x1NEON}, 5: {scoreQ8_5x1NEON}, 6: {scoreQ8_6x1NEON}},
}

var quantTilesNEON = [...][]quantGemmTile{
	kernels.Q8: {1: quantGemmQ8_1NEON, quantGemmQ8_2NEON, quantGemmQ8_3NEON, quantGemmQ8_4NEON},
	kernels.Q4: {1: quantGemmQ4_1NEON, quantGemmQ4_2NEON, quantGemmQ4_3NEON, quantGemmQ4_4NEON},
}

func gemmNEON(d tensor.DType, c []float32, ldc int, a []float32, lda int, b []byte, m, p, k, ahead int) {
	gemmVec(&gemmTilesNEON, &strips256, d, c, ldc, a, lda, b, m, p, k, ahead)
}

func weighNEON(t kernels.KVType, c []float32, ldc int, a []float32, lda int, v []byte, ldv int, off []int, m, p, n int) {
	weighVec(&weighTilesNEON, t, c, ldc, a, lda, v, ldv, off, m, p, n)
}

func scoreNEON(t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, next []byte, nextOff []int, m, d int, ends *scoreEnds) {
	scoreVec(&scoreTilesNEON[t][m], t, c, ldc, a, lda, keys, off, next, nextOff, m, d, ends)
}

func quantGemmNEON(f kernels.Format, c []float32, ldc int, wide bool, x, w []byte, m, groups, ahead int) {
	quantGemmVec(quantTilesNEON[f][m], tileStride(4, false), f, c, ldc, x, w, m, groups, ahead)
}
