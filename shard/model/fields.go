package model

import "strings"

// Members of config.json that several architectures share.

// layers is the number of layers, under either of its two names.
func (f *fields) layers() int {
	switch {
	case f.has("num_layers") && f.has("num_hidden_layers"):
		a, b := f.count("num_layers", 1, maxLayers), f.count("num_hidden_layers", 1, maxLayers)
		if f.err == nil && a != b {
			f.fail("num_layers", "%d, but num_hidden_layers is %d; they are two names of one number", a, b)
			return 0
		}
		return a
	case f.has("num_hidden_layers"):
		return f.count("num_hidden_layers", 1, maxLayers)
	}
	return f.count("num_layers", 1, maxLayers)
}

// headDim is the head size, by default hidden_size / num_attention_heads.
func (f *fields) headDim(s *Spec) int {
	if f.has("head_dim") {
		return f.count("head_dim", 8, maxHeadDim)
	}
	if f.err != nil {
		return 0
	}
	if s.Hidden%s.Heads != 0 {
		f.fail("hidden_size", "%d is not a multiple of num_attention_heads (%d), and there is no head_dim to say the head size", s.Hidden, s.Heads)
		return 0
	}
	return s.Hidden / s.Heads
}

// checkShape refuses shapes that no kernel takes.
func (f *fields) checkShape(s *Spec) {
	switch {
	case s.Heads%s.KVHeads != 0:
		f.fail("num_key_value_heads", "%d does not divide num_attention_heads (%d); every KV head serves a group of the same size", s.KVHeads, s.Heads)
	case s.HeadDim%8 != 0:
		f.fail("head_dim", "%d is not a multiple of 8; head sizes such as 64, 80 and 128 are supported", s.HeadDim)
	case s.HeadDim > maxHeadDim:
		f.fail("head_dim", "%d (hidden_size / num_attention_heads) is out of range; at most %d is supported", s.HeadDim, maxHeadDim)
	case s.Hidden%8 != 0:
		f.fail("hidden_size", "%d is not a multiple of 8", s.Hidden)
	}
}

// activation is the gate's function. "swish" is an older name of SiLU.
func (f *fields) activation(key string) Activation {
	switch name := f.text(key); name {
	case "silu", "swish":
		return SiLU
	default:
		f.fail(key, "%q is not supported; supported: silu", name)
		return 0
	}
}

// rope reads the rotary embedding: "rope_theta" and "rope_scaling", or the one
// object "rope_parameters" that newer files have. No object, or type "default",
// means no scaling.
func (f *fields) rope(dim int) Rope {
	r := Rope{Dim: dim}
	section := f.object("rope_parameters")
	if section == nil {
		section = f.object("rope_scaling")
	}
	if section != nil && section.has("rope_theta") {
		r.Theta = section.real("rope_theta", 1, 1e15)
	} else {
		r.Theta = f.real("rope_theta", 1, 1e15)
	}
	if f.has("partial_rotary_factor") && f.real("partial_rotary_factor", 0, 1) != 1 {
		f.fail("partial_rotary_factor", "%s is not supported; every element of a head is rotated", f.show("partial_rotary_factor"))
	}
	if section == nil || len(section.raw) == 0 {
		return r
	}
	key := "rope_type"
	if !section.has(key) && section.has("type") {
		key = "type" // the older name
	}
	switch name := strings.ToLower(section.text(key)); name {
	case "default":
	case "llama3":
		r.Scaling = section.llama3()
	default:
		section.fail(key, "%q is not supported; supported: default, llama3", name)
	}
	if f.err == nil {
		f.err = section.err
	}
	return r
}

// llama3 reads the members of a "llama3" scaling.
func (f *fields) llama3() *Llama3Scaling {
	l := &Llama3Scaling{
		Factor:               f.real("factor", 0, 1e6),
		LowFreqFactor:        f.real("low_freq_factor", 0, 1e6),
		HighFreqFactor:       f.real("high_freq_factor", 0, 1e6),
		OriginalMaxPositions: f.count("original_max_position_embeddings", 1, maxPositions),
	}
	if f.err == nil && l.HighFreqFactor <= l.LowFreqFactor {
		f.fail("high_freq_factor", "%g is not above low_freq_factor (%g)", l.HighFreqFactor, l.LowFreqFactor)
	}
	return l
}
