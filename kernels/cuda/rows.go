//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"github.com/sullae/sullae/kernels"
)

// RMSNorm: see kernels.Backend. Squares are summed in float64.
func (b *Backend) RMSNorm(dst, x, w kernels.Buffer, rows int, eps float32) {
	c := w.Len()
	must(c > 0 && x.Len() >= rows*c && dst.Len() >= rows*c, "RMSNorm", "%d rows of %d: x has %d values, dst %d", rows, c, x.Len(), dst.Len())
	if rows == 0 {
		return
	}
	defer b.device.enter()()
	b.passRows(rowPass{x: dev(x).at, norm: dev(w).at, dst: dev(dst).at, eps: eps, n: rows * c, rows: rows, c: c})
}

// elements launches an op on n elements.
func (b *Backend) elements(kernel string, n int, values ...uint64) {
	defer b.device.enter()()
	b.launch(kernel, grid{ceilDiv(n, 256), 1, 1}, append(values, uint64(n))...)
}

func (b *Backend) gated(gelu bool, dst, gate, up kernels.Buffer) {
	must(dst.Len() == gate.Len() && dst.Len() == up.Len(), gateKernel(gelu), "lengths %d, %d, %d", dst.Len(), gate.Len(), up.Len())
	if dst.Len() == 0 {
		return
	}
	defer b.device.enter()()
	b.passRows(rowPass{x: dev(gate).at, up: dev(up).at, dst: dev(dst).at, gelu: gelu, n: dst.Len()})
}

// SiLUMul: see kernels.Backend.
func (b *Backend) SiLUMul(dst, gate, up kernels.Buffer) { b.gated(false, dst, gate, up) }

// GELUMul: see kernels.Backend.
func (b *Backend) GELUMul(dst, gate, up kernels.Buffer) { b.gated(true, dst, gate, up) }

// Add: see kernels.Backend.
func (b *Backend) Add(dst, x kernels.Buffer) {
	must(dst.Len() == x.Len(), "Add", "lengths %d, %d", dst.Len(), x.Len())
	if dst.Len() == 0 {
		return
	}
	defer b.device.enter()()
	b.passRows(rowPass{x: dev(dst).at, add: dev(x).at, n: dst.Len()})
}

// AddBias: see kernels.Backend.
func (b *Backend) AddBias(dst, bias kernels.Buffer, rows int) {
	c := bias.Len()
	must(c > 0 && dst.Len() >= rows*c, "AddBias", "%d rows of %d in %d values", rows, c, dst.Len())
	b.elements("add_bias", rows*c, dev(dst).at, dev(bias).at, uint64(c))
}

// Scale: see kernels.Backend.
func (b *Backend) Scale(dst kernels.Buffer, f float32) {
	b.elements("scale", dst.Len(), dev(dst).at, f32(f))
}

// SoftCap: see kernels.Backend.
func (b *Backend) SoftCap(dst kernels.Buffer, limit float32) {
	must(limit > 0, "SoftCap", "limit %v", limit)
	b.elements("soft_cap", dst.Len(), dev(dst).at, f32(limit))
}

// ExpSums: see kernels.Backend. Exponentials are summed in float64.
func (b *Backend) ExpSums(dst, logits kernels.Buffer, rows, n, block int) {
	must(block > 0 && n > 0, "ExpSums", "%d columns, block %d", n, block)
	blocks := ceilDiv(n, block)
	must(logits.Len() >= rows*n && dst.Len() >= 2*rows*blocks, "ExpSums", "%d rows of %d in %d values, dst %d", rows, n, logits.Len(), dst.Len())
	defer b.device.enter()()
	b.launch("exp_sums", grid{rows, blocks, 1}, dev(dst).at, dev(logits).at, uint64(n), uint64(block))
}
