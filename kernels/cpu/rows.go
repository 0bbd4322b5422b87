package cpu

import (
	"math"

	"github.com/sullae/sullae/kernels"
)

// elementGrain is how many elements a helper must get to be worth telling.
const elementGrain = 1 << 14

// rowGrain is elementGrain in rows of n elements.
func rowGrain(n int) int { return elementGrain/max(n, 1) + 1 }

// RMSNorm: dst[t, :] = x[t, :] / sqrt(mean(x[t, :]²) + eps) · w. dst may be x.
//
//	dst, x [rows, C]   w [C]
//
// The squares are exact in float64 and summed there in 16 lanes (element i in
// lane i mod 16), the lanes pairwise. The scale is one float32 r, and
// dst = (x·r)·w, each product rounded.
// After: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
func (b *Backend) RMSNorm(dst, x, w kernels.Buffer, rows int, eps float32) {
	b.normAll(newNormRows(host(dst), kernels.Norm{X: x, W: w, Eps: eps}, rows), rows)
}

// normRows is a norm of rows, one at a time.
type normRows struct {
	dst, x, add, w []float32
	eps            float32
}

func newNormRows(dst []float32, n kernels.Norm, rows int) *normRows {
	r := &normRows{dst: dst, x: host(n.X), w: host(n.W), eps: n.Eps}
	c := len(r.w)
	must(c > 0 && len(r.x) >= rows*c && len(dst) >= rows*c, "RMSNorm", "%d rows of %d: x has %d values, dst %d", rows, c, len(r.x), len(dst))
	if n.Add != nil {
		r.add = host(n.Add)
		must(len(r.add) >= rows*c, "RMSNorm", "%d rows of %d, %d values to be added", rows, c, len(r.add))
	}
	return r
}

func (b *Backend) normAll(n *normRows, rows int) {
	b.pool.run(rows, rowGrain(len(n.w)), func(worker, lo, hi int) {
		for r := lo; r < hi; r++ {
			n.row(&b.threads[worker], r)
		}
	})
}

// row norms row r.
func (n *normRows) row(t *thread, r int) {
	c := len(n.w)
	x := n.x[r*c : (r+1)*c]
	if n.add != nil {
		t.v.add(x, x, n.add[r*c:(r+1)*c])
	}
	lanes := &t.squares
	clear(lanes[:])
	whole := c &^ 15
	t.v.sumSquares(x[:whole], lanes)
	sumSquaresGo(x[whole:], lanes)
	mean := sumLanes(lanes[:]) / float64(c)
	t.v.mulScaled(n.dst[r*c:(r+1)*c], x, n.w, float32(1/math.Sqrt(mean+float64(n.eps))))
}

// sumLanes adds lanes pairwise, halves to halves, in place. len is a power of two.
func sumLanes(lane []float64) float64 {
	for w := len(lane) / 2; w > 0; w /= 2 {
		for i := range w {
			lane[i] += lane[i+w]
		}
	}
	return lane[0]
}

// Rope rotates the first 2·Half elements of each head in place at the given
// positions; element j pairs with j+Half. Each product and sum is rounded.
//
//	x [len(pos), heads, headDim]
//
// After: Su et al., "RoFormer: Enhanced Transformer with Rotary Position
// Embedding", 2021.
func (b *Backend) Rope(x kernels.Buffer, heads, headDim int, pos []int32, t *kernels.RopeTable) {
	v, h := host(x), t.Half
	must(2*h <= headDim && len(v) >= len(pos)*heads*headDim, "Rope", "%d rows of %d heads of %d in %d values, half %d", len(pos), heads, headDim, len(v), h)
	b.pool.run(len(pos), rowGrain(heads*headDim), func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			p := int(pos[r])
			cos, sin := t.Cos[p*h:(p+1)*h], t.Sin[p*h:(p+1)*h]
			for i := range heads {
				head := v[(r*heads+i)*headDim:][:headDim]
				b.v.rotate(head[:h], head[h:2*h], cos, sin)
			}
		}
	})
}

// AddTo: dst[i] = x[i] + y[i], on any memory and beside other ops; dst may be x or
// y. It serves the all-reduce (allreduce.Add).
func (b *Backend) AddTo(dst, x, y []float32) { b.v.add(dst, x[:len(dst)], y[:len(dst)]) }

// AddBias: dst[t, :] += bias.
//
//	dst [rows, len(bias)]
func (b *Backend) AddBias(dst, bias kernels.Buffer, rows int) {
	d, w := host(dst), host(bias)
	c := len(w)
	must(c > 0 && len(d) >= rows*c, "AddBias", "%d rows of %d in %d values", rows, c, len(d))
	b.pool.run(rows, rowGrain(c), func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			row := d[t*c : (t+1)*c]
			b.v.add(row, row, w)
		}
	})
}

// Scale: dst[i] *= f.
func (b *Backend) Scale(dst kernels.Buffer, f float32) {
	d := host(dst)
	b.pool.run(len(d), elementGrain, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			d[i] *= f
		}
	})
}

// SoftCap: dst[i] = limit · tanh(dst[i]/limit), with tanh32 for tanh.
func (b *Backend) SoftCap(dst kernels.Buffer, limit float32) {
	d := host(dst)
	must(limit > 0, "SoftCap", "limit %v", limit)
	b.pool.run(len(d), elementGrain/4, func(_, lo, hi int) { b.v.softCap(d[lo:hi], 1, limit) })
}

// SiLUMul: dst[i] = gate[i]/(1+exp(-gate[i])) · up[i], each operation rounded,
// with exp32 for exp. dst may be gate.
func (b *Backend) SiLUMul(dst, gate, up kernels.Buffer) {
	d, g, u := host(dst), host(gate), host(up)
	must(len(d) == len(g) && len(d) == len(u), "SiLUMul", "lengths %d, %d, %d", len(d), len(g), len(u))
	b.pool.run(len(d), elementGrain/4, func(_, lo, hi int) { b.v.siluMul(d[lo:hi], g[lo:hi], u[lo:hi]) })
}

// GELUMul: dst[i] = gelu32(gate[i]) · up[i]. dst may be gate.
func (b *Backend) GELUMul(dst, gate, up kernels.Buffer) {
	d, g, u := host(dst), host(gate), host(up)
	must(len(d) == len(g) && len(d) == len(u), "GELUMul", "lengths %d, %d, %d", len(d), len(g), len(u))
	b.pool.run(len(d), elementGrain/4, func(_, lo, hi int) { b.v.geluMul(d[lo:hi], g[lo:hi], u[lo:hi]) })
}

// Add: dst[i] += x[i].
func (b *Backend) Add(dst, x kernels.Buffer) {
	d, s := host(dst), host(x)
	must(len(d) == len(s), "Add", "lengths %d, %d", len(d), len(s))
	b.pool.run(len(d), elementGrain, func(_, lo, hi int) { b.v.add(d[lo:hi], d[lo:hi], s[lo:hi]) })
}

// ExpSums: for each row of logits [rows, n] and each block of columns,
// dst[row, block] = thread.ExpSum of it.
//
//	dst [rows, ceil(n/block), 2]
func (b *Backend) ExpSums(dst, logits kernels.Buffer, rows, n, block int) {
	d, l := host(dst), host(logits)
	must(block > 0, "ExpSums", "block %d", block)
	blocks := (n + block - 1) / block
	must(len(l) >= rows*n && len(d) >= 2*rows*blocks, "ExpSums", "%d rows of %d in %d values, dst %d", rows, n, len(l), len(d))
	b.pool.run(rows*blocks, elementGrain/4/block+1, func(worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			row, c := i/blocks, i%blocks*block
			d[2*i], d[2*i+1] = b.threads[worker].ExpSum(l[row*n+c : row*n+min(c+block, n)])
		}
	})
}

// softmax multiplies x by scale, replaces it by exp(x - max), and returns the
// maximum and the sum. x must have room for 7 more values, which are lost; lanes
// is memory to work in.
func (v *variant) softmax(x []float32, scale float32, lanes *[8]float64) (maximum, sum float32) {
	n := len(x)
	if v.softmaxRows != nil {
		var out [1][2]float32
		v.softmaxRows(x, n, 1, n, scale, out[:])
		return out[0][0], out[0][1]
	}
	x = x[:(n+7)&^7]
	fill(x[n:], x[0]) // a value that is there already does not change the maximum
	maximum = v.scaleMax(x, scale)
	shift := maximum
	if math.IsInf(float64(maximum), -1) {
		shift = 0
	}
	fill(x[n:], float32(math.Inf(-1))) // whose exp adds nothing
	clear(lanes[:])
	v.expSum(x, x, shift, lanes)
	return maximum, float32(sumLanes(lanes[:]))
}

func fill(v []float32, x float32) {
	for i := range v {
		v[i] = x
	}
}
