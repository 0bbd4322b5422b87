//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"github.com/sullae/sullae/kernels"
)

// RMSNorm: see kernels.Backend. Squares are summed in float64.
func (b *Backend) RMSNorm(dst, x, w kernels.Buffer, rows int, eps float32) {
	c := w.Len()
	must(c > 0 && x.Len() >= rows*c && dst.Len() >= rows*c, "RMSNorm", "%d rows of %d: x has %d values, dst %d", rows, c, x.Len(), dst.Len())
	defer b.device.enter()()
	b.launch("rms_norm", grid{rows, 1, 1}, dev(dst).at, dev(x).at, dev(w).at, uint64(c), f32(eps))
}

// ropeTable is a RopeTable on the device: all cosines, then all sines.
type ropeTable struct {
	mem *memory
	sin uint64
}

// Rope: see kernels.Backend. A table is copied to the device once.
func (b *Backend) Rope(x kernels.Buffer, heads, headDim int, pos []int32, t *kernels.RopeTable) {
	must(2*t.Half <= headDim && x.Len() >= len(pos)*heads*headDim, "Rope", "%d rows of %d heads of %d in %d values, half %d", len(pos), heads, headDim, x.Len(), t.Half)
	for _, p := range pos {
		must(p >= 0 && (int(p)+1)*t.Half <= len(t.Cos), "Rope", "position %d of %d", p, len(t.Cos)/max(t.Half, 1))
	}
	defer b.device.enter()()
	r := b.ropes[t]
	if r == nil {
		m, err := b.alloc(8 * len(t.Cos))
		if err != nil {
			b.note(err)
			return
		}
		r = &ropeTable{m, m.at + uint64(4*len(t.Cos))}
		b.copyIn(m.at, bytesOf(t.Cos))
		b.copyIn(r.sin, bytesOf(t.Sin))
		b.ropes[t] = r
	}
	b.launch("rope", grid{len(pos), heads, 1}, dev(x).at, r.mem.at, r.sin, send(b, pos), uint64(heads), uint64(headDim), uint64(t.Half))
}

// elements launches an op on n elements.
func (b *Backend) elements(kernel string, n int, values ...uint64) {
	defer b.device.enter()()
	b.launch(kernel, grid{ceilDiv(n, 256), 1, 1}, append(values, uint64(n))...)
}

func (b *Backend) gated(kernel string, dst, gate, up kernels.Buffer) {
	must(dst.Len() == gate.Len() && dst.Len() == up.Len(), kernel, "lengths %d, %d, %d", dst.Len(), gate.Len(), up.Len())
	b.elements(kernel, dst.Len(), dev(dst).at, dev(gate).at, dev(up).at)
}

// SiLUMul: see kernels.Backend.
func (b *Backend) SiLUMul(dst, gate, up kernels.Buffer) { b.gated("silu_mul", dst, gate, up) }

// GELUMul: see kernels.Backend.
func (b *Backend) GELUMul(dst, gate, up kernels.Buffer) { b.gated("gelu_mul", dst, gate, up) }

// Add: see kernels.Backend.
func (b *Backend) Add(dst, x kernels.Buffer) {
	must(dst.Len() == x.Len(), "Add", "lengths %d, %d", dst.Len(), x.Len())
	b.elements("add", dst.Len(), dev(dst).at, dev(x).at)
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
