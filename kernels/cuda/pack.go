//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// weight is a matrix on the device.
type weight struct {
	spec   kernels.WeightSpec
	method method
	layout *layout
	mem    *memory
	tables *memory // of the layout: spans, programs, from, ends
	from   uint64
	ends   uint64
	// blockBytes is the size of the outputs that lie side by side.
	blockBytes int
	blocks     int
}

func (w *weight) Spec() kernels.WeightSpec { return w.spec }
func (w *weight) Bytes() int64             { return int64(w.mem.size) }

func (w *weight) Free() {
	w.mem.free()
	w.tables.free()
}

// packRows is how many rows are read at a time; a multiple of every method's width.
const packRows = 64

// Pack reads the matrix once, 64 rows at a time, and lays it out for the device
// (matmul.cu). Codes are decoded into float32. A weight that is not finite is an
// error that names it.
func (b *Backend) Pack(spec kernels.WeightSpec, rows kernels.RowReader, pieces ...kernels.Piece) (kernels.Weight, error) {
	must(len(pieces) == 0, "Pack", "%s: pieces", spec.Name)
	spec, rows = kernels.Decoded(spec, rows)
	m, err := b.methodOf(spec)
	if err != nil {
		return nil, err
	}
	w := &weight{spec: spec, method: m}
	if w.layout, err = newLayout(spec, m); err != nil {
		return nil, err
	}
	steps := w.layout.starts[len(w.layout.starts)-1]
	w.blocks = ceilDiv(spec.Out, m.width())
	switch m {
	case exact:
		w.blockBytes = steps * m.width() * spec.DType.Size()
	case bf16:
		w.blockBytes = steps * 512
	case quant:
		w.blockBytes = steps * (m.width()*2 + quantLines(spec.Format)*m.width()*4)
	}
	if w.mem, err = b.alloc(w.blocks * w.blockBytes); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	if err = w.placeTables(b); err == nil {
		err = w.fill(b, rows)
	}
	if err != nil {
		w.Free()
		return nil, err
	}
	return w, nil
}

// placeTables copies what the kernels need to know of the layout.
func (w *weight) placeTables(b *Backend) error {
	l := w.layout
	parts := [][]byte{bytesOf(l.split.spans), bytesOf(l.split.program), bytesOf(l.split.starts),
		bytesOf(l.whole.spans), bytesOf(l.whole.program), bytesOf(l.whole.starts), bytesOf(l.from), bytesOf(l.ends)}
	at := []*uint64{&l.split.atSpans, &l.split.atProg, &l.split.atStarts, &l.whole.atSpans, &l.whole.atProg, &l.whole.atStarts, &w.from, &w.ends}
	var all []byte
	for i, p := range parts {
		*at[i] = uint64(len(all))
		all = append(all, p...)
		for len(all)%16 != 0 {
			all = append(all, 0)
		}
	}
	var err error
	if w.tables, err = b.alloc(len(all)); err != nil {
		return fmt.Errorf("%s: %w", w.spec.Name, err)
	}
	for _, a := range at {
		*a += w.tables.at
	}
	b.copyIn(w.tables.at, all)
	return b.err
}

// fill reads, lays out and copies.
func (w *weight) fill(b *Backend, rows kernels.RowReader) error {
	spec := w.spec
	rowBytes := spec.RowBytes(0, spec.K)
	raw := make([]byte, packRows*rowBytes)
	values := make([]float32, packRows*spec.K)
	per := packRows / w.method.width()
	packed := make([]byte, per*w.blockBytes)
	for first := 0; first < spec.Out; first += packRows {
		n := min(packRows, spec.Out-first)
		if err := rows.ReadRows(raw[:n*rowBytes], first, n, 0, spec.K); err != nil {
			return fmt.Errorf("%s: rows %d to %d: %w", spec.Name, first, first+n-1, err)
		}
		clear(values)
		for i := range n {
			row := values[i*spec.K : (i+1)*spec.K]
			spec.Widen(row, raw[i*rowBytes:(i+1)*rowBytes])
			for k, v := range row {
				if v-v != 0 {
					return fmt.Errorf("%s: element [%d, %d] is %v", spec.Name, first+i, k, v)
				}
			}
		}
		clear(packed)
		blocks := ceilDiv(n, w.method.width())
		for i := range blocks {
			if err := w.packBlock(packed[i*w.blockBytes:(i+1)*w.blockBytes], values[i*w.method.width()*spec.K:], first+i*w.method.width()); err != nil {
				return err
			}
		}
		b.copyIn(w.mem.at+uint64(first/w.method.width()*w.blockBytes), packed[:blocks*w.blockBytes])
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

// packBlock lays out the outputs that lie side by side; values has their rows.
func (w *weight) packBlock(dst []byte, values []float32, first int) error {
	k, width, l := w.spec.K, w.method.width(), w.layout
	switch w.method {
	case exact:
		size := w.spec.DType.Size()
		for i := range k {
			for j := range width {
				put(dst[(i*width+j)*size:], values[j*k+i], w.spec.DType)
			}
		}
	case bf16:
		for s, at := range l.from {
			for lane := range 32 {
				g, t := lane/4, lane%4
				for r := range 8 { // two values in each of four registers
					row, col := g+r/2%2*8, int(at)+2*t+r%2+r/4*8
					if col < int(l.ends[s]) {
						put(dst[s*512+lane*16+r*2:], values[row*k+col], tensor.BF16)
					}
				}
			}
		}
	case quant:
		return w.quantBlock(dst, values, first)
	}
	return nil
}

func put(dst []byte, v float32, d tensor.DType) {
	switch d {
	case tensor.BF16:
		binary.LittleEndian.PutUint16(dst, uint16(math.Float32bits(v)>>16)) // v came from one
	case tensor.F16:
		binary.LittleEndian.PutUint16(dst, tensor.Float32ToF16(v))
	default:
		binary.LittleEndian.PutUint32(dst, math.Float32bits(v))
	}
}

// quantLines is the number of lines of a group.
func quantLines(f kernels.Format) int {
	if f == kernels.Q8 {
		return 8
	}
	return 4
}

// quantBlock quantizes 32 outputs as package reference says (QuantizeWeights).
func (w *weight) quantBlock(dst []byte, values []float32, first int) error {
	f, k := w.spec.Format, w.spec.K
	lines := quantLines(f)
	size := 64 + lines*128
	for g, at := range w.layout.from {
		group := dst[g*size:]
		n := min(kernels.Group, int(w.layout.ends[g]-at))
		for j := range 32 {
			v := values[j*k+int(at):][:n]
			var q [kernels.Group]int8
			half, err := quantGroup(&q, v, f)
			if err != nil {
				return fmt.Errorf("%s: row %d: %w", w.spec.Name, first+j, err)
			}
			binary.LittleEndian.PutUint16(group[2*j:], half)
			for l := range lines {
				word := group[64+(l*32+j)*4:]
				for i := range 4 {
					if f == kernels.Q8 {
						word[i] = byte(q[4*l+i])
					} else {
						word[i] = byte(q[8*l+i]+8) | byte(q[8*l+4+i]+8)<<4
					}
				}
			}
		}
	}
	return nil
}

func quantGroup(q *[kernels.Group]int8, v []float32, f kernels.Format) (half uint16, err error) {
	top, size := float32(0), float32(0)
	for _, x := range v {
		if a := float32(math.Abs(float64(x))); a > size {
			top, size = x, a
		}
	}
	scale, least, most := top/-8, float32(-8), float32(7)
	if f == kernels.Q8 {
		scale, least, most = size/127, -127, 127
	}
	half = tensor.Float32ToF16(scale)
	if half&0x7c00 == 0x7c00 {
		return 0, fmt.Errorf("a weight of %v is too large to be quantized", top)
	}
	inv := float32(0)
	if s := tensor.HalfToFloat32(half); s != 0 {
		inv = 1 / s
	}
	for i, x := range v {
		q[i] = int8(min(max(float32(math.RoundToEven(float64(float32(x*inv)))), least), most))
	}
	return half, nil
}

// table is an embedding table as stored, or decoded.
type table struct {
	rows, cols int
	dtype      tensor.DType
	mem        *memory
}

func (t *table) Bytes() int64 { return int64(t.rows) * int64(t.cols) * int64(t.dtype.Size()) }
func (t *table) Free()        { t.mem.free() }

// NewTable implements kernels.Backend.
func (b *Backend) NewTable(spec kernels.WeightSpec, rows kernels.RowReader) (kernels.Table, error) {
	spec, rows = kernels.Decoded(spec, rows)
	if spec.Out <= 0 || spec.K <= 0 || spec.DType.Size() == 0 {
		return nil, fmt.Errorf("%s: cannot keep a table [%d, %d] of %v", spec.Name, spec.Out, spec.K, spec.DType)
	}
	t := &table{rows: spec.Out, cols: spec.K, dtype: spec.DType}
	var err error
	if t.mem, err = b.alloc(int(t.Bytes())); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	rowBytes := spec.K * spec.DType.Size()
	raw := make([]byte, packRows*rowBytes)
	for row := 0; row < spec.Out; row += packRows {
		n := min(packRows, spec.Out-row)
		if err := rows.ReadRows(raw[:n*rowBytes], row, n, 0, spec.K); err != nil {
			t.Free()
			return nil, fmt.Errorf("%s: rows %d to %d: %w", spec.Name, row, row+n-1, err)
		}
		b.copyIn(t.mem.at+uint64(row*rowBytes), raw[:n*rowBytes])
	}
	if b.err != nil {
		t.Free()
		return nil, b.err
	}
	return t, nil
}

// Gather: see kernels.Backend.
func (b *Backend) Gather(dst kernels.Buffer, t kernels.Table, ids []int32) {
	tab := t.(*table)
	must(dst.Len() >= len(ids)*tab.cols, "Gather", "%d rows of %d into %d values", len(ids), tab.cols, dst.Len())
	for _, id := range ids {
		must(id >= 0 && int(id) < tab.rows, "Gather", "row %d of %d", id, tab.rows)
	}
	defer b.device.enter()()
	b.launch("gather", grid{len(ids), 1, 1}, dev(dst).at, tab.mem.at, send(b, ids), uint64(tab.cols), deviceType(tab.dtype))
}
