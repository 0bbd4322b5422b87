//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"github.com/sullae/sullae/kernels"
)

const (
	// fewRows is how many rows are computed chunk by chunk over many blocks: so few
	// are bound by memory, and want every multiprocessor.
	fewRows = 16
	// partBytes bounds the partial sums of a product, and of attention: what is
	// beyond is done in turns.
	partBytes = 64 << 20
)

// MatMul: see kernels.Backend. The order of a sum is the package's, for any rows.
func (b *Backend) MatMul(dst, x kernels.Buffer, packed kernels.Weight, rows int) {
	w := packed.(*weight)
	spec, l := w.spec, w.layout
	must(x.Len() >= rows*spec.K && dst.Len() >= len(l.nodes)*rows*spec.Out, "MatMul", "%s [%d, %d]: %d rows in %d values, %d nodes into %d",
		spec.Name, spec.Out, spec.K, rows, x.Len(), len(l.nodes), dst.Len())
	if rows == 0 {
		return
	}
	defer b.device.enter()()
	d := &l.whole
	if rows <= fewRows {
		d = &l.split
	}
	direct := d.slots == 1 && len(l.nodes) == 1
	turn := rows
	if !direct {
		turn = min(rows, max(8, partBytes/(d.slots*spec.Out*4)&^7))
	}
	for row := 0; row < rows; row += turn {
		n := min(turn, rows-row)
		out := dev(dst).at + uint64(4*row*spec.Out)
		to := out
		if !direct {
			to = b.scratch(&b.parts, d.slots*n*spec.Out*4)
		}
		b.product(w, d, to, dev(x).at+uint64(4*row*spec.K), n)
		if !direct {
			b.launch("fold", grid{ceilDiv(n*spec.Out, 256), len(l.nodes), 1}, out, to, d.atProg, d.atStarts, uint64(n*spec.Out), uint64(rows*spec.Out))
		}
	}
}

// product computes the sums of a deal's spans.
func (b *Backend) product(w *weight, d *deal, dst, x uint64, rows int) {
	spec, l := w.spec, w.layout
	steps := l.starts[len(l.starts)-1]
	across, spans := ceilDiv(spec.Out, w.method.blockOutputs()), len(d.spans)
	switch w.method {
	case exact:
		b.launch("matmul_exact", grid{across, ceilDiv(rows, 8), spans}, dst, w.mem.at, x, d.atSpans,
			uint64(rows), uint64(spec.Out), uint64(spec.K), uint64(spec.K), deviceType(spec.DType))
	case bf16:
		tile, kernel := 8, "matmul_bf16_8"
		if rows > fewRows {
			tile, kernel = 64, "matmul_bf16_64"
		}
		padded := ceilDiv(rows, tile) * tile
		half := b.scratch(&b.rounded, padded*steps*16*2)
		b.launch("round_rows", grid{padded, 1, 1}, half, x, w.from, w.ends, uint64(rows), uint64(spec.K), uint64(steps*16))
		b.launch(kernel, grid{across, padded / tile, spans}, dst, w.mem.at, half, d.atSpans, uint64(rows), uint64(spec.Out), uint64(steps*16))
	case quant:
		codes := b.scratch(&b.rounded, rows*steps*kernels.Group)
		scales := b.scratch(&b.scales, rows*steps*4)
		b.launch("quantize_rows", grid{rows, 1, 1}, codes, scales, x, w.from, w.ends, uint64(spec.K), uint64(steps))
		kernel := "matmul_q8"
		if spec.Format == kernels.Q4 {
			kernel = "matmul_q4"
		}
		b.launch(kernel, grid{across, ceilDiv(rows, 8), spans}, dst, w.mem.at, codes, scales, d.atSpans, uint64(rows), uint64(spec.Out), uint64(steps))
	}
}
