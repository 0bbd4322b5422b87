//go:build !noasm

package cpu

import "github.com/sullae/sullae/kernels/tensor"

// avx2 needs AVX2, FMA and F16C. Its functions check that all they touch is
// inside the slices, tell the race detector, and leave what is beyond a multiple
// of 8 to the portable form.
var avx2 = &variant{
	name:        "avx2",
	strips:      &strips256,
	gemm:        gemmAVX2,
	quantGemm:   quantGemmAVX2,
	quantTall:   quantTallAVX2,
	tileRows:    4,
	wide8:       true,
	quantize:    quantizeVec,
	packQuant:   packQuantAVX2,
	decode:      decodeAVX2,
	codedRow:    codedRowAVX2,
	widenHalves: widenHalvesVec,
	weigh:       weighAVX2,
	score:       scoreAVX2,
	scaleMax:    scaleMaxVec,
	expSum:      expSumVec,
	blend:       blendVec,
	siluMul:     siluMulVec,
	geluMul:     geluMulVec,
	softCap:     softCapVec,
	add:         addVec,
	fold:        foldBy(addVec),
	sumSquares:  sumSquaresVec,
	mulScaled:   mulScaledVec,
	rotate:      rotateVec,
}

var gemmTiles256 = gemmTiles{
	tensor.F32:  {1: gemmF32_1x4, gemmF32_2x2, gemmF32_3x2, gemmF32_4x1, gemmF32_5x1, gemmF32_6x1},
	tensor.BF16: {1: gemmBF16_1x4, gemmBF16_2x2, gemmBF16_3x2, gemmBF16_4x1, gemmBF16_5x1, gemmBF16_6x1},
	tensor.F16:  {1: gemmF16_1x4, gemmF16_2x2, gemmF16_3x2, gemmF16_4x1, gemmF16_5x1, gemmF16_6x1},
}

func gemmAVX2(d tensor.DType, c []float32, ldc int, a []float32, lda int, b []byte, m, p, k, ahead int) {
	gemmVec(&gemmTiles256, &strips256, d, c, ldc, a, lda, b, m, p, k, ahead)
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

func addVec(dst, x, y []float32) {
	n := len(dst) &^ 7
	x, y = x[:len(dst)], y[:len(dst)]
	if n > 0 {
		raceRead(x)
		raceRead(y)
		raceWrite(dst)
		addAVX2(&dst[0], &x[0], &y[0], n)
	}
	addGo(dst[n:], x[n:], y[n:])
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
