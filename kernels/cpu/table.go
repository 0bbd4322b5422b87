package cpu

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// table is an embedding table as stored.
type table struct {
	rows, cols int
	dtype      tensor.DType
	mem        *region
}

func (t *table) Bytes() int64 { return int64(t.rows) * int64(t.cols) * int64(t.dtype.Size()) }
func (t *table) Free()        { t.mem.Free() }

// NewTable keeps n rows of c stored values.
func (b *Backend) NewTable(n, c int, d tensor.DType, rows kernels.RowReader) (kernels.Table, error) {
	if n <= 0 || c <= 0 || d.Size() == 0 {
		return nil, fmt.Errorf("cpu: cannot keep a table [%d, %d] of %v", n, c, d)
	}
	rowBytes := c * d.Size()
	mem, err := newRegion(n * rowBytes)
	if err != nil {
		return nil, err
	}
	var first firstError
	const grain = 64
	b.pool.run(n, grain, func(_, lo, hi int) {
		for r := lo; r < hi; r += grain {
			end := min(r+grain, hi)
			if err := rows.ReadRows(mem.data[r*rowBytes:end*rowBytes], r, end-r, 0, c); err != nil {
				first.set(r, fmt.Errorf("cpu: table rows %d to %d: %w", r, end-1, err))
				return
			}
		}
	})
	if first.err != nil {
		mem.Free()
		return nil, first.err
	}
	return &table{rows: n, cols: c, dtype: d, mem: mem}, nil
}

// Gather: dst[i, :] = table[ids[i], :], widened to float32.
//
//	dst [len(ids), C]
func (b *Backend) Gather(dst kernels.Buffer, t kernels.Table, ids []int32) {
	tab, out := t.(*table), host(dst)
	must(len(out) >= len(ids)*tab.cols, "Gather", "%d rows of %d into %d values", len(ids), tab.cols, len(out))
	rowBytes := tab.cols * tab.dtype.Size()
	for i, id := range ids {
		must(id >= 0 && int(id) < tab.rows, "Gather", "row %d of %d", id, tab.rows)
		tensor.Widen(out[i*tab.cols:(i+1)*tab.cols], tab.mem.data[int(id)*rowBytes:], tab.dtype)
	}
}
