//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// table is an embedding table as stored. A row of codes has its scales and offsets,
// both float32, before them (rows.cu, gather_coded), and begins at a multiple of 4.
type table struct {
	spec     kernels.WeightSpec
	rowBytes int // on the device
	mem      *memory
	groups   *memory // of each k, where there are codes
}

func (t *table) Bytes() int64 { return int64(t.spec.Out) * int64(t.rowBytes) }

func (t *table) Free() {
	t.mem.free()
	t.groups.free()
}

// NewTable implements kernels.Backend.
func (b *Backend) NewTable(spec kernels.WeightSpec, rows kernels.RowReader) (kernels.Table, error) {
	if _, _, err := spec.Check(); err != nil {
		return nil, err
	}
	stored := spec.RowBytes(0, spec.K)
	t := &table{spec: spec, rowBytes: stored}
	if c := spec.Coding; c != nil {
		t.rowBytes = (t.shifts() + spec.DType.Bytes(spec.K) + 3) &^ 3
	}
	if err := t.place(b); err != nil {
		t.Free()
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	raw, packed := make([]byte, packRows*stored), make([]byte, packRows*t.rowBytes)
	for row := 0; row < spec.Out; row += packRows {
		n := min(packRows, spec.Out-row)
		if err := rows.ReadRows(raw[:n*stored], row, n, 0, spec.K); err != nil {
			t.Free()
			return nil, fmt.Errorf("%s: rows %d to %d: %w", spec.Name, row, row+n-1, err)
		}
		data := raw[:n*stored]
		if spec.Coding != nil {
			for i := range n {
				t.putRecord(packed[i*t.rowBytes:(i+1)*t.rowBytes], raw[i*stored:(i+1)*stored])
			}
			data = packed[:n*t.rowBytes]
		}
		b.copyIn(t.mem.at+uint64(row*t.rowBytes), data)
	}
	if err := b.Sync(); err != nil { // so that fetch finds it
		t.Free()
		return nil, err
	}
	return t, nil
}

// shifts is the size of a row's scales and offsets.
func (t *table) shifts() int {
	n := 4 * t.spec.Coding.N
	if t.spec.Coding.Offsets {
		n *= 2
	}
	return n
}

// place allocates, and tells the device the groups of codes.
func (t *table) place(b *Backend) (err error) {
	if t.mem, err = b.alloc(int(t.Bytes())); err != nil || t.spec.Coding == nil {
		return err
	}
	groups := make([]int32, t.spec.K)
	for k := range groups {
		groups[k] = int32(t.spec.Coding.GroupOf(k))
	}
	if t.groups, err = b.alloc(4 * len(groups)); err != nil {
		return err
	}
	b.copyIn(t.groups.at, bytesOf(groups))
	return b.err
}

func (t *table) putRecord(dst, record []byte) {
	c, codes := t.spec.Coding, t.spec.DType.Bytes(t.spec.K)
	scales, offsets := make([]float32, c.N), make([]float32, c.N)
	c.Tail(scales, offsets, record[codes:])
	for i, s := range scales {
		put(dst[4*i:], s, tensor.F32)
		if c.Offsets {
			put(dst[4*(c.N+i):], offsets[i], tensor.F32)
		}
	}
	copy(dst[t.shifts():], record[:codes])
}

// Gather: see kernels.Backend.
func (b *Backend) Gather(dst kernels.Buffer, t kernels.Table, ids []int32) {
	tab := t.(*table)
	spec := tab.spec
	must(dst.Len() >= len(ids)*spec.K, "Gather", "%d rows of %d into %d values", len(ids), spec.K, dst.Len())
	for _, id := range ids {
		must(id >= 0 && int(id) < spec.Out, "Gather", "row %d of %d", id, spec.Out)
	}
	defer b.device.enter()()
	g := grid{len(ids), 1, 1}
	if c := spec.Coding; c != nil {
		offsets := uint64(0)
		if c.Offsets {
			offsets = 1
		}
		b.launch("gather_coded", g, dev(dst).at, tab.mem.at, send(b, ids), tab.groups.at, uint64(spec.K), deviceType(spec.DType), uint64(c.N), offsets, uint64(tab.rowBytes))
		return
	}
	b.launch("gather", g, dev(dst).at, tab.mem.at, send(b, ids), uint64(spec.K), deviceType(spec.DType))
}
