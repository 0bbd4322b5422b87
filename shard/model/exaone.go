package model

// exaone is EXAONE 3.0 and 3.5: 3.5 scales RoPE and may tie its embeddings. c_fc_0
// is the gate: the MLP is c_proj(act(c_fc_0(x)) * c_fc_1(x)).
// After: transformers, models/exaone/{configuration,modeling}_exaone.py.
var exaone = family{
	names: naming{
		Embed:     {name: "transformer.wte.weight"},
		Head:      {name: "lm_head.weight"},
		FinalNorm: {name: "transformer.ln_f.weight"},
		AttnNorm:  {name: "transformer.h.{layer}.ln_1.weight"},
		MLPNorm:   {name: "transformer.h.{layer}.ln_2.weight"},
		Q:         {name: "transformer.h.{layer}.attn.attention.q_proj.weight"},
		K:         {name: "transformer.h.{layer}.attn.attention.k_proj.weight"},
		V:         {name: "transformer.h.{layer}.attn.attention.v_proj.weight"},
		O:         {name: "transformer.h.{layer}.attn.attention.out_proj.weight"},
		Gate:      {name: "transformer.h.{layer}.mlp.c_fc_0.weight"},
		Up:        {name: "transformer.h.{layer}.mlp.c_fc_1.weight"},
		Down:      {name: "transformer.h.{layer}.mlp.c_proj.weight"},
	},
	eps:        "layer_norm_epsilon",
	activation: []string{"activation_function"},
	// config.json leaves out what has the base class's default.
	tied: true,
}

// exaone4 is EXAONE 4.0: norms after attention and MLP instead of before, a norm
// over each query and key head, and, where there is a window, layers that see it
// mixed with layers that see everything and do not rotate.
// After: transformers, models/exaone4/modular_exaone4.py.
var exaone4 = family{
	names: llamaNames.with(naming{
		QNorm:        {name: "model.layers.{layer}.self_attn.q_norm.weight"},
		KNorm:        {name: "model.layers.{layer}.self_attn.k_norm.weight"},
		AttnPostNorm: {name: "model.layers.{layer}.post_attention_layernorm.weight"},
		MLPPostNorm:  {name: "model.layers.{layer}.post_feedforward_layernorm.weight"},
	}, AttnNorm, MLPNorm),
	eps:        "rms_norm_eps",
	activation: []string{"hidden_act"},
	theta:      10_000,
	rest: func(f *fields, s *Spec) {
		f.windows(s, f.exaone4Slides(s))
		for i, l := range s.Layers {
			s.Layers[i].Rope = l.Window > 0 || !f.has("sliding_window")
		}
	},
}

// exaone4Slides reads "sliding_window_pattern": a word with an L for each layer
// that slides, repeated, the last layer excepted; or n: every n-th layer does not.
func (f *fields) exaone4Slides(s *Spec) func(layer int) bool {
	const key = "sliding_window_pattern"
	if !f.has("sliding_window") || f.has("layer_types") {
		return nil
	}
	if _, ok := f.number(key); ok {
		n := f.count(key, 1, maxLayers)
		return func(layer int) bool { return n > 0 && (layer+1)%n != 0 }
	}
	word := f.text(key)
	for _, c := range word {
		if c != 'L' && c != 'G' {
			f.fail(key, "%q holds %q; L (a layer with a window) and G (one without) belong here", word, c)
		}
	}
	if f.err == nil && word == "" {
		f.fail(key, "empty")
	}
	return func(layer int) bool {
		return f.err == nil && layer != len(s.Layers)-1 && word[layer%len(word)] == 'L'
	}
}
