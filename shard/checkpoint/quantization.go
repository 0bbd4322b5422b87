package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sullae/sullae/shard/model"
)

// quantization is what config.json's quantization_config says that the tensors
// themselves do not.
type quantization struct {
	method  string // quant_method
	group   int    // GPTQ's group_size; -1: a row is one group
	gptqOne bool   // GPTQ's zero points are stored less one
}

// parseQuantization reads quantization_config, and refuses a method that no reader
// here knows; nil if there is none.
func parseQuantization(config []byte, file string) (*quantization, error) {
	var outer struct {
		Q *struct {
			Method  string `json:"quant_method"`
			Format  string `json:"format"` // compressed-tensors
			Version string `json:"version"`
			Layout  string `json:"checkpoint_format"`
			Group   *int   `json:"group_size"`
			Groups  map[string]struct {
				Format string `json:"format"`
			} `json:"config_groups"`
		} `json:"quantization_config"`
	}
	if err := json.Unmarshal(config, &outer); err != nil {
		return nil, fmt.Errorf("%s: quantization_config: %w", file, err)
	}
	in := outer.Q
	if in == nil {
		return nil, nil
	}
	fail := func(key, value, supported string) error {
		return fmt.Errorf("%s: quantization_config.%s: %q is not supported; supported: %s", file, key, value, supported)
	}
	q := &quantization{method: in.Method, group: -1}
	if in.Group != nil {
		q.group = *in.Group
	}
	switch in.Method {
	case "gptq":
		switch in.Layout {
		case "", "gptq":
			q.gptqOne = true
		case "gptq_v2":
		default:
			return nil, fail("checkpoint_format", in.Layout, "gptq, gptq_v2")
		}
	case "awq":
		if v := strings.ToLower(in.Version); v != "" && v != "gemm" {
			return nil, fail("version", in.Version, "gemm")
		}
	case "fp8", "fbgemm_fp8":
	case "compressed-tensors":
		const supported = "pack-quantized, int-quantized, naive-quantized, float-quantized, dense"
		formats := []string{in.Format}
		for _, g := range in.Groups {
			formats = append(formats, g.Format)
		}
		for _, f := range formats {
			switch f {
			case "", "pack-quantized", "int-quantized", "naive-quantized", "float-quantized", "dense", "mixed-precision":
			default:
				return nil, fail("format", f, supported)
			}
		}
	default:
		return nil, fail("quant_method", in.Method, "gptq, awq, fp8, fbgemm_fp8, compressed-tensors")
	}
	return q, nil
}

// assemble makes a tensor of the model from what is stored of it.
func (c *Checkpoint) assemble(q *quantization, want model.Stored) (matrix, error) {
	base, isWeight := strings.CutSuffix(want.Name, ".weight")
	p := parts{c: c, base: base}
	at, ok := c.data[want.Name]
	var m matrix
	var err error
	switch {
	case ok && len(want.Shape) == 2 && isWeight && (at.Type == "I8" || at.Type == "F8_E4M3"):
		m, err = newScaled(p, at, want)
	case ok:
		m, err = asPlain(at)
	case isWeight && len(want.Shape) == 2 && p.has("weight_packed"):
		m, err = newPackedRows(p, want)
	case isWeight && len(want.Shape) == 2 && p.has("qweight"):
		switch {
		case q != nil && q.method == "gptq":
			m, err = newGPTQ(p, want, q)
		case q != nil && q.method == "awq":
			m, err = newAWQ(p, want)
		default:
			err = errors.New("config.json has no quantization_config with quant_method gptq or awq to say what it means")
		}
		at = c.data[base+".qweight"]
	default:
		return nil, c.missing(want.Name)
	}
	if err != nil {
		if at.blob == nil {
			at = c.data[base+".weight_packed"]
		}
		return nil, fmt.Errorf("%s: tensor %q: %w", at.blob.name, at.Name, err)
	}
	return m, nil
}

// parts are the stored tensors of one weight: base.qweight, base.scales.
type parts struct {
	c    *Checkpoint
	base string
}

func (p parts) has(suffix string) bool {
	_, ok := p.c.data[p.base+"."+suffix]
	return ok
}

// get finds a part of one of the given types and of a shape; -1 in shape is any
// size, and dimensions of 1 may be left out or added.
func (p parts) get(suffix string, types []string, shape ...int) (located, error) {
	at, ok := p.c.data[p.base+"."+suffix]
	if !ok {
		return at, fmt.Errorf("%s is missing beside it", suffix)
	}
	known := false
	for _, t := range types {
		known = known || at.Type == t
	}
	if !known {
		return at, fmt.Errorf("%s: dtype %s, where %s belongs", suffix, at.Type, strings.Join(types, " or "))
	}
	if !fits(at.Shape, shape) && !fits(squeeze(at.Shape), squeeze(shape)) {
		return at, fmt.Errorf("%s: shape %v, where %v belongs (-1: any)", suffix, at.Shape, shape)
	}
	return at, nil
}

func fits(shape, asked []int) bool {
	return slices.EqualFunc(shape, asked, func(got, want int) bool { return want == -1 || got == want })
}

// squeeze leaves out dimensions of 1.
func squeeze(shape []int) []int {
	var out []int
	for _, d := range shape {
		if d != 1 {
			out = append(out, d)
		}
	}
	return out
}

var (
	realTypes = []string{"F16", "BF16", "F32"}
	intTypes  = []string{"I32"}
)
