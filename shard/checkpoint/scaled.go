package checkpoint

import (
	"context"
	"fmt"
	"slices"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/model"
)

// scaled is a weight of 8-bit numbers, integers or e4m3, one in a byte, with scales
// beside it: weight_scale of one value, of one for each output, or [outputs,
// groups]; or weight_scale_inv, one for each block of outputs and columns. Scales
// of inputs (input_scale) are not read: activations are not quantized.
// After: vllm-project/compressed-tensors, compressors; huggingface/transformers,
// integrations/finegrained_fp8.py.
type scaled struct {
	located
	dtype     tensor.DType
	scales    located
	zeros     *located // weight_zero_point, of integers
	scaleType tensor.DType
	coding    *kernels.Coding
	perScale  int // outputs that share a row of scales
}

func newScaled(p parts, at located, want model.Stored) (matrix, error) {
	n, k := want.Shape[0], want.Shape[1]
	m := scaled{located: at, dtype: tensor.I8, perScale: 1}
	if at.Type == "F8_E4M3" {
		m.dtype = tensor.F8
	}
	if !slices.Equal(at.Shape, want.Shape) {
		return plain{located: at}, nil // to be refused for its shape
	}
	name := "weight_scale"
	if !p.has(name) && p.has("weight_scale_inv") {
		name += "_inv"
	}
	scales, ok := p.c.data[p.base+"."+name]
	if !ok {
		return nil, fmt.Errorf("dtype %s without %s beside it", at.Type, name)
	}
	groups := 1
	switch shape := squeeze(scales.Shape); {
	case len(shape) == 0:
		m.perScale = n
	case len(shape) == 1 && shape[0] == n && (n != k || len(scales.Shape) == 1 || scales.Shape[0] == n):
	case len(scales.Shape) == 2 && k%scales.Shape[1] == 0 && (scales.Shape[0] == n || name != "weight_scale"):
		groups = scales.Shape[1]
		m.perScale = (n + scales.Shape[0] - 1) / scales.Shape[0]
	case len(scales.Shape) == 2 && name != "weight_scale":
		// The last block of a row is shorter; blocks are as long as they are high.
		groups = scales.Shape[1]
		m.perScale = (n + scales.Shape[0] - 1) / scales.Shape[0]
		if (k+m.perScale-1)/m.perScale != groups {
			return nil, fmt.Errorf("%s: shape %v for a weight %v", name, scales.Shape, want.Shape)
		}
		m.coding = &kernels.Coding{Size: m.perScale, N: groups}
	default:
		return nil, fmt.Errorf("%s: shape %v for a weight %v", name, scales.Shape, want.Shape)
	}
	d, err := scales.dtype()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m.scales, m.scaleType = scales, d
	if m.coding == nil {
		m.coding = kernels.Runs(d, false, k, k/groups)
	}
	m.coding.Scales = d
	if p.has("weight_zero_point") && m.dtype == tensor.I8 {
		zeros, err := p.get("weight_zero_point", []string{"I8"}, scales.Shape...)
		if err != nil {
			return nil, err
		}
		if d == tensor.F32 {
			return nil, fmt.Errorf("weight_zero_point with scales in F32 is not supported")
		}
		m.zeros, m.coding.Offsets = &zeros, true
	}
	return m, nil
}

func (m scaled) info() Info {
	return Info{Name: m.Name, DType: m.dtype, Shape: slices.Clone(m.Shape), Coding: m.coding}
}

func (m scaled) format() string { return m.Type }

func (m scaled) parts() []located {
	out := []located{m.located, m.scales}
	if m.zeros != nil {
		out = append(out, *m.zeros)
	}
	return out
}

func (m scaled) read(ctx context.Context, dst []byte, row, rows, col, cols int) error {
	if rows == 0 || cols == 0 {
		return nil
	}
	codes, err := m.load(ctx, grid(m.Shape[1], col, cols, row, rows))
	if err != nil {
		return err
	}
	coding, first := m.coding.Columns(col, cols)
	s0, s1 := row/m.perScale, (row+rows-1)/m.perScale+1
	size := m.scaleType.Size()
	raw, err := m.scales.load(ctx, grid(m.coding.N*size, first*size, coding.N*size, s0, s1-s0))
	if err != nil {
		return err
	}
	var zeros []byte
	if m.zeros != nil {
		if zeros, err = m.zeros.load(ctx, grid(m.coding.N, first, coding.N, s0, s1-s0)); err != nil {
			return err
		}
	}
	scales, offsets := make([]float32, coding.N), make([]float32, coding.N)
	record := len(dst) / rows
	for i := range rows {
		at := ((row+i)/m.perScale - s0) * coding.N
		tensor.Widen(scales, raw[at*size:], m.scaleType)
		if zeros != nil {
			for g := range offsets {
				offsets[g] = -(scales[g] * float32(int8(zeros[at+g])))
			}
		}
		coding.Record(dst[i*record:(i+1)*record], m.dtype, codes[i*cols:(i+1)*cols], scales, offsets)
	}
	return nil
}
