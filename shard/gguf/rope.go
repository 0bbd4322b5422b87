package gguf

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/sullae/sullae/kernels"
)

// rope sets theta and the scaling.
func (c *config) rope() {
	theta := 10000.0
	if _, ok := c.f.Meta[c.arch+".rope.freq_base"]; ok {
		theta, _ = c.number("rope.freq_base").Float64()
	}
	c.set("rope_theta", theta)
	dim := c.headDim()
	if n, ok := c.f.Meta.Uint(c.arch + ".rope.dimension_count"); ok && int(n) != dim && n > 0 && dim > 0 && n < uint64(dim) {
		c.set("partial_rotary_factor", float64(n)/float64(dim))
		dim = int(n)
	}
	if factors := c.factors("rope_freqs.weight", dim/2); len(factors) > 0 && theta > 0 {
		scaling := llama3(factors, theta, len(factors)*2)
		if scaling == nil && c.err == nil {
			c.fail("rope.scaling", "the factors in tensor rope_freqs.weight are not those of a llama3 scaling, and no other is supported")
		}
		c.set("rope_scaling", scaling)
		return
	}
	switch kind := c.f.Meta.Text(c.arch + ".rope.scaling.type"); kind {
	case "", "none", "longrope":
	case "linear":
		c.set("rope_scaling", map[string]any{"rope_type": "linear", "factor": c.number("rope.scaling.factor")})
	default:
		c.fail("rope.scaling.type", "%.100q is not supported; supported: none, linear, longrope", kind)
	}
}

// factors are a tensor's values, nil if it is not there.
func (c *config) factors(name string, n int) []float64 {
	i := slices.IndexFunc(c.f.Tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 || c.err != nil {
		return nil
	}
	t := c.f.Tensors[i]
	if t.Type != F32 || len(t.Dims) != 1 || t.Dims[0] != n {
		c.fail("rope", "tensor %s: shape %v of %v, where %d values of F32 belong", name, t.Dims, t.Type, n)
		return nil
	}
	values, err := c.read(t)
	if err != nil {
		c.err = err
		return nil
	}
	out := make([]float64, n)
	for i, v := range values {
		if !(v > 0) || math.IsInf(float64(v), 0) {
			c.fail("rope", "tensor %s: element %d is %v", name, i, v)
			return nil
		}
		out[i] = float64(v)
	}
	return out
}

// llama3 finds the scaling that has these factors, nil if there is none. Files keep
// what the formula gave for each pair of elements, in place of its four numbers:
//
//	1 where 1/wavelength > high/old, factor where it is < low/old, between them
//	1 / ((1-s)/factor + s) with s = (old/wavelength - low)/(high - low)
//
// So every factor between gives a point of the line s; published models have low =
// 1 and high = 4, which leaves old alone to be found.
func llama3(factors []float64, theta float64, dim int) map[string]any {
	inv := kernels.InvFreq(theta, dim)
	factor := slices.Max(factors)
	if factor <= 1 {
		return nil
	}
	s := func(i int) float64 { return (1/factors[i] - 1/factor) / (1 - 1/factor) }
	x := func(i int) float64 { return inv[i] / (2 * math.Pi) } // 1/wavelength
	var between []int
	least, most := 1.0, math.Inf(1) // of old, by the factors that are 1 and those that are factor
	for i, f := range factors {
		switch {
		case f == 1:
			least = max(least, 4/x(i))
		case f == factor:
			most = min(most, 1/x(i))
		default:
			between = append(between, i)
		}
	}
	low, high, old := 1.0, 4.0, 0.0
	switch n := len(between); {
	case n == 0: // any old between the bounds gives the same; take a power of two if one does
		old = math.Exp2(math.Ceil(math.Log2(least)))
		if old > most {
			old = math.Ceil(least)
		}
	default:
		m := between[n/2]
		old = math.Round((3*s(m) + 1) / x(m))
		if n > 1 && !fits(factors, inv, factor, low, high, old) {
			// s = a·x - b, low = 1: high = 1 + 1/b, old = a/b
			i, j := between[0], between[n-1]
			a := (s(i) - s(j)) / (x(i) - x(j))
			b := a*x(i) - s(i)
			high, old = math.Round(1e3*(1+1/b))/1e3, math.Round(a/b)
		}
	}
	if !fits(factors, inv, factor, low, high, old) {
		return nil
	}
	return map[string]any{"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
		"original_max_position_embeddings": int64(old)}
}

// fits reports whether the formula gives the factors, up to float32 roundings of
// whoever wrote them.
func fits(factors, inv []float64, factor, low, high, old float64) bool {
	if !(old >= 1 && old < 1<<31 && high > low) {
		return false
	}
	for i, f := range factors {
		s := (old*inv[i]/(2*math.Pi) - low) / (high - low)
		want := 1 / ((1-min(max(s, 0), 1))/factor + min(max(s, 0), 1))
		if math.Abs(f-want) > 1e-4*want {
			return false
		}
	}
	return true
}

// phi3Rest sets the long and short factors, and the window.
func phi3Rest(c *config) {
	n := c.headDim()
	if d, ok := c.f.Meta.Uint(c.arch + ".rope.dimension_count"); ok && int(d) < n {
		n = int(d)
	}
	long, short := c.factors("rope_factors_long.weight", n/2), c.factors("rope_factors_short.weight", n/2)
	if long != nil && short != nil {
		original := c.count("rope.scaling.original_context_length")
		scaling := map[string]any{"rope_type": "longrope", "long_factor": decimals(long), "short_factor": decimals(short)}
		c.set("original_max_position_embeddings", original)
		// The attention factor follows from the contexts, unless the file has another.
		if a, ok := c.f.Meta.Float(c.arch + ".rope.scaling.attn_factor"); ok && a > 0 {
			ratio := float64(c.count("context_length")) / float64(original)
			usual := 1.0
			if ratio > 1 && original > 1 {
				usual = math.Sqrt(1 + math.Log(ratio)/math.Log(float64(original)))
			}
			if math.Abs(a-usual) > 1e-4 {
				scaling["attention_factor"] = decimal(a)
			}
		}
		c.set("rope_scaling", scaling)
	}
	if w, ok := c.f.Meta.Uint(c.arch + ".attention.sliding_window"); ok && w > 0 {
		c.set("sliding_window", w)
	}
}

func decimals(v []float64) []json.Number {
	out := make([]json.Number, len(v))
	for i := range v {
		out[i] = decimal(v[i])
	}
	return out
}
