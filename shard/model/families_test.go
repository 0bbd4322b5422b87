package model

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
)

// published are the members of config.json that count, as the models are published.
var published = map[string]string{
	"Llama 3.1 8B": `{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "bos_token_id": 128000,
		"eos_token_id": [128001, 128008, 128009], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336,
		"max_position_embeddings": 131072, "mlp_bias": false, "num_attention_heads": 32, "num_hidden_layers": 32,
		"num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 8.0,
		"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
		"rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 128256}`,
	"Llama 3.2 1B": `{"architectures": ["LlamaForCausalLM"], "bos_token_id": 128000, "eos_token_id": 128001, "head_dim": 64,
		"hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 131072,
		"num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
		"rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
		"original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0,
		"tie_word_embeddings": true, "torch_dtype": "bfloat16", "vocab_size": 128256}`,
	"Mistral 7B v0.1": `{"architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
		"hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
		"num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
		"sliding_window": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32000}`,
	"Qwen2.5 7B": `{"architectures": ["Qwen2ForCausalLM"], "bos_token_id": 151643, "eos_token_id": 151643, "hidden_act": "silu",
		"hidden_size": 3584, "intermediate_size": 18944, "max_position_embeddings": 131072, "max_window_layers": 28,
		"num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06,
		"rope_theta": 1000000.0, "sliding_window": 131072, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
		"use_mrope": false, "use_sliding_window": false, "vocab_size": 152064}`,
	"Qwen3 0.6B": `{"architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "bos_token_id": 151643, "eos_token_id": 151645,
		"head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960,
		"max_window_layers": 28, "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
		"rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null,
		"tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151936}`,
	"Gemma 2 9B": `{"architectures": ["Gemma2ForCausalLM"], "attention_bias": false, "attn_logit_softcapping": 50.0, "bos_token_id": 2,
		"cache_implementation": "hybrid", "eos_token_id": 1, "final_logit_softcapping": 30.0, "head_dim": 256,
		"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 3584,
		"intermediate_size": 14336, "max_position_embeddings": 8192, "num_attention_heads": 16, "num_hidden_layers": 42,
		"num_key_value_heads": 8, "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
		"rope_theta": 10000.0, "sliding_window": 4096, "sliding_window_size": 4096, "torch_dtype": "float32", "vocab_size": 256000}`,
	"Phi-3 mini 4k": `{"architectures": ["Phi3ForCausalLM"], "attention_bias": false, "bos_token_id": 1, "eos_token_id": 32000,
		"hidden_act": "silu", "hidden_size": 3072, "intermediate_size": 8192, "max_position_embeddings": 4096,
		"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "original_max_position_embeddings": 4096,
		"pad_token_id": 32000, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0, "sliding_window": 2047,
		"tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32064}`,
	"Phi-4 mini": `{"architectures": ["Phi3ForCausalLM"], "attention_bias": false, "bos_token_id": 199999, "eos_token_id": 199999,
		"hidden_act": "silu", "hidden_size": 3072, "intermediate_size": 8192, "max_position_embeddings": 131072,
		"num_attention_heads": 24, "num_hidden_layers": 32, "num_key_value_heads": 8, "original_max_position_embeddings": 4096,
		"pad_token_id": 199999, "partial_rotary_factor": 0.75, "rms_norm_eps": 1e-05, "rope_scaling": {"long_factor": FACTORS,
		"short_factor": FACTORS, "type": "longrope"}, "rope_theta": 10000.0, "sliding_window": 262144,
		"tie_word_embeddings": true, "torch_dtype": "bfloat16", "vocab_size": 200064}`,
	"EXAONE 4.0 32B": `{"architectures": ["Exaone4ForCausalLM"], "bos_token_id": 1, "eos_token_id": 361, "head_dim": 128, "hidden_act": "silu",
		"hidden_size": 5120, "intermediate_size": 27392, "layer_types": LAYERS, "max_position_embeddings": 131072,
		"num_attention_heads": 40, "num_hidden_layers": 64, "num_key_value_heads": 8, "pad_token_id": 0,
		"rms_norm_eps": 1e-05, "rope_scaling": {"factor": 16.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
		"original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 1000000, "sliding_window": 4096,
		"sliding_window_pattern": "LLLG", "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 102400}`,
}

// familyConfig is a published config with members set, or removed where the value is "".
func familyConfig(t *testing.T, name string, members map[string]string) []byte {
	t.Helper()
	ones, _ := json.Marshal(slices.Repeat([]float64{1.5}, 48))
	types := slices.Repeat([]string{"sliding_attention", "sliding_attention", "sliding_attention", "full_attention"}, 16)
	layers, _ := json.Marshal(types)
	text := strings.NewReplacer("FACTORS", string(ones), "LAYERS", string(layers)).Replace(published[name])
	return editJSON(t, text, members)
}

func TestFamilies(t *testing.T) {
	type set = map[string]string
	count := func(s *Spec, is func(Layer) bool) (n int) {
		for _, l := range s.Layers {
			if is(l) {
				n++
			}
		}
		return n
	}
	windows := func(s *Spec) int { return count(s, func(l Layer) bool { return l.Window == 4096 }) }
	rotating := func(s *Spec) int { return count(s, func(l Layer) bool { return l.Rope }) }
	norms := func(s *Spec, want ...Role) bool {
		for _, r := range []Role{AttnNorm, AttnPostNorm, MLPNorm, MLPPostNorm, QNorm, KNorm, QBias, KBias, VBias} {
			if s.Has(r) != slices.Contains(want, r) {
				return false
			}
		}
		return true
	}
	for _, c := range []struct {
		name string
		set  set
		ok   func(*Spec) bool
	}{
		{"Llama 3.1 8B", nil, func(s *Spec) bool {
			return norms(s, AttnNorm, MLPNorm) && *s.Rope.Llama3 == Llama3Scaling{8, 1, 4, 8192} && s.HeadDim == 128 && !s.Tied && windows(s) == 0 && len(s.EOS) == 3
		}},
		{"Llama 3.1 8B", set{"num_key_value_heads": "", "rope_theta": "", "tie_word_embeddings": ""}, func(s *Spec) bool {
			return s.KVHeads == 32 && s.Rope.Theta == 10_000 && !s.Tied // as Llama's first configs mean it
		}},
		{"Llama 3.1 8B", set{"rope_scaling": "", "rope_theta": "", "rope_parameters": `{"rope_type": "linear", "factor": 4, "rope_theta": 1e6}`}, func(s *Spec) bool {
			return s.Rope.Linear == 4 && s.Rope.Theta == 1e6
		}},
		{"Llama 3.1 8B", set{"rope_parameters": `{"rope_type":"default"}`, "rope_scaling": `{"rope_type": "default"}`}, func(s *Spec) bool {
			return s.Rope.Theta == 500_000 && s.Rope.Llama3 == nil
		}},
		{"Llama 3.2 1B", nil, func(s *Spec) bool { return s.Tied && s.HeadDim == 64 && s.Tensor(Head, 0) == s.Tensor(Embed, 0) }},
		{"Mistral 7B v0.1", nil, func(s *Spec) bool { return windows(s) == 32 && s.Window() == 4096 && norms(s, AttnNorm, MLPNorm) }},
		{"Mistral 7B v0.1", set{"sliding_window": "null", "head_dim": "160"}, func(s *Spec) bool { return s.Window() == 0 && s.HeadDim == 160 }},
		{"Mistral 7B v0.1", set{"max_position_embeddings": "4096"}, func(s *Spec) bool { return s.Window() == 0 }},
		{"Qwen2.5 7B", nil, func(s *Spec) bool { return norms(s, AttnNorm, MLPNorm, QBias, KBias, VBias) && s.Window() == 0 }},
		{"Qwen2.5 7B", set{"use_sliding_window": "true", "sliding_window": "4096", "max_window_layers": "20"}, func(s *Spec) bool {
			return windows(s) == 8 && s.Layers[19].Window == 0 && s.Window() == 0
		}},
		{"Qwen3 0.6B", nil, func(s *Spec) bool { return norms(s, AttnNorm, MLPNorm, QNorm, KNorm) && s.HeadDim == 128 && s.Tied }},
		{"Gemma 2 9B", nil, func(s *Spec) bool {
			return norms(s, AttnNorm, AttnPostNorm, MLPNorm, MLPPostNorm) && s.Tied && s.NormOffset == 1 && s.Activation == GELUTanh &&
				s.EmbedScale == float32(math.Sqrt(3584)) && s.AttnScale == 1./16 && s.AttnCap == 50 && s.LogitCap == 30 &&
				windows(s) == 21 && s.Layers[0].Window == 4096 && s.Layers[1].Window == 0 && s.Window() == 0 &&
				s.Tensor(MLPNorm, 1).Name == "model.layers.1.pre_feedforward_layernorm.weight"
		}},
		{"Gemma 2 9B", set{"attn_logit_softcapping": "null", "hidden_activation": "null"}, func(s *Spec) bool { return s.AttnCap == 0 && s.Activation == GELUTanh }},
		{"Phi-3 mini 4k", nil, func(s *Spec) bool {
			return s.Window() == 2047 && s.Rope.LongAfter() == 0 &&
				s.Tensor(V, 2) == TensorRef{"model.layers.2.self_attn.qkv_proj.weight", 6144, 3072, 3072} &&
				s.Tensor(Up, 2) == TensorRef{"model.layers.2.mlp.gate_up_proj.weight", 8192, 8192, 3072}
		}},
		{"Phi-4 mini", nil, func(s *Spec) bool {
			return s.Rope.Dim == 96 && s.Rope.LongAfter() == 4096 && math.Abs(s.Rope.Long.Attention-math.Sqrt(1+5./12)) < 1e-12 && s.Window() == 0
		}},
		{"Phi-4 mini", set{"sliding_window": "", "original_max_position_embeddings": "", "rope_scaling": "",
			"rope_parameters": `{"rope_type": "longrope", "attention_factor": 1.19, "original_max_position_embeddings": 4096, "partial_rotary_factor": 0.0625, "short_factor": [1, 1, 1, 1], "long_factor": [2, 2, 2, 3]}`, "partial_rotary_factor": ""},
			func(s *Spec) bool {
				return s.Rope.Dim == 8 && s.Rope.Long.Attention == 1.19 && slices.Equal(s.Rope.Long.Long, []float64{2, 2, 2, 3})
			}},
		{"EXAONE 4.0 32B", nil, func(s *Spec) bool {
			return norms(s, AttnPostNorm, MLPPostNorm, QNorm, KNorm) && windows(s) == 48 && rotating(s) == 48 && !s.Layers[3].Rope && s.Layers[2].Rope
		}},
		{"EXAONE 4.0 32B", set{"layer_types": ""}, func(s *Spec) bool { return windows(s) == 48 && rotating(s) == 48 && !s.Layers[63].Rope }},
		{"EXAONE 4.0 32B", set{"layer_types": "", "sliding_window_pattern": "5"}, func(s *Spec) bool {
			return windows(s) == 52 && s.Layers[4].Window == 0 && s.Layers[63].Window == 4096
		}},
		{"EXAONE 4.0 32B", set{"layer_types": "", "sliding_window": "null", "sliding_window_pattern": "null"}, func(s *Spec) bool {
			return windows(s) == 0 && rotating(s) == 64
		}},
	} {
		s, err := Parse(familyConfig(t, c.name, c.set), nil, "m")
		if err != nil {
			t.Errorf("%s with %v: %v", c.name, c.set, err)
		} else if !c.ok(s) {
			t.Errorf("%s with %v: got %+v", c.name, c.set, s)
		}
	}
}

func TestFamilyErrors(t *testing.T) {
	type set = map[string]string
	for _, c := range []struct {
		name string
		set  set
		want string
	}{
		{"Llama 3.1 8B", set{"attention_bias": "true"}, "attention_bias: true is not supported"},
		{"Llama 3.1 8B", set{"mlp_bias": "true"}, "mlp_bias: true is not supported"},
		{"Llama 3.1 8B", set{"hidden_act": `"gelu"`}, `hidden_act: "gelu" is not supported; supported: silu, gelu_pytorch_tanh`},
		{"Llama 3.1 8B", set{"hidden_act": ""}, "hidden_act: missing"},
		{"Llama 3.1 8B", set{"rms_norm_eps": ""}, "rms_norm_eps: missing"},
		{"Llama 3.1 8B", set{"rope_parameters": `{"rope_type": "default"}`}, "rope_scaling: differs from rope_parameters"},
		{"Llama 3.1 8B", set{"rope_scaling": "null", "rope_parameters": `{"rope_type": "default", "rope_theta": 7}`}, "rope_theta: 500000.0, but rope_parameters.rope_theta is 7"},
		{"Llama 3.1 8B", set{"rope_scaling": `{"full_attention": {"rope_type": "default"}}`}, "rope_scaling.rope_type: missing; settings that differ by layer type"},
		{"Llama 3.1 8B", set{"rope_scaling": `{"rope_type": "dynamic", "factor": 2}`}, `rope_scaling.rope_type: "dynamic" is not supported; supported: default, linear, llama3, longrope`},
		{"Llama 3.1 8B", set{"partial_rotary_factor": "0.5"}, "partial_rotary_factor: 0.5 is not supported"},
		{"Mistral 7B v0.1", set{"sliding_window": ""}, "sliding_window: missing; write null"},
		{"Mistral 7B v0.1", set{"sliding_window": "0"}, "sliding_window: 0 is out of range"},
		{"Mistral 7B v0.1", set{"sliding_window": `"4096"`}, `sliding_window: "4096" is not a number`},
		{"Qwen2.5 7B", set{"use_sliding_window": "true", "max_window_layers": ""}, "max_window_layers: missing"},
		{"Qwen2.5 7B", set{"use_sliding_window": "true", "layer_types": `["full_attention"]`}, "layer_types: 1 names for 28 layers"},
		{"Gemma 2 9B", set{"query_pre_attn_scalar": ""}, "query_pre_attn_scalar: missing"},
		{"Gemma 2 9B", set{"final_logit_softcapping": ""}, "final_logit_softcapping: missing"},
		{"Gemma 2 9B", set{"attn_logit_softcapping": "-1"}, "attn_logit_softcapping: -1 is out of range"},
		{"Phi-4 mini", set{"partial_rotary_factor": "0.76"}, "partial_rotary_factor: 0.76 of a head of 128 is 97 elements"},
		{"Phi-4 mini", set{"partial_rotary_factor": ""}, "rope_scaling.short_factor: [1.5,1.5"},
		{"Phi-4 mini", set{"original_max_position_embeddings": ""}, "original_max_position_embeddings: missing"},
		{"Phi-4 mini", set{"rope_scaling": `{"type": "longrope", "short_factor": [1], "long_factor": [1]}`}, "rope_scaling.short_factor: [1] is not a list of 48 numbers"},
		{"EXAONE 4.0 32B", set{"layer_types": `["chunked_attention"]`, "num_hidden_layers": "1"}, `layer_types: [0]: "chunked_attention" is not supported`},
		{"EXAONE 4.0 32B", set{"sliding_window": "null"}, "sliding_window: null, but layer_types[0] is sliding_attention"},
		{"EXAONE 4.0 32B", set{"layer_types": "", "sliding_window_pattern": `"LXG"`}, `sliding_window_pattern: "LXG" holds 'X'`},
		{"EXAONE 4.0 32B", set{"layer_types": "", "sliding_window_pattern": ""}, "sliding_window_pattern: missing"},
	} {
		_, err := Parse(familyConfig(t, c.name, c.set), nil, "m")
		if err == nil || !strings.HasPrefix(err.Error(), "m/config.json: "+c.want) {
			t.Errorf("%s with %v:\n  got  %v\n  want m/config.json: %s", c.name, c.set, err, c.want)
		}
	}
}
