package model

import (
	"maps"
	"math"
)

// llamaNames are the tensor names that most architectures share.
var llamaNames = naming{
	Embed:     {name: "model.embed_tokens.weight"},
	Head:      {name: "lm_head.weight"},
	FinalNorm: {name: "model.norm.weight"},
	AttnNorm:  {name: "model.layers.{layer}.input_layernorm.weight"},
	MLPNorm:   {name: "model.layers.{layer}.post_attention_layernorm.weight"},
	Q:         {name: "model.layers.{layer}.self_attn.q_proj.weight"},
	K:         {name: "model.layers.{layer}.self_attn.k_proj.weight"},
	V:         {name: "model.layers.{layer}.self_attn.v_proj.weight"},
	O:         {name: "model.layers.{layer}.self_attn.o_proj.weight"},
	Gate:      {name: "model.layers.{layer}.mlp.gate_proj.weight"},
	Up:        {name: "model.layers.{layer}.mlp.up_proj.weight"},
	Down:      {name: "model.layers.{layer}.mlp.down_proj.weight"},
}

// with is n with roles added or named otherwise, and without those listed.
func (n naming) with(more naming, without ...Role) naming {
	out := maps.Clone(n)
	maps.Copy(out, more)
	for _, r := range without {
		delete(out, r)
	}
	return out
}

// llama is Llama 2, 3, 3.1 and 3.2.
// After: transformers, models/llama/{configuration,modeling}_llama.py.
var llama = family{
	names: llamaNames, eps: "rms_norm_eps", activation: []string{"hidden_act"}, theta: 10_000,
}

// mistral is Llama with one window for all layers, or none.
// After: transformers, models/mistral/modular_mistral.py.
var mistral = family{
	names: llamaNames, eps: "rms_norm_eps", activation: []string{"hidden_act"}, theta: 10_000,
	rest: func(f *fields, s *Spec) { f.windows(s, everyLayer) },
}

// qwen2 is Qwen 2 and 2.5: Llama with biases of queries, keys and values, and a
// window in the layers from max_window_layers on, if use_sliding_window says so.
// After: transformers, models/qwen2/modular_qwen2.py.
var qwen2 = family{
	names: llamaNames.with(naming{
		QBias: {name: "model.layers.{layer}.self_attn.q_proj.bias"},
		KBias: {name: "model.layers.{layer}.self_attn.k_proj.bias"},
		VBias: {name: "model.layers.{layer}.self_attn.v_proj.bias"},
	}),
	eps: "rms_norm_eps", activation: []string{"hidden_act"}, theta: 10_000,
	rest: qwenWindows,
}

// qwen3 has norms over each query and key head in place of Qwen 2's biases.
// After: transformers, models/qwen3/modular_qwen3.py.
var qwen3 = family{
	names: llamaNames.with(naming{
		QNorm: {name: "model.layers.{layer}.self_attn.q_norm.weight"},
		KNorm: {name: "model.layers.{layer}.self_attn.k_norm.weight"},
	}),
	eps: "rms_norm_eps", activation: []string{"hidden_act"}, theta: 10_000,
	rest: qwenWindows,
}

func qwenWindows(f *fields, s *Spec) {
	if !f.flag("use_sliding_window", false) || !f.has("sliding_window") {
		return
	}
	first := 0
	if !f.has("layer_types") {
		first = f.count("max_window_layers", 0, maxLayers)
	}
	f.windows(s, func(layer int) bool { return layer >= first })
}

// gemma2 is Gemma 2: scaled embeddings, norms by 1 + weight before and after
// attention and MLP, soft caps, a window in every other layer from the first on.
// After: transformers, models/gemma2/modular_gemma2.py.
var gemma2 = family{
	names: llamaNames.with(naming{
		AttnPostNorm: {name: "model.layers.{layer}.post_attention_layernorm.weight"},
		MLPNorm:      {name: "model.layers.{layer}.pre_feedforward_layernorm.weight"},
		MLPPostNorm:  {name: "model.layers.{layer}.post_feedforward_layernorm.weight"},
	}),
	eps: "rms_norm_eps", activation: []string{"hidden_activation", "hidden_act"}, theta: 10_000, tied: true,
	rest: func(f *fields, s *Spec) {
		s.NormOffset = 1
		s.EmbedScale = float32(math.Sqrt(float64(s.Hidden)))
		s.AttnScale = float32(1 / math.Sqrt(f.real("query_pre_attn_scalar", 0, 1e6)))
		s.AttnCap = f.softCap("attn_logit_softcapping")
		s.LogitCap = f.softCap("final_logit_softcapping")
		f.windows(s, func(layer int) bool { return layer%2 == 0 })
	},
}

// phi3 is Phi-3, 3.5 mini and 4 mini: Llama with q, k, v in one tensor and gate
// and up in another, two sets of rotary factors, and a window like Mistral's.
// After: transformers, models/phi3/modular_phi3.py.
var phi3 = family{
	names: llamaNames.with(naming{
		Q:    {name: "model.layers.{layer}.self_attn.qkv_proj.weight"},
		K:    {name: "model.layers.{layer}.self_attn.qkv_proj.weight", after: []Role{Q}},
		V:    {name: "model.layers.{layer}.self_attn.qkv_proj.weight", after: []Role{Q, K}},
		Gate: {name: "model.layers.{layer}.mlp.gate_up_proj.weight"},
		Up:   {name: "model.layers.{layer}.mlp.gate_up_proj.weight", after: []Role{Gate}},
	}),
	eps: "rms_norm_eps", activation: []string{"hidden_act"}, theta: 10_000, partialRotary: true,
	rest: func(f *fields, s *Spec) {
		if f.mentions("sliding_window") { // its class has no window unless config.json has one
			f.windows(s, everyLayer)
		}
	},
}

func everyLayer(int) bool { return true }
