package model

import "encoding/json"

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

// gate is the gate's function, from the first of the members that is there.
// "swish" is an older name of SiLU; all the names of GELU's tanh form are one
// formula.
func (f *fields) gate(keys []string) Activation {
	key := keys[0]
	for _, k := range keys {
		if f.has(k) {
			key = k
			break
		}
	}
	switch name := f.text(key); name {
	case "silu", "swish":
		return SiLU
	case "gelu_pytorch_tanh", "gelu_new", "gelu_fast":
		return GELUTanh
	default:
		f.fail(key, "%q is not supported; supported: silu, gelu_pytorch_tanh", name)
		return 0
	}
}

// softCap is a required limit, or null for none.
func (f *fields) softCap(key string) float32 {
	if f.mentions(key) && !f.has(key) {
		return 0
	}
	return float32(f.real(key, 0, 1e6))
}

// windows gives the layers that slide the window of "sliding_window", which must
// be there: null is none, and leaving it out means 4096 to some readers and none
// to others. "layer_types" says which layers slide, where it is there.
func (f *fields) windows(s *Spec, slides func(layer int) bool) {
	const key = "sliding_window"
	if !f.mentions(key) {
		f.fail(key, "missing; write null if there is no window")
	}
	types := f.layerTypes(len(s.Layers))
	w := 0
	if f.has(key) {
		w = f.count(key, 1, maxPositions)
	}
	for i := range s.Layers {
		if types == nil && w > 0 && slides(i) || types != nil && types[i] {
			if s.Layers[i].Window = w; w == 0 {
				f.fail(key, "null, but layer_types[%d] is sliding_attention", i)
			}
		}
	}
}

// layerTypes tells which layers slide; nil without "layer_types".
func (f *fields) layerTypes(layers int) []bool {
	const key = "layer_types"
	if f.err != nil || !f.has(key) {
		return nil
	}
	var names []string
	if err := json.Unmarshal(f.raw[key], &names); err != nil {
		f.fail(key, "%s is not a list of names", f.show(key))
		return nil
	}
	if len(names) != layers {
		f.fail(key, "%d names for %d layers", len(names), layers)
		return nil
	}
	out := make([]bool, layers)
	for i, name := range names {
		switch name {
		case "sliding_attention":
			out[i] = true
		case "full_attention":
		default:
			f.fail(key, "[%d]: %q is not supported; supported: full_attention, sliding_attention", i, name)
		}
	}
	return out
}
