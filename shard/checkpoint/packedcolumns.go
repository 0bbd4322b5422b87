package checkpoint

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/model"
)

// packedColumns is a weight of GPTQ or AWQ: stored [K, N], the other way round
// than all else, several integers in a word of 32 bits.
//
//	qweight  GPTQ [K/p, N]: a word holds p values of K    AWQ [K, N/p]: p outputs
//	scales   [groups, N]
//	qzeros   [groups, N/p]: a word holds p outputs' zero points
//	g_idx    [K], GPTQ's: the group of each k ("act-order"), or nothing
//
// After: AutoGPTQ, auto_gptq/nn_modules/qlinear; AutoAWQ, awq/utils/packing_utils.py.
type packedColumns struct {
	name                    string
	n, k                    int
	qweight, scales, qzeros located
	scaleType               tensor.DType
	affine                  affine
	coding                  *kernels.Coding
	acrossOutputs           bool  // AWQ's packing
	place                   []int // of output j in its word
	plusOne                 int   // is added to stored zero points
	all                     []located
	kind                    string
}

// newGPTQ finds the parts of a GPTQ weight.
func newGPTQ(p parts, want model.Stored, q *quantization) (matrix, error) {
	n, k := want.Shape[0], want.Shape[1]
	qweight, err := p.get("qweight", intTypes, -1, n)
	if err != nil {
		return nil, err
	}
	width := widthOf(k, qweight.Shape[0])
	m, err := newColumns(p, want, qweight, width)
	if err != nil {
		return nil, err
	}
	m.kind, m.place = "GPTQ", make([]int, perWord(width))
	for i := range m.place {
		m.place[i] = i
	}
	if q.gptqOne {
		m.plusOne = 1
	}
	groups := m.scales.Shape[0]
	size := q.group
	if size <= 0 {
		size = k
	}
	m.coding = kernels.Runs(m.scaleType, m.affine.offsets(), k, size)
	if p.has("g_idx") {
		at, err := p.get("g_idx", intTypes, k)
		if err != nil {
			return nil, err
		}
		index, err := readIndex(at, k, groups)
		if err != nil {
			return nil, err
		}
		m.all = append(m.all, at)
		if !inRuns(index, size) {
			m.coding = &kernels.Coding{Scales: m.scaleType, Offsets: m.affine.offsets(), Index: index, N: groups}
			m.kind += " act-order"
		}
	}
	if m.coding.N != groups {
		return nil, fmt.Errorf("scales has %d groups, where group_size %d makes %d", groups, size, m.coding.N)
	}
	return m, nil
}

// awqPlace is where in a word AWQ keeps each of eight outputs.
var awqPlace = []int{0, 4, 1, 5, 2, 6, 3, 7}

// newAWQ finds the parts of an AWQ weight.
func newAWQ(p parts, want model.Stored) (matrix, error) {
	n, k := want.Shape[0], want.Shape[1]
	qweight, err := p.get("qweight", intTypes, k, -1)
	if err != nil {
		return nil, err
	}
	width := widthOf(n, qweight.Shape[1])
	if width != 4 {
		return nil, fmt.Errorf("qweight: shape %v for a weight %v; AWQ is supported with 4 bits", qweight.Shape, want.Shape)
	}
	m, err := newColumns(p, want, qweight, width)
	if err != nil {
		return nil, err
	}
	m.kind, m.acrossOutputs, m.place = "AWQ", true, awqPlace
	groups := m.scales.Shape[0]
	if k%groups != 0 {
		return nil, fmt.Errorf("scales: %d groups of %d values", groups, k)
	}
	m.coding = kernels.Runs(m.scaleType, m.affine.offsets(), k, k/groups)
	return m, nil
}

func newColumns(p parts, want model.Stored, qweight located, width int) (*packedColumns, error) {
	n, k := want.Shape[0], want.Shape[1]
	scales, err := p.get("scales", realTypes, -1, n)
	if err != nil {
		return nil, err
	}
	if len(scales.Shape) != 2 || len(qweight.Shape) != 2 || scales.Shape[0] == 0 {
		return nil, fmt.Errorf("scales: shape %v, qweight: %v; both have two dimensions", scales.Shape, qweight.Shape)
	}
	d, _ := scales.dtype()
	m := &packedColumns{name: want.Name, n: n, k: k, qweight: qweight, scales: scales, scaleType: d}
	if m.affine, err = newAffine(width, d, true); err != nil {
		return nil, fmt.Errorf("qweight: shape %v for a weight %v: %w", qweight.Shape, want.Shape, err)
	}
	if n%perWord(width) != 0 || k%perWord(width) != 0 {
		return nil, fmt.Errorf("a weight %v is not made of whole words of %d values", want.Shape, perWord(width))
	}
	if m.qzeros, err = p.get("qzeros", intTypes, scales.Shape[0], n/perWord(width)); err != nil {
		return nil, err
	}
	m.all = []located{qweight, scales, m.qzeros}
	return m, nil
}

// readIndex reads the group of each k.
func readIndex(at located, k, groups int) ([]int32, error) {
	raw, err := at.load(context.Background(), grid(4*k, 0, 4*k, 0, 1))
	if err != nil {
		return nil, err
	}
	index := make([]int32, k)
	for i := range index {
		index[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
		if index[i] < 0 || int(index[i]) >= groups {
			return nil, fmt.Errorf("%s: element %d: group %d of %d", at.Name, i, index[i], groups)
		}
	}
	return index, nil
}

// inRuns reports whether groups of a size follow one another.
func inRuns(index []int32, size int) bool {
	for i, g := range index {
		if int(g) != i/size {
			return false
		}
	}
	return true
}

func (m *packedColumns) info() Info {
	return Info{Name: m.name, DType: m.affine.d, Shape: []int{m.n, m.k}, Coding: m.coding}
}
func (m *packedColumns) format() string   { return fmt.Sprintf("%s %d-bit", m.kind, m.affine.bits) }
func (m *packedColumns) parts() []located { return slices.Clone(m.all) }

func (m *packedColumns) read(ctx context.Context, dst []byte, row, rows, col, cols int) error {
	if rows == 0 || cols == 0 {
		return nil
	}
	per := perWord(m.affine.bits)
	q := make([]byte, rows*cols)
	if err := m.integers(ctx, q, row, rows, col, cols); err != nil {
		return err
	}
	coding, first := m.coding.Columns(col, cols)
	size := m.scaleType.Size()
	rawScales, err := m.scales.load(ctx, grid(m.n*size, row*size, rows*size, first, coding.N))
	if err != nil {
		return err
	}
	w0, w1 := row/per, (row+rows+per-1)/per
	words, err := m.qzeros.load(ctx, grid(m.n/per*4, w0*4, (w1-w0)*4, first, coding.N))
	if err != nil {
		return err
	}
	scales, offsets, zeros := make([]float32, coding.N), make([]float32, coding.N), make([]int, coding.N)
	record := len(dst) / rows
	for i := range rows {
		o := row + i
		for g := range coding.N {
			tensor.Widen(scales[g:g+1], rawScales[(g*rows+i)*size:], m.scaleType)
			word := binary.LittleEndian.Uint32(words[(g*(w1-w0)+o/per-w0)*4:])
			zeros[g] = (int(field(word, m.place[o%per], m.affine.bits)) + m.plusOne) & (1<<m.affine.bits - 1)
		}
		m.affine.record(dst[i*record:(i+1)*record], coding, q[i*cols:(i+1)*cols], scales, offsets, zeros)
	}
	return nil
}

// integers fills q [rows, cols] with the integers of a region.
func (m *packedColumns) integers(ctx context.Context, q []byte, row, rows, col, cols int) error {
	width := m.affine.bits
	per := perWord(width)
	if m.acrossOutputs {
		w0, w1 := row/per, (row+rows+per-1)/per
		words, err := m.qweight.load(ctx, grid(m.n/per*4, w0*4, (w1-w0)*4, col, cols))
		if err != nil {
			return err
		}
		for k := range cols {
			line := words[k*(w1-w0)*4:]
			for i := range rows {
				o := row + i
				q[i*cols+k] = field(binary.LittleEndian.Uint32(line[(o/per-w0)*4:]), m.place[o%per], width)
			}
		}
		return nil
	}
	k0, k1 := col/per, (col+cols+per-1)/per
	words, err := m.qweight.load(ctx, grid(m.n*4, row*4, rows*4, k0, k1-k0))
	if err != nil {
		return err
	}
	for kw := k0; kw < k1; kw++ {
		lo, hi := max(kw*per, col), min((kw+1)*per, col+cols)
		line := words[(kw-k0)*rows*4:]
		for i := range rows {
			word := binary.LittleEndian.Uint32(line[4*i:])
			for k := lo; k < hi; k++ {
				q[i*cols+k-col] = field(word, k-kw*per, width)
			}
		}
	}
	return nil
}
