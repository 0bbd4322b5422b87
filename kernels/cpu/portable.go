package cpu

import (
	"encoding/binary"
	"math"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// portable is the plain Go twin of every variant.
var portable = &variant{
	name:        "portable",
	strips:      &strips256,
	gemm:        gemmGo,
	quantGemm:   quantGemmGo(4),
	tileRows:    4,
	quantize:    quantizeGo,
	packQuant:   packQuantGo,
	decode:      decodeGo,
	codedRow:    codedRowGo,
	widenHalves: widenHalvesGo,
	weigh:       weighGo,
	score:       scoreGo,
	scaleMax:    scaleMaxGo,
	expSum:      expSumGo,
	blend:       blendGo,
	siluMul:     siluMulGo,
	geluMul:     geluMulGo,
	softCap:     softCapGo,
	add:         addGo,
	fold:        foldBy(addGo),
	sumSquares:  sumSquaresGo,
	mulScaled:   mulScaledGo,
	rotate:      rotateGo,
}

func gemmGo(d tensor.DType, c []float32, ldc int, a []float32, lda int, b []byte, m, p, k, _ int) {
	var w [stripWidth]float32
	for q := range p {
		for i := range k {
			widenStrip(&w, b[place(i, q, d):][:stripWidth*d.Size()], d)
			for r := range m {
				x := a[r*lda+i]
				acc := (*[stripWidth]float32)(c[r*ldc+q*stripWidth:])
				for j := range acc {
					acc[j] = fma32(x, w[j], acc[j])
				}
			}
		}
	}
}

// widenStrip reads 16 weights in a strip's order (pack.go).
func widenStrip(dst *[stripWidth]float32, src []byte, d tensor.DType) {
	if d != tensor.BF16 {
		tensor.Widen(dst[:], src, d)
		return
	}
	for j := range stripWidth / 2 {
		u := binary.LittleEndian.Uint32(src[4*j:])
		dst[j] = math.Float32frombits(u << 16)
		dst[j+8] = math.Float32frombits(u & 0xffff0000)
	}
}

func weighGo(t kernels.KVType, c []float32, ldc int, a []float32, lda int, v []byte, ldv int, off []int, m, p, n int) {
	row := make([]float32, p*stripWidth)
	for s, o := range off {
		for i := range n {
			widenKV(row, v, o+i*ldv, t)
			for r := range m {
				x := a[r*lda+s*n+i]
				acc := c[r*ldc:][:p*stripWidth]
				for j, w := range row {
					acc[j] = fma32(x, w, acc[j])
				}
			}
		}
	}
}

func scoreGo(t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, _ []byte, _ []int, m, d int, _ *scoreEnds) {
	var key [stripWidth]float32
	for s, o := range off {
		for r := range m {
			clear(c[r*ldc+s*stripWidth:][:stripWidth])
		}
		for i := range d {
			widenKV(key[:], keys, o+i*stripWidth, t)
			for r := range m {
				x := a[r*lda+i]
				acc := (*[stripWidth]float32)(c[r*ldc+s*stripWidth:])
				for j, w := range key {
					acc[j] = fma32(x, w, acc[j])
				}
			}
		}
	}
}

func scaleMaxGo(s []float32, f float32) float32 {
	var lane [8]float32
	for i := range lane {
		lane[i] = float32(math.Inf(-1))
	}
	for i, x := range s {
		x *= f
		s[i] = x
		if x > lane[i&7] {
			lane[i&7] = x
		}
	}
	return maxLanes(&lane)
}

// maxLanes is the maximum over 8 lanes in the order that every variant uses:
// halves against halves, the later half only where it is greater.
func maxLanes(lane *[8]float32) float32 {
	for w := 4; w > 0; w /= 2 {
		for i := range w {
			if lane[i+w] > lane[i] {
				lane[i] = lane[i+w]
			}
		}
	}
	return lane[0]
}

func expSumGo(dst, src []float32, shift float32, sum *[8]float64) {
	for i, x := range src {
		e := exp32(x - shift)
		dst[i] = e
		sum[i&7] += float64(e)
	}
}

func blendGo(dst, src []float32, a, b float32) {
	for i, x := range src {
		dst[i] = float32(dst[i]*a) + float32(x*b)
	}
}

func siluMulGo(dst, gate, up []float32) {
	for i, g := range gate {
		dst[i] = float32(g/(1+exp32(-g))) * up[i]
	}
}

func geluMulGo(dst, gate, up []float32) {
	for i, g := range gate {
		dst[i] = gelu32(g) * up[i]
	}
}

func softCapGo(x []float32, f, limit float32) {
	for i, v := range x {
		x[i] = tanh32(float32(v*f)/limit) * limit
	}
}

func addGo(dst, x, y []float32) {
	for i, v := range x {
		dst[i] = v + y[i]
	}
}

func sumSquaresGo(x []float32, sum *[16]float64) {
	for i, v := range x {
		// The square is exact in float64, so fusing changes nothing.
		sum[i&15] += float64(v) * float64(v)
	}
}

func mulScaledGo(dst, x, w []float32, f float32) {
	for i, v := range x {
		dst[i] = float32(v*f) * w[i]
	}
}

func rotateGo(a, b, cos, sin []float32) {
	for i, x := range a {
		y, c, s := b[i], cos[i], sin[i]
		a[i] = float32(x*c) - float32(y*s)
		b[i] = float32(y*c) + float32(x*s)
	}
}

// foldBy is variant.fold by one addition of each two subtrees.
func foldBy(add func(dst, x, y []float32)) func(c []float32, size, folds int) {
	return func(c []float32, size, folds int) {
		for ; folds > 0; folds-- {
			left := c[(folds-1)*size:][:size]
			add(left, left, c[folds*size:][:size])
		}
	}
}
