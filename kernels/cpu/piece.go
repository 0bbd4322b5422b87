package cpu

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

var _ kernels.Storer = (*Backend)(nil)

// checkPiece panics where a piece does not fit.
func (w *weight) checkPiece(p kernels.Piece) {
	from := p.From.Spec()
	must(p.Fits(w.spec), "Pack", "%s: rows %v, leaves %v of [%d, %d] do not fit at row %d, leaf %d of [%d, %d]",
		w.spec.Name, p.Rows, p.Leaves, from.Out, from.K, p.Row, p.Leaf, w.spec.Out, w.spec.K)
}

// pieceRows are the rows of panel p that a piece covers, counted from the panel's
// first.
func (w *weight) pieceRows(p int, piece kernels.Piece) tree.Range {
	return piece.RowsIn(p*panelWidth, panelWidth)
}

// copyPiece copies what a piece has of panel p.
func (w *weight) copyPiece(p int, piece kernels.Piece) {
	rows := w.pieceRows(p, piece)
	if rows.Empty() || piece.Leaves.Empty() {
		return
	}
	from := piece.From.(*weight)
	row := piece.Rows.Lo + p*panelWidth + rows.Lo - piece.Row // in from
	last := min(panelWidth, w.spec.Out-p*panelWidth)
	if row%panelWidth == rows.Lo && rows.Lo == 0 && rows.Hi == last && (last == panelWidth || row+last == from.spec.Out) {
		if dst, src, ok := w.runs(p, piece.Leaf, from, row/panelWidth, piece.Leaves); ok {
			copy(dst, src)
			return
		}
	}
	for i := 0; i < rows.Len(); {
		if (rows.Lo+i)%stripWidth == 0 && (row+i)%stripWidth == 0 && rows.Len()-i >= stripWidth &&
			w.copyStrip(p, (rows.Lo+i)/stripWidth, piece.Leaf, from, row+i, piece.Leaves) {
			i += stripWidth
			continue
		}
		w.copyRow(p, rows.Lo+i, piece.Leaf, from, row+i, piece.Leaves)
		i++
	}
}

// copyStrip copies leaves of 16 outputs: those of from that begin at fromRow are
// strip q of panel p. It reports false where leaves share lines with others.
func (w *weight) copyStrip(p, q, leaf int, from *weight, fromRow int, leaves tree.Range) bool {
	dst, src, ok := w.runs(p, leaf, from, fromRow/panelWidth, leaves)
	if !ok {
		return false
	}
	j := fromRow % panelWidth / stripWidth
	if w.spec.Format == kernels.AsStored {
		copyLines(dst[q*lineBytes:], src[j*lineBytes:], len(dst)/(panelStrips*lineBytes), panelStrips*lineBytes)
		return true
	}
	size, lines := quantGroupBytes(w.spec.Format), quantLines(w.spec.Format)
	const scales = 2 * stripWidth
	for g := 0; g < len(dst); g += size {
		copy(dst[g+q*scales:][:scales], src[g+j*scales:])
		copy(dst[g+quantScaleBytes+q*lines*lineBytes:][:lines*lineBytes], src[g+quantScaleBytes+j*lines*lineBytes:])
	}
	return true
}

// copyLines copies n lines that lie step bytes apart.
func copyLines(dst, src []byte, n, step int) {
	for i := range n {
		*(*[lineBytes]byte)(dst[i*step:]) = *(*[lineBytes]byte)(src[i*step:])
	}
}

// runs are leaves of a panel of w and of one of from as runs of bytes, if they
// do not share lines with other leaves.
func (w *weight) runs(p, leaf int, from *weight, fromPanel int, leaves tree.Range) (dst, src []byte, ok bool) {
	to := tree.Range{Lo: leaf, Hi: leaf + leaves.Len()}
	a, b, ok := w.run(to)
	c, d, ok2 := from.run(leaves)
	if !ok || !ok2 || b-a != d-c {
		return nil, nil, false
	}
	return w.panel(p)[a:b], from.panel(fromPanel)[c:d], true
}

// run is where leaves lie in a panel.
func (w *weight) run(leaves tree.Range) (lo, hi int, ok bool) {
	if w.spec.Format != kernels.AsStored {
		size := quantGroupBytes(w.spec.Format)
		return w.groupOf[leaves.Lo] * size, w.groupOf[leaves.Hi] * size, true
	}
	if w.coded != nil {
		return 0, 0, false
	}
	k0, k1 := w.leaves[leaves.Lo], w.leaves[leaves.Hi]
	if w.spec.DType == tensor.F32 {
		return place(k0, 0, tensor.F32), place(k1, 0, tensor.F32), true
	}
	if k1 == w.spec.K {
		k1 += k1 % 2
	}
	return place(k0, 0, w.spec.DType), place(k1, 0, w.spec.DType), k0%2 == 0 && k1%2 == 0
}

// copyRow copies leaves of one output: row fromRow of from is output out of
// panel p.
func (w *weight) copyRow(p, out, leaf int, from *weight, fromRow int, leaves tree.Range) {
	dst, src := w.panel(p), from.panel(fromRow/panelWidth)
	j := fromRow % panelWidth
	if w.spec.Format != kernels.AsStored {
		size := quantGroupBytes(w.spec.Format)
		for i := range from.groupOf[leaves.Hi] - from.groupOf[leaves.Lo] {
			copyGroup(dst[(w.groupOf[leaf]+i)*size:], out, src[(from.groupOf[leaves.Lo]+i)*size:], j, w.spec.Format)
		}
		return
	}
	if w.coded != nil {
		k := from.leaves[leaves.Lo]
		w.copyCoded(dst, w.leaves[leaf], out, from, src, k, j, from.leaves[leaves.Hi]-k)
		return
	}
	d := w.spec.DType
	size := d.Size()
	to, at := lane(out%stripWidth, d), lane(j%stripWidth, d)
	k, k0 := w.leaves[leaf], from.leaves[leaves.Lo]
	for i := range from.leaves[leaves.Hi] - k0 {
		copy(dst[place(k+i, out/stripWidth, d)+to:][:size], src[place(k0+i, j/stripWidth, d)+at:])
	}
}

// lane is where output j of a strip lies within the 16 weights of one k, in bytes.
func lane(j int, d tensor.DType) int {
	if d != tensor.BF16 {
		return j * d.Size()
	}
	if j < stripWidth/2 {
		return 4 * j
	}
	return 4*(j-stripWidth/2) + 2
}

// Layout implements kernels.Storer.
func (b *Backend) Layout() string { return "cpu-64x16-1" }

// Extract implements kernels.Storer.
func (b *Backend) Extract(packed kernels.Weight, rows, leaves tree.Range) ([]byte, error) {
	w := packed.(*weight)
	part, err := newWeight(w.spec.Part(w.leaves, rows, leaves))
	must(err == nil, "Extract", "%s: rows %v, leaves %v: %v", w.spec.Name, rows, leaves, err)
	part.mem = &region{data: make([]byte, part.Bytes())}
	piece := kernels.Piece{From: w, Rows: rows, Leaves: leaves}
	part.checkPiece(piece)
	for p := range part.panels {
		part.copyPiece(p, piece)
	}
	return part.mem.data, nil
}

// FromPacked implements kernels.Storer.
func (b *Backend) FromPacked(spec kernels.WeightSpec, data []byte) (kernels.Weight, error) {
	w, err := newWeight(spec)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != w.Bytes() {
		return nil, fmt.Errorf("%s: %d packed bytes, want %d", spec.Name, len(data), w.Bytes())
	}
	w.mem = &region{data: data}
	return w, nil
}

// TableRows implements kernels.Storer.
func (b *Backend) TableRows(t kernels.Table, row, n int) ([]byte, error) {
	tab := t.(*table)
	must(row >= 0 && n >= 0 && row+n <= tab.spec.Out, "TableRows", "rows %d+%d of %d", row, n, tab.spec.Out)
	return tab.mem.data[row*tab.rowBytes:][:n*tab.rowBytes], nil
}
