package reference

import (
	"math"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// QuantizeWeights replaces one row of a matrix by what its format keeps of it,
// group by group along each leaf; nil leaves means one.
//
// Q8: scale = binary16(max|w| / 127), q = round(w / scale) within ±127, kept as
// scale·q. Q4: with m the value largest in magnitude, the first of equals, scale
// = binary16(m / -8), q = round(w / scale) within [-8, 7], kept as scale·q. All in
// float32, rounded to nearest even; w / scale is w · (1 / scale). A group whose
// scale is zero is zero. The scale must be finite.
func QuantizeWeights(w []float32, leaves []int, f kernels.Format) {
	eachGroup(len(w), leaves, func(lo, hi int) {
		g := w[lo:hi]
		top := float32(0)
		for _, v := range g {
			if math.Abs(float64(v)) > math.Abs(float64(top)) {
				top = v
			}
		}
		scale, least, most := top/-8, float32(-8), float32(7)
		if f == kernels.Q8 {
			scale, least, most = float32(math.Abs(float64(top)))/127, -127, 127
		}
		scale = tensor.HalfToFloat32(tensor.Float32ToF16(scale))
		if scale == 0 {
			clear(g)
			return
		}
		inv := 1 / scale
		for i, v := range g {
			q := float32(math.RoundToEven(float64(v * inv)))
			g[i] = scale * min(max(q, least), most)
		}
	})
}

// QuantizeRow replaces one row of activations by what a product with a quantized
// matrix takes for it: in each group, with m = max|x|, scale = m·(1/127) and
// q = round(x·(127/m)), to nearest even, kept as scale·q. A group with m below
// 2^-100 is zero; one that holds NaN or an infinity is NaN.
func QuantizeRow(x []float32, leaves []int) {
	eachGroup(len(x), leaves, func(lo, hi int) { quantize(x[lo:hi]) })
}

// RoundKV replaces one position's key or value by what a KV pool of a type keeps
// of it: rounded to nearest even to binary16 or bfloat16; or, with 8 bits, the
// whole vector as QuantizeRow takes a group.
func RoundKV(v []float32, t kernels.KVType) {
	for i, x := range v {
		switch t {
		case kernels.KVF16:
			v[i] = tensor.HalfToFloat32(tensor.Float32ToF16(x))
		case kernels.KVBF16:
			v[i] = math.Float32frombits(uint32(tensor.Float32ToBF16(x)) << 16)
		}
	}
	if t == kernels.KVQ8 {
		quantize(v)
	}
}

// quantize replaces values that share a scale by what 8 bits keep of them.
func quantize(g []float32) {
	top, sum := float32(0), float32(0)
	for _, v := range g {
		top = max(top, float32(math.Abs(float64(v))))
		sum += v - v // NaN unless all are finite
	}
	if top < 0x1p-100 {
		clear(g)
		return
	}
	scale, inv := top*(1.0/127), 127/top
	for i, v := range g {
		if g[i] = float32(math.RoundToEven(float64(v*inv))) * scale; sum != sum {
			g[i] = sum
		}
	}
}

func eachGroup(k int, leaves []int, f func(lo, hi int)) {
	if leaves == nil {
		leaves = []int{0, k}
	}
	for i := range len(leaves) - 1 {
		for lo := leaves[i]; lo < leaves[i+1]; lo += kernels.Group {
			f(lo, min(lo+kernels.Group, leaves[i+1]))
		}
	}
}
