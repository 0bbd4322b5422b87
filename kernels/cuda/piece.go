//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

var _ kernels.Storer = (*Backend)(nil)

// atom is a run of bytes that belongs to one output, within a step of a block (or
// within a group's scales).
type atom struct{ at, n int }

// stepSize is the size of a step of a block.
func (w *weight) stepSize() int {
	switch w.method {
	case mma:
		return stepBytes
	case quant:
		return groupBytes(w.spec.Format)
	case codes:
		return 16 * codeStep * w.spec.DType.Bytes(2) / 2
	}
	return lineBytes
}

// atoms are where output j of a block lies within a step.
func (w *weight) atoms(j int) (out []atom) {
	switch w.method {
	case panel:
		return []atom{{4 * j, 4}}
	case mma: // pairs of k = 16u + 8h + 2t
		for u := range 2 {
			for t := range 4 {
				for h := range 2 {
					out = append(out, atom{u*512 + (j%8*4+t)*16 + h*8 + j/8*4, 4})
				}
			}
		}
		return out
	case codes:
		return w.codeAtoms(j)
	}
	out = []atom{{2 * j, 2}}
	for l := range quantLines(w.spec.Format) {
		out = append(out, atom{64 + l*lineBytes + 4*j, 4})
	}
	return out
}

// copyRow copies leaves of one output: output i of a block of from, which has them
// from leaves.Lo on, is output j of dst, a block of w, from leaf on.
func (w *weight) copyRow(dst []byte, j, leaf int, from *weight, src []byte, i int, leaves tree.Range) {
	size := w.stepSize()
	to, at := dst[w.codes+w.starts[leaf]*size:], src[from.codes+from.starts[leaves.Lo]*size:]
	a, b := w.atoms(j), from.atoms(i)
	for range from.starts[leaves.Hi] - from.starts[leaves.Lo] {
		for n := range a {
			copy(to[a[n].at:][:a[n].n], at[b[n].at:])
		}
		to, at = to[min(size, len(to)):], at[min(size, len(at)):]
	}
	switch {
	case w.method == codes:
		w.copyHeads(dst, j, leaf, from, src, i, leaves)
	case w.spec.Coding != nil:
		w.copyScales(dst, j, leaf, from, src, i, leaves)
	}
}

// copyScales copies the scales and offsets of copyRow's groups.
func (w *weight) copyScales(dst []byte, j, leaf int, from *weight, src []byte, i int, leaves tree.Range) {
	c, size := w.spec.Coding, w.spec.Coding.Scales.Size()
	scale := func(to, g int) {
		copy(dst[(to*32+j)*size:][:size], src[(g*32+i)*size:])
		if c.Offsets {
			copy(dst[w.offsets+(to*32+j)*4:][:4], src[from.offsets+(g*32+i)*4:])
		}
	}
	if c.Index != nil { // every part has all groups
		for g := range c.N {
			scale(g, g)
		}
		return
	}
	last := -1
	for k := from.leaves[leaves.Lo]; k < from.leaves[leaves.Hi]; k++ {
		if g := from.spec.Coding.GroupOf(k); g != last {
			last = g
			scale(c.GroupOf(w.leaves[leaf]+k-from.leaves[leaves.Lo]), g)
		}
	}
}

// hostBlocks are packed blocks [lo, hi) in the host's memory.
func (w *weight) hostBlocks(lo, hi int) ([]byte, error) {
	if w.host != nil {
		return w.host[lo*w.blockBytes : hi*w.blockBytes], nil
	}
	data := make([]byte, (hi-lo)*w.blockBytes)
	return data, w.mem.b.fetch(data, w.mem.at+uint64(lo*w.blockBytes))
}

// copyPiece copies what a piece has of the rows from first on, of which out has the
// blocks.
func (w *weight) copyPiece(out []byte, first, n int, piece kernels.Piece) error {
	rows := piece.RowsIn(first, n)
	if rows.Empty() || piece.Leaves.Empty() {
		return nil
	}
	from, width := piece.From.(*weight), w.method.width()
	row := piece.Rows.Lo + first + rows.Lo - piece.Row // in from
	lo := row / width
	src, err := from.hostBlocks(lo, ceilDiv(row+rows.Len(), width))
	if err != nil {
		return err
	}
	// Whole blocks, of which the piece has all: one copy.
	whole := piece.Leaves.Len() == len(from.leaves)-1 && len(from.leaves) == len(w.leaves) && from.blockBytes == w.blockBytes && row%width == rows.Lo%width
	for i := 0; i < rows.Len(); {
		to, at := rows.Lo+i, row+i
		dst, block := out[to/width*w.blockBytes:][:w.blockBytes], src[(at/width-lo)*from.blockBytes:][:from.blockBytes]
		last := min(width, w.spec.Out-(first+to)/width*width)
		if whole && to%width == 0 && rows.Len()-i >= last && (last == width || at+last == from.spec.Out) {
			copy(dst, block)
			i += last
			continue
		}
		w.copyRow(dst, to%width, piece.Leaf, from, block, at%width, piece.Leaves)
		i++
	}
	return nil
}

// Layout implements kernels.Storer.
func (b *Backend) Layout() string {
	if b.exact {
		return "cuda-exact-1"
	}
	return "cuda-f16-2"
}

// Extract implements kernels.Storer.
func (b *Backend) Extract(packed kernels.Weight, rows, leaves tree.Range) ([]byte, error) {
	w := packed.(*weight)
	part, err := b.newWeight(w.spec.Part(w.leaves, rows, leaves))
	must(err == nil, "Extract", "%s: rows %v, leaves %v: %v", w.spec.Name, rows, leaves, err)
	piece := kernels.Piece{From: w, Rows: rows, Leaves: leaves}
	part.checkPiece(piece)
	data := make([]byte, part.Bytes())
	return data, part.copyPiece(data, 0, rows.Len(), piece)
}

// checkPiece panics where a piece does not fit.
func (w *weight) checkPiece(p kernels.Piece) {
	from := p.From.Spec()
	must(p.Fits(w.spec) && p.From.(*weight).method == w.method, "Pack", "%s: rows %v, leaves %v of [%d, %d] do not fit at row %d, leaf %d of [%d, %d]",
		w.spec.Name, p.Rows, p.Leaves, from.Out, from.K, p.Row, p.Leaf, w.spec.Out, w.spec.K)
}

// FromPacked implements kernels.Storer.
func (b *Backend) FromPacked(spec kernels.WeightSpec, data []byte) (kernels.Weight, error) {
	w, err := b.newWeight(spec)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != w.Bytes() {
		return nil, fmt.Errorf("%s: %d packed bytes, want %d", spec.Name, len(data), w.Bytes())
	}
	w.host = data
	return w, nil
}

// TableRows implements kernels.Storer.
func (b *Backend) TableRows(t kernels.Table, row, n int) ([]byte, error) {
	tab := t.(*table)
	must(row >= 0 && n >= 0 && row+n <= tab.spec.Out, "TableRows", "rows %d+%d of %d", row, n, tab.spec.Out)
	raw := make([]byte, n*tab.rowBytes)
	if err := b.fetch(raw, tab.mem.at+uint64(row*tab.rowBytes)); err != nil {
		return nil, err
	}
	c := tab.spec.Coding
	if c == nil {
		return raw, nil
	}
	codes := tab.spec.DType.Bytes(tab.spec.K)
	stored := tab.spec.RowBytes(0, tab.spec.K)
	out := make([]byte, n*stored)
	scales := make([]float32, c.N)
	for i := range n {
		from, to := raw[i*tab.rowBytes:], out[i*stored:]
		copy(to[:codes], from[tab.shifts():])
		tensor.Widen(scales, from, tensor.F32)
		for g, s := range scales {
			put(to[codes+g*c.Scales.Size():], s, c.Scales) // it was widened from one
		}
		if c.Offsets {
			copy(to[codes+c.N*c.Scales.Size():stored], from[4*c.N:tab.shifts()])
		}
	}
	return out, nil
}
