//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// weight is a matrix on the device.
type weight struct {
	spec   kernels.WeightSpec
	method method
	*layout
	mem    *memory
	tables *memory // of the layout: spans, programs, from, ends, groups
	// Where from, ends and the group of each k are.
	atFrom, atEnds, atGroups uint64
	// blockBytes is the size of the outputs that lie side by side.
	blockBytes, blocks int
	// Of a coded panel: where offsets and codes begin.
	offsets, codes int
}

func (w *weight) Spec() kernels.WeightSpec { return w.spec }
func (w *weight) Bytes() int64             { return int64(w.blocks) * int64(w.blockBytes) }

func (w *weight) Free() {
	w.mem.free()
	w.tables.free()
}

// newWeight lays a matrix out, without memory.
func (b *Backend) newWeight(spec kernels.WeightSpec) (*weight, error) {
	leaves, nodes, err := spec.Check()
	if err != nil {
		return nil, err
	}
	w := &weight{spec: spec, method: b.methodOf(spec)}
	w.layout = newLayout(leaves, nodes, w.method.step(spec.DType))
	w.blocks = ceilDiv(spec.Out, w.method.width())
	switch w.method {
	case panel:
		if c := spec.Coding; c != nil {
			w.codes = c.N * 32 * c.Scales.Size()
			if c.Offsets {
				w.offsets = w.codes
				w.codes += c.N * 32 * 4
			}
		}
		w.blockBytes = w.codes + w.steps()*lineBytes
	case bf16:
		w.blockBytes = w.steps() * stepBytes
	case quant:
		w.blockBytes = w.steps() * groupBytes(spec.Format)
	}
	return w, nil
}

const (
	lineBytes = 32 * 4 // a word for each output of a panel
	stepBytes = 1024   // of a tile of 16 outputs
)

// packRows is how many rows a thread reads at a time; a multiple of every method's
// width.
const packRows = 64

// Pack reads the matrix once, 64 rows at a time on every thread, and lays it out for
// the device (matmul.cu). A weight that is not finite is an error that names it.
func (b *Backend) Pack(spec kernels.WeightSpec, rows kernels.RowReader, pieces ...kernels.Piece) (kernels.Weight, error) {
	must(len(pieces) == 0, "Pack", "%s: pieces", spec.Name)
	w, err := b.newWeight(spec)
	if err != nil {
		return nil, err
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
	var groups []int32
	if c := w.spec.Coding; c != nil {
		for k := range w.spec.K {
			groups = append(groups, int32(c.GroupOf(k)))
		}
	}
	parts := [][]byte{bytesOf(l.split.spans), bytesOf(l.split.program), bytesOf(l.split.starts),
		bytesOf(l.whole.spans), bytesOf(l.whole.program), bytesOf(l.whole.starts), nil, nil, bytesOf(groups)}
	if w.method != panel {
		parts[6], parts[7] = bytesOf(l.from), bytesOf(l.ends)
	}
	at := []*uint64{&l.split.atSpans, &l.split.atProg, &l.split.atStarts, &l.whole.atSpans, &l.whole.atProg, &l.whole.atStarts, &w.atFrom, &w.atEnds, &w.atGroups}
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

// packed is 64 rows laid out, on their way to the device.
type packed struct {
	first int // row
	data  []byte
	err   error
}

// fill reads and lays out on every thread, and copies in order of rows.
func (w *weight) fill(b *Backend, rows kernels.RowReader) error {
	turns := ceilDiv(w.spec.Out, packRows)
	threads := min(runtime.GOMAXPROCS(0), turns)
	done := make([]chan packed, threads)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	defer wait.Wait()
	defer close(stop)
	for t := range done {
		done[t] = make(chan packed) // a thread is ahead by the rows that it has in hand
		wait.Go(func() {
			p := packer{w: w, rows: rows}
			for i := t; i < turns; i += threads {
				select {
				case done[t] <- p.pack(i * packRows):
				case <-stop:
					return
				}
			}
		})
	}
	for i := range turns {
		p := <-done[i%threads]
		if p.err != nil {
			return p.err
		}
		b.copyIn(w.mem.at+uint64(p.first/w.method.width()*w.blockBytes), p.data)
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

// packer is one thread's buffers. Two results take turns: one is copied while the
// other is made.
type packer struct {
	w      *weight
	rows   kernels.RowReader
	raw    []byte
	values []float32
	data   [2][]byte
}

// pack lays out rows from first on.
func (p *packer) pack(first int) packed {
	w := p.w
	spec := w.spec
	rowBytes := spec.RowBytes(0, spec.K)
	if p.raw == nil {
		p.raw = make([]byte, packRows*rowBytes)
		p.values = make([]float32, packRows*spec.K)
		p.data[0] = make([]byte, packRows/w.method.width()*w.blockBytes)
		p.data[1] = make([]byte, len(p.data[0]))
	}
	p.data[0], p.data[1] = p.data[1], p.data[0]
	n, width := min(packRows, spec.Out-first), w.method.width()
	out := p.data[0][:ceilDiv(n, width)*w.blockBytes]
	clear(out)
	if err := p.rows.ReadRows(p.raw[:n*rowBytes], first, n, 0, spec.K); err != nil {
		return packed{err: fmt.Errorf("%s: rows %d to %d: %w", spec.Name, first, first+n-1, err)}
	}
	for i := range n {
		record := p.raw[i*rowBytes : (i+1)*rowBytes]
		var err error
		if spec.Coding != nil {
			err = spec.Coding.CheckRecord(record, spec.DType, 0, spec.K)
			if err == nil {
				w.putRecord(out[i/width*w.blockBytes:], record, i%width)
			}
		} else {
			err = p.widen(i, record)
			if err == nil {
				err = w.putRow(out[i/width*w.blockBytes:], p.values[i*spec.K:(i+1)*spec.K], i%width)
			}
		}
		if err != nil {
			return packed{err: fmt.Errorf("%s: %w", spec.Name, rowError{first + i, err})}
		}
	}
	return packed{first: first, data: out}
}

// rowError names the row of an error.
type rowError struct {
	row int
	err error
}

func (e rowError) Error() string {
	if bad, ok := e.err.(notFinite); ok {
		return fmt.Sprintf("element [%d, %d] is %v", e.row, bad.k, bad.value)
	}
	return fmt.Sprintf("row %d: %v", e.row, e.err)
}

func (e rowError) Unwrap() error { return e.err }

type notFinite struct {
	k     int
	value float32
}

func (e notFinite) Error() string { return fmt.Sprintf("element %d is %v", e.k, e.value) }

// widen is row i in float32.
func (p *packer) widen(i int, record []byte) error {
	row := p.values[i*p.w.spec.K : (i+1)*p.w.spec.K]
	tensor.Widen(row, record, p.w.spec.DType)
	for k, v := range row {
		if v-v != 0 {
			return notFinite{k, v}
		}
	}
	return nil
}

// putRow places the values of output j of those that lie side by side.
func (w *weight) putRow(dst []byte, row []float32, j int) error {
	switch w.method {
	case panel:
		size := w.spec.DType.Size()
		per := 4 / size
		for i := range len(w.starts) - 1 {
			leaf := row[w.leaves[i]:w.leaves[i+1]]
			at := dst[w.starts[i]*lineBytes+j*4:]
			for k, v := range leaf {
				put(at[k/per*lineBytes+k%per*size:], v, w.spec.DType)
			}
		}
	case bf16:
		for s, from := range w.from {
			for k, v := range row[from:min(from+32, w.ends[s])] {
				// Its place in an A fragment of mma.m16n8k16.
				lane, half := j%8*4+k%8/2, k%16/8*4+j/8*2+k%2
				put(dst[s*stepBytes+k/16*512+lane*16+half*2:], v, tensor.BF16)
			}
		}
	case quant:
		return w.putGroups(dst, row, j)
	}
	return nil
}

// putRecord places the codes, scales and offsets of output j of a panel.
func (w *weight) putRecord(dst, record []byte, j int) {
	c, d, k := w.spec.Coding, w.spec.DType, w.spec.K
	tail, size := record[d.Bytes(k):], c.Scales.Size()
	for g := range c.N {
		copy(dst[(g*32+j)*size:], tail[g*size:(g+1)*size])
		if c.Offsets {
			copy(dst[w.offsets+(g*32+j)*4:], tail[c.N*size+g*4:][:4])
		}
	}
	per := w.method.step(d)
	flip := uint32(0)
	if d == tensor.I4 {
		flip = 8 // I4 is kept as U4, eight more
	}
	for i := range len(w.starts) - 1 {
		at := dst[w.codes+w.starts[i]*lineBytes+j*4:]
		for k := w.leaves[i]; k < w.leaves[i+1]; k++ {
			code, n := uint32(record[d.Bytes(k)]), k-w.leaves[i]
			if per == 8 {
				code = code>>(k%2*4)&15 ^ flip
			}
			word := at[n/per*lineBytes:]
			binary.LittleEndian.PutUint32(word, binary.LittleEndian.Uint32(word)|code<<(n%per*(32/per)))
		}
	}
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

// quantLines is the number of lines of a group, groupBytes its size.
func quantLines(f kernels.Format) int {
	if f == kernels.Q8 {
		return 8
	}
	return 4
}

func groupBytes(f kernels.Format) int { return 32*2 + quantLines(f)*lineBytes }

// putGroups quantizes output j of a panel.
func (w *weight) putGroups(dst []byte, row []float32, j int) error {
	f := w.spec.Format
	var q [kernels.Group / 4]uint32
	for g, from := range w.from {
		scale, err := kernels.QuantizeGroup(&q, row[from:min(from+kernels.Group, w.ends[g])], f)
		if err != nil {
			return err
		}
		group := dst[g*groupBytes(f):]
		binary.LittleEndian.PutUint16(group[2*j:], scale)
		lines := group[64+4*j:]
		for l := range quantLines(f) {
			word := q[l]
			if f == kernels.Q4 { // -8 to 7; flipping bit 3 of a nibble adds 8
				word = (q[2*l]&0x0f0f0f0f | q[2*l+1]&0x0f0f0f0f<<4) ^ 0x88888888
			}
			binary.LittleEndian.PutUint32(lines[l*lineBytes:], word)
		}
	}
	return nil
}
