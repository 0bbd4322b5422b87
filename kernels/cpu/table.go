package cpu

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
)

// table is an embedding table as stored.
type table struct {
	spec     kernels.WeightSpec
	rowBytes int
	mem      *region
}

func (t *table) Bytes() int64 { return int64(t.spec.Out) * int64(t.rowBytes) }
func (t *table) Free()        { t.mem.Free() }

// NewTable keeps the rows as they are stored.
func (b *Backend) NewTable(spec kernels.WeightSpec, rows kernels.RowReader) (kernels.Table, error) {
	if _, _, err := spec.Check(); err != nil {
		return nil, err
	}
	n, rowBytes := spec.Out, spec.RowBytes(0, spec.K)
	mem, err := b.weights.region(n * rowBytes)
	if err != nil {
		return nil, err
	}
	var first firstError
	const grain = 64
	b.pool.run(n, grain, func(_, lo, hi int) {
		for r := lo; r < hi; r += grain {
			end := min(r+grain, hi)
			if err := rows.ReadRows(mem.data[r*rowBytes:end*rowBytes], r, end-r, 0, spec.K); err != nil {
				first.set(r, fmt.Errorf("%s: rows %d to %d: %w", spec.Name, r, end-1, err))
				return
			}
		}
	})
	if first.err != nil {
		mem.Free()
		return nil, first.err
	}
	return &table{spec: spec, rowBytes: rowBytes, mem: mem}, nil
}

// Gather: dst[i, :] = table[ids[i], :], widened to float32.
//
//	dst [len(ids), C]
func (b *Backend) Gather(dst kernels.Buffer, t kernels.Table, ids []int32) {
	tab, out := t.(*table), host(dst)
	cols := tab.spec.K
	must(len(out) >= len(ids)*cols, "Gather", "%d rows of %d into %d values", len(ids), cols, len(out))
	for i, id := range ids {
		if id < 0 || int(id) >= tab.spec.Out {
			broken("Gather", "row %d of %d", id, tab.spec.Out)
		}
		tab.spec.Widen(out[i*cols:(i+1)*cols], tab.mem.data[int(id)*tab.rowBytes:][:tab.rowBytes])
	}
}
