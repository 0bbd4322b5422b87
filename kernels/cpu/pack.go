package cpu

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

const (
	stripWidth  = 16 // outputs side by side
	panelStrips = 4
	panelWidth  = stripWidth * panelStrips
	lineBytes   = 64
)

// weight is a matrix [Out, K] as panels of 64 outputs, zero outputs appended to
// the last one. A panel is four strips of 16 outputs, interleaved by lines of 64
// bytes: the first line of each strip, then the second of each. So a product of
// one row reads a panel as one stream, and one of many rows, strip by strip,
// uses whole lines. A line holds the 16 weights for one k (F32) or for two (the
// others), little-endian in their stored type:
//
//	F32, F16   output 0, 1, 2 ... 15
//	BF16       output 0, 8, 1, 9 ... 7, 15: of the eight 32-bit words, the low
//	           halves are outputs 0 to 7 and the high halves 8 to 15, so that
//	           one shift and one mask widen all sixteen
type weight struct {
	spec       kernels.WeightSpec
	leaves     []int
	nodes      []tree.Range
	panels     int
	panelBytes int
	mem        *region

	// Of a quantized matrix (quantweight.go): the groups before each leaf, and
	// whether leaves are made of whole ones.
	groupOf     []int
	wholeGroups bool

	coded *codedLayout // of a coded one (coded.go), else nil
}

func (w *weight) Spec() kernels.WeightSpec { return w.spec }
func (w *weight) Bytes() int64             { return int64(w.panels) * int64(w.panelBytes) }
func (w *weight) Free()                    { w.mem.Free() }

// place is where in a panel the weights of strip q for k begin.
func place(k, q int, d tensor.DType) int {
	if d == tensor.F32 {
		return (k*panelStrips + q) * lineBytes
	}
	return (k/2*panelStrips+q)*lineBytes + k%2*(lineBytes/2)
}

// levels is how many partial sums the tree over a node needs at most.
func (w *weight) levels() int {
	n := 1
	for _, node := range w.nodes {
		n = max(n, bits.Len(uint(node.Len())))
	}
	return n
}

// Pack works on 64 rows at a time on every thread. A weight that is NaN or
// infinite is an error that names it.
func (b *Backend) Pack(spec kernels.WeightSpec, rows kernels.RowReader, pieces ...kernels.Piece) (kernels.Weight, error) {
	w, err := newWeight(spec)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		w.checkPiece(p)
	}
	if w.mem, err = b.weights.region(w.panels * w.panelBytes); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	var first firstError
	b.pool.run(w.panels, 1, func(_, lo, hi int) {
		r := panelReader{v: b.v, w: w, rows: rows}
		for p := lo; p < hi && !first.before(p); p++ {
			if err := r.read(p, kernels.Holes(pieces, p*panelWidth, min(panelWidth, spec.Out-p*panelWidth), len(w.leaves)-1)); err != nil {
				first.set(p, err)
				return
			}
			for _, piece := range pieces {
				w.copyPiece(p, piece)
			}
		}
	})
	if first.err != nil {
		w.Free()
		return nil, first.err
	}
	return w, nil
}

// panelReader reads what pieces leave of a panel and packs it.
type panelReader struct {
	v    *variant
	w    *weight
	rows kernels.RowReader
	buf  []byte // 64 rows as stored
	part []byte // columns of some of them
}

func (r *panelReader) read(p int, holes []kernels.Hole) error {
	if len(holes) == 0 {
		return nil
	}
	spec := r.w.spec
	if r.w.coded != nil {
		return r.readCoded(p, holes)
	}
	size := spec.DType.Size()
	rowBytes := spec.K * size
	if r.buf == nil {
		r.buf = make([]byte, panelWidth*rowBytes)
	}
	clear(r.buf)
	for _, h := range holes {
		col, cols := r.w.leaves[h.Leaves.Lo], r.w.leaves[h.Leaves.Hi]-r.w.leaves[h.Leaves.Lo]
		row, n := p*panelWidth+h.Rows.Lo, h.Rows.Len()
		at := r.buf[h.Rows.Lo*rowBytes:]
		dst := at[:n*rowBytes]
		if cols < spec.K {
			r.part = slices.Grow(r.part[:0], n*cols*size)
			dst = r.part[:n*cols*size]
		}
		if err := r.rows.ReadRows(dst, row, n, col, cols); err != nil {
			return fmt.Errorf("%s: rows %d to %d: %w", spec.Name, row, row+n-1, err)
		}
		if cols < spec.K {
			for i := range n {
				copy(at[i*rowBytes+col*size:], dst[i*cols*size:(i+1)*cols*size])
			}
		}
	}
	n := min(panelWidth, spec.Out-p*panelWidth)
	if err := checkFinite(r.buf[:n*rowBytes], spec, p*panelWidth); err != nil {
		return err
	}
	panel := r.w.panel(p)
	if spec.Format == kernels.AsStored {
		packPanel(panel, r.buf, spec.K, spec.DType)
		return nil
	}
	return r.w.quantPanel(r.v, panel, r.buf[:n*rowBytes], p*panelWidth)
}

// readCoded is read for codes.
func (r *panelReader) readCoded(p int, holes []kernels.Hole) error {
	spec := r.w.spec
	for _, h := range holes {
		col, cols := r.w.leaves[h.Leaves.Lo], r.w.leaves[h.Leaves.Hi]-r.w.leaves[h.Leaves.Lo]
		row, n, size := p*panelWidth+h.Rows.Lo, h.Rows.Len(), spec.RowBytes(col, cols)
		r.buf = slices.Grow(r.buf[:0], n*size)[:n*size]
		if err := r.rows.ReadRows(r.buf, row, n, col, cols); err != nil {
			return fmt.Errorf("%s: rows %d to %d: %w", spec.Name, row, row+n-1, err)
		}
		for i := range n {
			if err := r.w.putRecord(r.w.panel(p), r.buf[i*size:(i+1)*size], h.Rows.Lo+i, col, cols); err != nil {
				return fmt.Errorf("%s: row %d: %w", spec.Name, row+i, err)
			}
		}
	}
	return nil
}

// panel is the memory of panel p.
func (w *weight) panel(p int) []byte { return w.mem.data[p*w.panelBytes:][:w.panelBytes] }

func newWeight(spec kernels.WeightSpec) (*weight, error) {
	leaves, nodes, err := spec.Check()
	if err != nil {
		return nil, err
	}
	w := &weight{spec: spec, leaves: leaves, nodes: nodes}
	w.panels = (spec.Out + panelWidth - 1) / panelWidth
	if spec.Format != kernels.AsStored {
		w.layGroups()
		return w, nil
	}
	if spec.Coding != nil {
		w.coded, w.panelBytes = newCodedLayout(spec)
		return w, nil
	}
	w.panelBytes = place(spec.K+spec.K%2, 0, spec.DType)
	if spec.DType == tensor.F32 {
		w.panelBytes = place(spec.K, 0, spec.DType)
	}
	return w, nil
}

// firstError keeps the error of the lowest panel, so that the same matrix gives
// the same error on any number of threads.
type firstError struct {
	mu    sync.Mutex
	panel int
	err   error
}

func (f *firstError) before(panel int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err != nil && f.panel < panel
}

func (f *firstError) set(panel int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || panel < f.panel {
		f.panel, f.err = panel, err
	}
}

// checkFinite finds an exponent of all ones, eight bytes at a time: adding one
// to such an exponent carries into the place of the sign.
func checkFinite(rows []byte, spec kernels.WeightSpec, row int) error {
	var exp, one, sign uint64
	switch spec.DType {
	case tensor.F32:
		exp, one, sign = 0x7f800000_7f800000, 0x00800000_00800000, 0x80000000_80000000
	case tensor.BF16:
		exp, one, sign = 0x7f80_7f80_7f80_7f80, 0x0080_0080_0080_0080, 0x8000_8000_8000_8000
	case tensor.F16:
		exp, one, sign = 0x7c00_7c00_7c00_7c00, 0x0400_0400_0400_0400, 0x8000_8000_8000_8000
	}
	i := 0
	for ; i+8 <= len(rows); i += 8 {
		if (binary.LittleEndian.Uint64(rows[i:])&exp+one)&sign != 0 {
			break
		}
	}
	var f [1]float32
	size := spec.DType.Size()
	for ; i < len(rows); i += size {
		tensor.Widen(f[:], rows[i:], spec.DType)
		if f[0]-f[0] != 0 {
			e := i / size
			return fmt.Errorf("%s: element [%d, %d] is %v", spec.Name, row+e/spec.K, e%spec.K, f[0])
		}
	}
	return nil
}

// packPanel transposes 64 rows of k values into a panel, in runs of k that stay
// in the first cache.
func packPanel(dst, rows []byte, k int, d tensor.DType) {
	const run = 64
	for k0 := 0; k0 < k; k0 += run {
		for q := range panelStrips {
			packStrip(dst, rows[q*stripWidth*k*d.Size():], k, k0, min(k0+run, k), q, d)
		}
	}
}

// packStrip places values [k0, k1) of 16 rows; k0 is even.
func packStrip(dst, rows []byte, k, k0, k1, q int, d tensor.DType) {
	const step = panelStrips * lineBytes
	out := dst[place(k0, q, d):]
	if d == tensor.F32 {
		for j := range stripWidth {
			src := rows[4*(j*k+k0):][:4*(k1-k0)]
			for i := range k1 - k0 {
				binary.LittleEndian.PutUint32(out[step*i+4*j:], binary.LittleEndian.Uint32(src[4*i:]))
			}
		}
		return
	}
	for j := range stripWidth / 2 {
		lo, hi := 2*j, 2*j+1
		if d == tensor.BF16 {
			lo, hi = j, j+8
		}
		a, b := rows[2*(lo*k+k0):][:2*(k1-k0)], rows[2*(hi*k+k0):][:2*(k1-k0)]
		i := 0
		for ; i+4 <= k1-k0; i += 4 {
			x, y := binary.LittleEndian.Uint64(a[2*i:]), binary.LittleEndian.Uint64(b[2*i:])
			to := out[step*(i/2)+4*j:][:step+lineBytes/2+4]
			binary.LittleEndian.PutUint32(to, uint32(x&0xffff|y<<16))
			binary.LittleEndian.PutUint32(to[lineBytes/2:], uint32(x>>16&0xffff|y&0xffff0000))
			binary.LittleEndian.PutUint32(to[step:], uint32(x>>32&0xffff|y>>16&0xffff0000))
			binary.LittleEndian.PutUint32(to[step+lineBytes/2:], uint32(x>>48|y>>32&0xffff0000))
		}
		for ; i < k1-k0; i++ {
			u := uint32(binary.LittleEndian.Uint16(a[2*i:])) | uint32(binary.LittleEndian.Uint16(b[2*i:]))<<16
			binary.LittleEndian.PutUint32(out[step*(i/2)+lineBytes/2*(i%2)+4*j:], u)
		}
	}
}
