package model

import "math"

// family is an architecture as data: what its config.json calls things, what is
// meant where a member is missing (the default of its class in transformers), and
// where its tensors lie. All families are pre-norm or post-norm decoders with
// grouped-query attention, rotate-half RoPE and a gated MLP; which norms and
// biases there are follows from the names.
type family struct {
	names      naming
	eps        string   // the member for the norms' epsilon
	activation []string // members for the gate's function, the first that is there counts
	theta      float64  // what a missing rope_theta means; 0: it may not be missing
	tied       bool     // what a missing tie_word_embeddings means
	// rotates a part of each head, if partial_rotary_factor says so.
	partialRotary bool
	// rest reads what only this family has.
	rest func(*fields, *Spec)
}

// parse reads a config.json of the family.
func (a *family) parse(f *fields) *Spec {
	s := &Spec{names: a.names, EmbedScale: 1}
	s.Hidden = f.count("hidden_size", 8, maxHidden)
	s.Heads = f.count("num_attention_heads", 1, maxHeads)
	s.KVHeads = s.Heads
	if f.has("num_key_value_heads") {
		s.KVHeads = f.count("num_key_value_heads", 1, maxHeads)
	}
	s.HeadDim = f.headDim(s)
	s.FFN = f.count("intermediate_size", 1, maxFFN)
	s.Vocab = f.count("vocab_size", 1, maxVocab)
	s.MaxPositions = f.count("max_position_embeddings", 1, maxPositions)
	s.NormEps = float32(f.real(a.eps, 1e-30, 1))
	s.Activation = f.gate(a.activation)
	s.AttnScale = float32(1 / math.Sqrt(float64(s.HeadDim)))
	s.Layers = make([]Layer, f.layers())
	for i := range s.Layers {
		s.Layers[i] = Layer{Rope: true}
	}
	if f.err == nil {
		s.Rope = f.rope(a, s)
	}
	s.Tied = f.flag("tie_word_embeddings", a.tied)
	s.DType = f.dtype()
	for _, key := range []string{"attention_bias", "mlp_bias"} {
		if f.flag(key, false) {
			f.fail(key, "true is not supported: this architecture is served without these biases")
		}
	}
	if a.rest != nil && f.err == nil {
		a.rest(f, s)
	}
	for i := range s.Layers {
		if s.Layers[i].Window >= s.MaxPositions {
			s.Layers[i].Window = 0 // everything is inside it
		}
	}
	s.BOS = f.tokens("bos_token_id", s.Vocab)
	s.EOS = f.tokens("eos_token_id", s.Vocab)
	s.PAD = f.tokens("pad_token_id", s.Vocab)
	if f.err == nil {
		f.checkShape(s)
	}
	return s
}
