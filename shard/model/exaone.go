package model

import "math"

// exaoneNames are the tensor names of EXAONE 3.0 and 3.5. c_fc_0 is the gate:
// the MLP is c_proj(act(c_fc_0(x)) * c_fc_1(x)).
// After: transformers, models/exaone/modeling_exaone.py.
var exaoneNames = naming{
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
}

// parseExaone reads the config of ExaoneForCausalLM: a pre-norm decoder with
// grouped-query attention, rotate-half RoPE and a gated MLP. 3.0 and 3.5 are
// the same graph; 3.5 scales RoPE and may tie its embeddings.
// After: transformers, models/exaone/configuration_exaone.py.
func parseExaone(f *fields) *Spec {
	s := &Spec{names: exaoneNames}
	s.Hidden = f.count("hidden_size", 8, maxHidden)
	s.Heads = f.count("num_attention_heads", 1, maxHeads)
	s.KVHeads = f.count("num_key_value_heads", 1, maxHeads)
	s.HeadDim = f.headDim(s)
	s.FFN = f.count("intermediate_size", 1, maxFFN)
	s.Vocab = f.count("vocab_size", 1, maxVocab)
	s.MaxPositions = f.count("max_position_embeddings", 1, maxPositions)
	s.NormEps = float32(f.real("layer_norm_epsilon", 1e-30, 1))
	s.Activation = f.activation("activation_function")
	s.AttnScale = float32(1 / math.Sqrt(float64(s.HeadDim)))
	s.Rope = f.rope(s.HeadDim)
	// Absent means tied: config.json leaves out what has the base class's
	// default, which is true.
	s.Tied = f.flag("tie_word_embeddings", true)
	s.DType = f.dtype()
	s.Layers = make([]Layer, f.layers())
	for i := range s.Layers {
		s.Layers[i] = Layer{Rope: true}
	}
	s.BOS = f.tokens("bos_token_id", s.Vocab)
	s.EOS = f.tokens("eos_token_id", s.Vocab)
	s.PAD = f.tokens("pad_token_id", s.Vocab)
	if f.err == nil {
		f.checkShape(s)
	}
	return s
}
