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

// packedRows is a weight of compressed-tensors' pack-quantized format.
//
//	weight_packed      [N, K/p] words: p signed integers, stored plus 2^(bits-1)
//	weight_scale       [N, groups], [N, 1] or one value
//	weight_zero_point  [N/p, groups] words: p outputs' zero points, stored likewise;
//	                   or nothing
//	weight_g_idx       [K]: the group of each k, or nothing
//
// After: vllm-project/compressed-tensors, compressors/quantized_compressors/pack_quantized.py.
type packedRows struct {
	name           string
	n, k           int
	packed, scales located
	zeros          *located
	scaleType      tensor.DType
	oneScale       bool // for all outputs
	affine         affine
	coding         *kernels.Coding
	all            []located
}

func newPackedRows(p parts, want model.Stored) (matrix, error) {
	n, k := want.Shape[0], want.Shape[1]
	packed, err := p.get("weight_packed", intTypes, n, -1)
	if err != nil {
		return nil, err
	}
	if len(packed.Shape) != 2 {
		return nil, fmt.Errorf("shape %v; two dimensions belong here", packed.Shape)
	}
	width := widthOf(k, packed.Shape[1])
	scales, ok := p.c.data[p.base+".weight_scale"]
	if !ok {
		return nil, fmt.Errorf("weight_scale is missing beside it")
	}
	d, err := scales.dtype()
	if err != nil {
		return nil, fmt.Errorf("weight_scale: %w", err)
	}
	m := &packedRows{name: want.Name, n: n, k: k, packed: packed, scales: scales, scaleType: d, all: []located{packed, scales}}
	groups := 1
	switch s := scales.Shape; {
	case len(squeeze(s)) == 0 && n > 1:
		m.oneScale = true
	case len(s) == 1 && s[0] == n:
	case len(s) == 2 && s[0] == n && s[1] > 0:
		groups = s[1]
	default:
		return nil, fmt.Errorf("weight_scale: shape %v for a weight %v", s, want.Shape)
	}
	if k%groups != 0 {
		return nil, fmt.Errorf("weight_scale: %d groups of %d values", groups, k)
	}
	zeros := p.has("weight_zero_point")
	if m.affine, err = newAffine(width, d, zeros); err != nil {
		return nil, fmt.Errorf("shape %v for a weight %v: %w", packed.Shape, want.Shape, err)
	}
	if zeros {
		at, err := p.get("weight_zero_point", intTypes, (n+perWord(width)-1)/perWord(width), groups)
		if err != nil {
			return nil, err
		}
		if m.oneScale {
			return nil, fmt.Errorf("weight_zero_point with one scale for all is not supported")
		}
		m.zeros, m.all = &at, append(m.all, at)
	}
	m.coding = kernels.Runs(d, m.affine.offsets(), k, k/groups)
	if p.has("weight_g_idx") {
		at, err := p.get("weight_g_idx", intTypes, k)
		if err != nil {
			return nil, err
		}
		index, err := readIndex(at, k, groups)
		if err != nil {
			return nil, err
		}
		m.all = append(m.all, at)
		if !inRuns(index, k/groups) {
			m.coding = &kernels.Coding{Scales: d, Offsets: m.affine.offsets(), Index: index, N: groups}
		}
	}
	return m, nil
}

func (m *packedRows) info() Info {
	return Info{Name: m.name, DType: m.affine.d, Shape: []int{m.n, m.k}, Coding: m.coding}
}
func (m *packedRows) format() string   { return fmt.Sprintf("packed %d-bit", m.affine.bits) }
func (m *packedRows) parts() []located { return slices.Clone(m.all) }

func (m *packedRows) read(ctx context.Context, dst []byte, row, rows, col, cols int) error {
	if rows == 0 || cols == 0 {
		return nil
	}
	width := m.affine.bits
	per := perWord(width)
	k0, k1 := col/per, (col+cols+per-1)/per
	words, err := m.packed.load(ctx, grid(m.packed.Shape[1]*4, k0*4, (k1-k0)*4, row, rows))
	if err != nil {
		return err
	}
	coding, first := m.coding.Columns(col, cols)
	size := m.scaleType.Size()
	at, n := row, rows
	if m.oneScale {
		at, n = 0, 1
	}
	raw, err := m.scales.load(ctx, grid(m.coding.N*size, first*size, coding.N*size, at, n))
	if err != nil {
		return err
	}
	var zeroWords []byte
	z0 := row / per
	if m.zeros != nil {
		if zeroWords, err = m.zeros.load(ctx, grid(m.coding.N*4, first*4, coding.N*4, z0, (row+rows-1)/per+1-z0)); err != nil {
			return err
		}
	}
	q := make([]byte, cols)
	scales, offsets, zeros := make([]float32, coding.N), make([]float32, coding.N), make([]int, coding.N)
	record := len(dst) / rows
	for i := range rows {
		line := words[i*(k1-k0)*4:]
		for k := range q {
			q[k] = field(binary.LittleEndian.Uint32(line[((col+k)/per-k0)*4:]), (col+k)%per, width)
		}
		tensor.Widen(scales, raw[i%n*coding.N*size:], m.scaleType)
		if m.zeros != nil {
			for g := range zeros {
				word := binary.LittleEndian.Uint32(zeroWords[(((row+i)/per-z0)*coding.N+g)*4:])
				zeros[g] = int(field(word, (row+i)%per, width))
			}
		}
		m.affine.record(dst[i*record:(i+1)*record], coding, q, scales, offsets, zeros)
	}
	return nil
}
