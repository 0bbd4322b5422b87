// Package reference is the specification of every kernel: the plainest loop, in
// float64, over plain slices. It has no order of summation to keep and no speed
// to reach; kerneltest holds each backend to it within a stated tolerance.
//
// Shapes are row-major and named as in package kernels.
package reference

import (
	"math"

	"github.com/sullae/sullae/kernels/tree"
)

// MatMul: dst[n, t, o] = sum over k in node n's leaves of x[t, k]·w[o, k].
//
//	dst [len(nodes), rows, out]   x [rows, k]   w [out, k]
//
// leaves are the boundaries along K and nodes the ranges of leaves, as in
// kernels.WeightSpec; nil means one leaf and one node.
func MatMul(dst, x, w []float64, rows, out, k int, leaves []int, nodes []tree.Range) {
	if leaves == nil {
		leaves = []int{0, k}
	}
	if nodes == nil {
		nodes = []tree.Range{{Lo: 0, Hi: len(leaves) - 1}}
	}
	for n, node := range nodes {
		for t := range rows {
			for o := range out {
				sum := 0.0
				for i := leaves[node.Lo]; i < leaves[node.Hi]; i++ {
					sum += x[t*k+i] * w[o*k+i]
				}
				dst[(n*rows+t)*out+o] = sum
			}
		}
	}
}

// RMSNorm: dst[t, :] = x[t, :] / sqrt(mean(x[t, :]²) + eps) · w.
//
//	dst, x [rows, c]   w [c]
//
// After: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
func RMSNorm(dst, x, w []float64, rows int, eps float64) {
	c := len(w)
	for t := range rows {
		sum := 0.0
		for i := range c {
			sum += x[t*c+i] * x[t*c+i]
		}
		root := math.Sqrt(sum/float64(c) + eps)
		for i := range c {
			dst[t*c+i] = x[t*c+i] / root * w[i]
		}
	}
}

// Rope rotates the first 2·half elements of every head in place by the angle
// whose cosine and sine stand at cos[pos, j], sin[pos, j]; element j pairs with
// j+half.
//
//	x [len(pos), heads, headDim]   cos, sin [positions, half]
//
// After: Su et al., "RoFormer", 2021.
func Rope(x []float64, heads, headDim int, pos []int32, half int, cos, sin []float64) {
	for t, p := range pos {
		for h := range heads {
			v := x[(t*heads+h)*headDim:]
			for j := range half {
				c, s := cos[int(p)*half+j], sin[int(p)*half+j]
				a, b := v[j], v[j+half]
				v[j] = a*c - b*s
				v[j+half] = b*c + a*s
			}
		}
	}
}

// SiLUMul: dst[i] = gate[i]/(1+exp(-gate[i])) · up[i].
func SiLUMul(dst, gate, up []float64) {
	for i, g := range gate {
		dst[i] = g / (1 + math.Exp(-g)) * up[i]
	}
}

// GELUMul: dst[i] = GELU(gate[i]) · up[i], with
// GELU(x) = x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³))).
// After: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
func GELUMul(dst, gate, up []float64) {
	for i, g := range gate {
		dst[i] = 0.5 * g * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(g+0.044715*g*g*g))) * up[i]
	}
}

// SoftCap: x[i] = limit · tanh(x[i]/limit).
func SoftCap(x []float64, limit float64) {
	for i, v := range x {
		x[i] = limit * math.Tanh(v/limit)
	}
}

// AddBias: dst[t, :] += bias.
//
//	dst [rows, len(bias)]
func AddBias(dst, bias []float64, rows int) {
	for t := range rows {
		for i, v := range bias {
			dst[t*len(bias)+i] += v
		}
	}
}

// Add: dst[i] += x[i].
func Add(dst, x []float64) {
	for i := range x {
		dst[i] += x[i]
	}
}

// ExpSums: for each row of logits [rows, n] and each block of block columns (the
// last may be shorter), dst[row, b] = (the maximum, the sum of exp(logit -
// maximum)). A NaN is not the maximum of anything, but makes the sum NaN; a
// block of -Inf alone sums to 0.
func ExpSums(dst, logits []float64, rows, n, block int) {
	i := 0
	for r := range rows {
		for lo := 0; lo < n; lo += block {
			v := logits[r*n+lo : r*n+min(lo+block, n)]
			m := math.Inf(-1)
			for _, l := range v {
				if l > m {
					m = l
				}
			}
			shift := m
			if math.IsInf(m, -1) {
				shift = 0
			}
			sum := 0.0
			for _, l := range v {
				sum += math.Exp(l - shift)
			}
			dst[i], dst[i+1] = m, sum
			i += 2
		}
	}
}

// Attention is one query's attention over one head: dst = Σ_p softmax(scale ·
// q·key[p]) value[p], over the n positions given, which are those the query
// sees. With limit > 0 scores are soft-capped before the softmax.
//
//	dst, q [headDim]   keys, values [n, headDim]
func Attention(dst, q, keys, values []float64, scale, limit float64) {
	d := len(q)
	n := len(keys) / d
	scores := make([]float64, n)
	m := math.Inf(-1)
	for p := range scores {
		for i := range q {
			scores[p] += q[i] * keys[p*d+i]
		}
		scores[p] *= scale
	}
	if limit > 0 {
		SoftCap(scores, limit)
	}
	for _, s := range scores {
		m = max(m, s)
	}
	sum := 0.0
	for p := range scores {
		scores[p] = math.Exp(scores[p] - m)
		sum += scores[p]
	}
	for i := range dst {
		v := 0.0
		for p := range scores {
			v += scores[p] * values[p*d+i]
		}
		dst[i] = v / sum
	}
}
