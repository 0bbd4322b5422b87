package cpu

import (
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

var _ kernels.Unpacker = (*Backend)(nil)

// Unpack is the inverse of Pack.
func (b *Backend) Unpack(dst []byte, packed kernels.Weight, row, n, col, cols int) {
	w := packed.(*weight)
	must(w.spec.Format == kernels.AsStored, "Unpack", "%s is kept as %v", w.spec.Name, w.spec.Format)
	d := w.spec.DType
	size := d.Size()
	must(row >= 0 && n >= 0 && row+n <= w.spec.Out && col >= 0 && cols >= 0 && col+cols <= w.spec.K, "Unpack",
		"rows %d+%d, columns %d+%d of [%d, %d]", row, n, col, cols, w.spec.Out, w.spec.K)
	must(len(dst) == n*cols*size, "Unpack", "%d bytes for [%d, %d] of %v", len(dst), n, cols, d)
	for i := range n {
		p, q := (row+i)/panelWidth, (row+i)%panelWidth/stripWidth
		panel := w.mem.data[p*w.panelBytes:]
		at := lane((row+i)%stripWidth, d)
		out := dst[i*cols*size:]
		for k := range cols {
			copy(out[k*size:(k+1)*size], panel[place(col+k, q, d)+at:])
		}
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

// UnpackTable copies rows as they are kept.
func (b *Backend) UnpackTable(dst []byte, t kernels.Table, row, n int) {
	tab := t.(*table)
	rowBytes := tab.cols * tab.dtype.Size()
	must(row >= 0 && n >= 0 && row+n <= tab.rows && len(dst) == n*rowBytes, "UnpackTable", "rows %d+%d of %d into %d bytes", row, n, tab.rows, len(dst))
	copy(dst, tab.mem.data[row*rowBytes:])
}
