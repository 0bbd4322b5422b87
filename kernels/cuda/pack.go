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
	"github.com/sullae/sullae/kernels/tree"
)

// weight is a matrix on the device.
type weight struct {
	spec   kernels.WeightSpec
	method method
	*layout
	mem    *memory
	host   []byte  // FromPacked's; then there is no mem
	tables *memory // of the layout: spans, programs, from, ends, groups
	// Where from, ends, chunks and the group of each k are.
	atFrom, atEnds, atChunks, atGroups uint64
	// blockBytes is the size of the outputs that lie side by side.
	blockBytes, blocks int
	// Where codes begin, and of a coded panel offsets; of codes those in a segment's head.
	offsets, codes int
}

func (w *weight) Spec() kernels.WeightSpec { return w.spec }
func (w *weight) Bytes() int64             { return int64(w.blocks) * int64(w.blockBytes) }

func (w *weight) Free() {
	w.host = nil
	w.mem.free()
	w.tables.free()
}

// newWeight lays a matrix out, without memory.
func (b *Backend) newWeight(spec kernels.WeightSpec) (*weight, error) {
	leaves, nodes, err := spec.Check()
	if err != nil {
		return nil, err
	}
	if n := len(leaves) - 1; n > maxLeaves {
		return nil, fmt.Errorf("%s: %d leaves, at most %d", spec.Name, n, maxLeaves)
	}
	w := &weight{spec: spec, method: b.methodOf(spec)}
	if w.method == codes {
		w.layout = newCodesLayout(leaves, nodes, spec.Coding)
	} else {
		w.layout = newLayout(leaves, nodes, w.method.step(spec.DType))
	}
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
	case mma:
		w.blockBytes = w.steps() * stepBytes
	case quant:
		w.blockBytes = w.steps() * groupBytes(spec.Format)
	case codes:
		if spec.Coding.Offsets {
			w.offsets = 16 * spec.Coding.Scales.Size()
		}
		w.codes = len(w.segments) * w.headBytes()
		w.blockBytes = w.codes + w.steps()*w.stepSize()
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

// Pack copies the pieces and reads what they leave, 64 rows at a time on every thread,
// and lays it out for the device (layout.go). A weight that is not finite is an error
// that names it.
func (b *Backend) Pack(spec kernels.WeightSpec, rows kernels.RowReader, pieces ...kernels.Piece) (kernels.Weight, error) {
	w, err := b.newWeight(spec)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		w.checkPiece(p)
	}
	if w.mem, err = b.alloc(w.blocks * w.blockBytes); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	if err = w.placeTables(b); err == nil {
		err = w.fill(b, rows, pieces)
	}
	if err == nil {
		err = b.Sync() // so that fetch finds it
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
	if c := w.spec.Coding; c != nil && w.method == panel {
		for k := range w.spec.K {
			groups = append(groups, int32(c.GroupOf(k)))
		}
	}
	parts := [][]byte{bytesOf(l.split.spans), bytesOf(l.split.leaves), bytesOf(l.whole.spans), bytesOf(l.whole.leaves), nil, nil, nil, bytesOf(groups)}
	if w.method == codes {
		parts[7] = bytesOf(l.parts)
	}
	if w.method != panel {
		parts[4], parts[5], parts[6] = bytesOf(l.from), bytesOf(l.ends), bytesOf(l.chunks)
	}
	at := []*uint64{&l.split.atSpans, &l.split.atLeaves, &l.whole.atSpans, &l.whole.atLeaves, &w.atFrom, &w.atEnds, &w.atChunks, &w.atGroups}
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
func (w *weight) fill(b *Backend, rows kernels.RowReader, pieces []kernels.Piece) error {
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
			p := packer{w: w, rows: rows, pieces: pieces}
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
	pieces []kernels.Piece
	raw    []byte
	values []float32
	data   [2][]byte
}

// pack lays out rows from first on.
func (p *packer) pack(first int) packed {
	w := p.w
	if p.values == nil {
		p.raw = make([]byte, packRows*w.spec.RowBytes(0, w.spec.K))
		p.values = make([]float32, w.spec.K)
		p.data[0] = make([]byte, packRows/w.method.width()*w.blockBytes)
		p.data[1] = make([]byte, len(p.data[0]))
	}
	p.data[0], p.data[1] = p.data[1], p.data[0]
	n := min(packRows, w.spec.Out-first)
	out := p.data[0][:ceilDiv(n, w.method.width())*w.blockBytes]
	clear(out)
	for _, h := range kernels.Holes(p.pieces, first, n, len(w.leaves)-1) {
		if err := p.read(out, first, h); err != nil {
			return packed{err: fmt.Errorf("%s: %w", w.spec.Name, err)}
		}
	}
	for _, piece := range p.pieces {
		if err := w.copyPiece(out, first, n, piece); err != nil {
			return packed{err: fmt.Errorf("%s: %w", w.spec.Name, err)}
		}
	}
	return packed{first: first, data: out}
}

// read lays out what no piece has.
func (p *packer) read(out []byte, first int, h kernels.Hole) error {
	w, spec, width := p.w, p.w.spec, p.w.method.width()
	col := w.leaves[h.Leaves.Lo]
	cols := w.leaves[h.Leaves.Hi] - col
	row, n, size := first+h.Rows.Lo, h.Rows.Len(), spec.RowBytes(col, cols)
	if n*size > len(p.raw) { // parts of a row may have more groups in all than it has
		p.raw = make([]byte, n*size)
	}
	if err := p.rows.ReadRows(p.raw[:n*size], row, n, col, cols); err != nil {
		return fmt.Errorf("rows %d to %d: %w", row, row+n-1, err)
	}
	for i := range n {
		record, j := p.raw[i*size:(i+1)*size], h.Rows.Lo+i
		block := out[j/width*w.blockBytes:][:w.blockBytes]
		if spec.Coding != nil {
			if err := spec.Coding.CheckRecord(record, spec.DType, col, cols); err != nil {
				return fmt.Errorf("row %d: %w", row+i, err)
			}
			if w.method == panel {
				w.putRecord(block, record, j%width, h.Leaves)
			} else if err := w.putCodes(block, record, j%width, h.Leaves); err != nil {
				return fmt.Errorf("row %d: %w", row+i, err)
			}
			continue
		}
		values := p.values[:cols]
		tensor.Widen(values, record, spec.DType)
		for k, v := range values {
			if v-v != 0 {
				return fmt.Errorf("element [%d, %d] is %v", row+i, col+k, v)
			}
		}
		if err := w.putRow(block, values, j%width, h.Leaves); err != nil {
			return fmt.Errorf("row %d: %w", row+i, err)
		}
	}
	return nil
}

// putRow places leaves of output j of those that lie side by side; row begins with the
// first of them.
func (w *weight) putRow(dst []byte, row []float32, j int, leaves tree.Range) error {
	col := w.leaves[leaves.Lo]
	switch w.method {
	case panel:
		size := w.spec.DType.Size()
		per := 4 / size
		for i := leaves.Lo; i < leaves.Hi; i++ {
			at := dst[w.starts[i]*lineBytes+j*4:]
			for k, v := range row[w.leaves[i]-col : w.leaves[i+1]-col] {
				put(at[k/per*lineBytes+k%per*size:], v, w.spec.DType)
			}
		}
	case mma:
		up := 1 / mmaScale(w.spec.DType)
		for s := w.starts[leaves.Lo]; s < w.starts[leaves.Hi]; s++ {
			values := row[int(w.from[s])-col : int(min(w.from[s]+32, w.ends[s]))-col]
			if k := putFragments(dst[s*stepBytes:][:stepBytes], values, j, up); k >= 0 {
				return fmt.Errorf("element %d is %v: too large for the tensor cores; use --cuda-exact", int(w.from[s])+k, values[k])
			}
		}
	case quant:
		return w.putGroups(dst, row, j, leaves)
	}
	return nil
}

// putFragments places up to 32 values of output j, times up, in two A fragments of
// mma.m16n8k16. It returns which of them is too large for binary16, or -1.
func putFragments(dst []byte, values []float32, j int, up float32) int {
	place := dst[j%8*64+j/8*4:]
	half := func(v float32) uint32 {
		const least, most = 0x38800000, 0x477ff000 // normal, and not too large
		u := math.Float32bits(v * up)
		if size := u & 0x7fffffff; size-least < most-least {
			return u>>16&0x8000 | (size-112<<23+0xfff+size>>13&1)>>13
		}
		return uint32(tensor.Float32ToF16(v * up))
	}
	for k := 0; k < len(values); k += 2 { // lie side by side
		word := half(values[k])
		if word&0x7fff == 0x7c00 {
			return k
		}
		if k+1 < len(values) {
			next := half(values[k+1])
			if next&0x7fff == 0x7c00 {
				return k + 1
			}
			word |= next << 16
		}
		binary.LittleEndian.PutUint32(place[k/16*512+k%8/2*16+k%16/8*8:], word)
	}
	return -1
}

// putRecord places the codes of leaves of output j of a panel, and the scales and
// offsets of their groups.
func (w *weight) putRecord(dst, record []byte, j int, leaves tree.Range) {
	d, col := w.spec.DType, w.leaves[leaves.Lo]
	cols := w.leaves[leaves.Hi] - col
	c, first := w.spec.Coding.Columns(col, cols)
	tail, size := record[d.Bytes(cols):], c.Scales.Size()
	for g := range c.N {
		copy(dst[((first+g)*32+j)*size:], tail[g*size:(g+1)*size])
		if c.Offsets {
			copy(dst[w.offsets+((first+g)*32+j)*4:], tail[c.N*size+g*4:][:4])
		}
	}
	per := w.method.step(d)
	flip := uint32(0)
	if d == tensor.I4 {
		flip = 8 // I4 is kept as U4, eight more
	}
	for i := leaves.Lo; i < leaves.Hi; i++ {
		at := dst[w.codes+w.starts[i]*lineBytes+j*4:]
		for k := w.leaves[i] - col; k < w.leaves[i+1]-col; k++ {
			code, n := uint32(record[d.Bytes(k)]), k-(w.leaves[i]-col)
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

// putGroups quantizes leaves of output j of a panel.
func (w *weight) putGroups(dst []byte, row []float32, j int, leaves tree.Range) error {
	f, col := w.spec.Format, w.leaves[leaves.Lo]
	var q [kernels.Group / 4]uint32
	for g := w.starts[leaves.Lo]; g < w.starts[leaves.Hi]; g++ {
		scale, err := kernels.QuantizeGroup(&q, row[int(w.from[g])-col:int(min(w.from[g]+kernels.Group, w.ends[g]))-col], f)
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
