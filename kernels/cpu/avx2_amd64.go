//go:build !noasm

package cpu

import "github.com/sullae/sullae/kernels/tensor"

// avx2 needs AVX2, FMA and F16C. Its functions check that all they touch is
// inside the slices, tell the race detector, and leave what is beyond a multiple
// of 8 to the portable form.
var avx2 = &variant{
	name:       "avx2",
	gemm:       gemmAVX2,
	quantGemm:  quantGemmAVX2,
	tileRows:   4,
	wide8:      true,
	quantize:   quantizeVec,
	weigh:      weighAVX2,
	score:      scoreAVX2,
	scaleMax:   scaleMaxVec,
	expSum:     expSumVec,
	blend:      blendVec,
	siluMul:    siluMulVec,
	geluMul:    geluMulVec,
	softCap:    softCapVec,
	add:        addVec,
	sumSquares: sumSquaresVec,
	mulScaled:  mulScaledVec,
	rotate:     rotateVec,
}

// gemmTiles are by type and rows.
var gemmTiles = [...][maxTileRows + 1]func(c *float32, ldc int, a *float32, lda int, b *byte, k, ahead int){
	tensor.F32:  {1: gemmF32_1x4, gemmF32_2x2, gemmF32_3x2, gemmF32_4x1, gemmF32_5x1, gemmF32_6x1},
	tensor.BF16: {1: gemmBF16_1x4, gemmBF16_2x2, gemmBF16_3x2, gemmBF16_4x1, gemmBF16_5x1, gemmBF16_6x1},
	tensor.F16:  {1: gemmF16_1x4, gemmF16_2x2, gemmF16_3x2, gemmF16_4x1, gemmF16_5x1, gemmF16_6x1},
}

func gemmAVX2(d tensor.DType, c []float32, ldc int, a []float32, lda int, b []byte, m, p, k, ahead int) {
	if p != maxStrips[m] {
		panic("cpu: gemm: no such tile")
	}
	if k == 0 {
		return
	}
	last := place(k-1, p-1, d) + stripWidth*d.Size() - 1
	_, _, _ = c[(m-1)*ldc+p*stripWidth-1], a[(m-1)*lda+k-1], b[last]
	raceRead(b[:last+1])
	for r := range m {
		raceRead(a[r*lda:][:k])
		raceWrite(c[r*ldc:][:p*stripWidth])
	}
	gemmTiles[d][m](&c[0], ldc, &a[0], lda, &b[0], k, ahead)
}

type weighTile func(c *float32, ldc int, a *float32, lda int, v *float32, ldv int, off *int, offs int, n int)

// weighTiles are by rows, and 0 for one strip or 1 for maxStrips[rows].
var weighTiles = [maxTileRows + 1][2]weighTile{
	1: {weigh_1x1, weigh_1x4}, 2: {weigh_2x1, weigh_2x2}, 3: {weigh_3x1, weigh_3x2},
	4: {weigh_4x1}, 5: {weigh_5x1}, 6: {weigh_6x1},
}

func weighAVX2(c []float32, ldc int, a []float32, lda int, v []float32, ldv int, off []int, m, p, n int) {
	if len(off) == 0 || n == 0 {
		return
	}
	_, _ = c[(m-1)*ldc+p*stripWidth-1], a[(m-1)*lda+len(off)*n-1]
	for _, o := range off {
		_, _ = v[o], v[o+(n-1)*ldv+p*stripWidth-1]
		raceRead(v[o : o+(n-1)*ldv+p*stripWidth])
	}
	for r := range m {
		raceRead(a[r*lda:][:len(off)*n])
		raceWrite(c[r*ldc:][:p*stripWidth])
	}
	if p == maxStrips[m] && p > 1 {
		weighTiles[m][1](&c[0], ldc, &a[0], lda, &v[0], ldv, &off[0], len(off), n)
		return
	}
	for q := range p {
		weighTiles[m][0](&c[q*stripWidth], ldc, &a[0], lda, &v[q*stripWidth], ldv, &off[0], len(off), n)
	}
}

var scoreTiles = [...]func(c *float32, ldc int, a *float32, lda int, keys, values *float32, d int){
	1: score_1, score_2, score_3, score_4, score_5, score_6,
}

func scoreAVX2(c []float32, ldc int, a []float32, lda int, keys, values []float32, m, d int) {
	_, _, _ = c[(m-1)*ldc+stripWidth-1], a[(m-1)*lda+d-1], keys[d*stripWidth-1]
	values = values[:d*stripWidth]
	raceRead(keys[:d*stripWidth])
	for r := range m {
		raceRead(a[r*lda:][:d])
		raceWrite(c[r*ldc:][:stripWidth])
	}
	scoreTiles[m](&c[0], ldc, &a[0], lda, &keys[0], &values[0], d)
}

func scaleMaxVec(s []float32, f float32) float32 {
	if len(s) == 0 {
		return scaleMaxGo(s, f)
	}
	raceWrite(s)
	var lanes [8]float32
	scaleMaxAVX2(&s[0], len(s), f, &lanes)
	return maxLanes(&lanes)
}

func expSumVec(dst, src []float32, shift float32, sum *[8]float64) {
	if n := len(src); n > 0 {
		raceRead(src)
		raceWrite(dst[:n])
		expSumAVX2(&dst[0], &src[0], n, shift, sum)
	}
}

func blendVec(dst, src []float32, a, b float32) {
	n := len(src) &^ 7
	dst = dst[:len(src)]
	if n > 0 {
		raceRead(src)
		raceWrite(dst)
		blendAVX2(&dst[0], &src[0], n, a, b)
	}
	blendGo(dst[n:], src[n:], a, b)
}

func siluMulVec(dst, gate, up []float32) {
	n := gateVec(siluMulAVX2, dst, gate, up)
	siluMulGo(dst[n:], gate[n:], up[n:])
}

func geluMulVec(dst, gate, up []float32) {
	n := gateVec(geluMulAVX2, dst, gate, up)
	geluMulGo(dst[n:], gate[n:], up[n:])
}

// gateVec runs f over the first elements, and says how many.
func gateVec(f func(dst, gate, up *float32, n int), dst, gate, up []float32) int {
	n := len(gate) &^ 7
	dst, up = dst[:len(gate)], up[:len(gate)]
	if n > 0 {
		raceRead(gate)
		raceRead(up)
		raceWrite(dst)
		f(&dst[0], &gate[0], &up[0], n)
	}
	return n
}

func softCapVec(x []float32, f, limit float32) {
	n := len(x) &^ 7
	if n > 0 {
		raceWrite(x)
		softCapAVX2(&x[0], n, f, limit)
	}
	softCapGo(x[n:], f, limit)
}

func addVec(dst, x []float32) {
	n := len(x) &^ 7
	dst = dst[:len(x)]
	if n > 0 {
		raceRead(x)
		raceWrite(dst)
		addAVX2(&dst[0], &x[0], n)
	}
	addGo(dst[n:], x[n:])
}

func sumSquaresVec(x []float32, sum *[16]float64) {
	if len(x) > 0 {
		raceRead(x)
		sumSquaresAVX2(&x[0], len(x), sum)
	}
}

func mulScaledVec(dst, x, w []float32, f float32) {
	n := len(x) &^ 7
	dst, w = dst[:len(x)], w[:len(x)]
	if n > 0 {
		raceRead(x)
		raceRead(w)
		raceWrite(dst)
		mulScaledAVX2(&dst[0], &x[0], &w[0], n, f)
	}
	mulScaledGo(dst[n:], x[n:], w[n:], f)
}

func rotateVec(a, b, cos, sin []float32) {
	n := len(a) &^ 7
	b, cos, sin = b[:len(a)], cos[:len(a)], sin[:len(a)]
	if n > 0 {
		raceRead(cos)
		raceRead(sin)
		raceWrite(a)
		raceWrite(b)
		rotateAVX2(&a[0], &b[0], &cos[0], &sin[0], n)
	}
	rotateGo(a[n:], b[n:], cos[n:], sin[n:])
}
