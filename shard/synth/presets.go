package synth

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// config is the part of config.json that options change, under EXAONE 3's names.
type config struct {
	BOS          int    `json:"bos_token_id"`
	EOS          int    `json:"eos_token_id"`
	HeadDim      int    `json:"head_dim"`
	Hidden       int    `json:"hidden_size"`
	FFN          int    `json:"intermediate_size"`
	MaxPositions int    `json:"max_position_embeddings"`
	Heads        int    `json:"num_attention_heads"`
	KVHeads      int    `json:"num_key_value_heads"`
	Layers       int    `json:"num_layers"`
	PAD          int    `json:"pad_token_id"`
	Tied         bool   `json:"tie_word_embeddings"`
	DType        string `json:"torch_dtype"`
	Vocab        int    `json:"vocab_size"`
}

// preset is a shape of a family; rest are the members of config.json that no
// option changes.
type preset struct {
	config
	rest members
}

type members map[string]any

// and is the members with more of them.
func (m members) and(more members) members {
	out := maps.Clone(m)
	maps.Copy(out, more)
	return out
}

func family(arch, modelType string, theta, eps float64) members {
	return members{"architectures": []string{arch}, "model_type": modelType, "rope_theta": theta, "rms_norm_eps": eps, "hidden_act": "silu"}
}

func llama3(factor float64) map[string]any {
	return map[string]any{"factor": factor, "high_freq_factor": 4, "low_freq_factor": 1, "original_max_position_embeddings": 8192, "rope_type": "llama3"}
}

var (
	exaone = members{"architectures": []string{"ExaoneForCausalLM"}, "model_type": "exaone", "rope_theta": 500_000,
		"layer_norm_epsilon": 1e-5, "activation_function": "silu", "rope_scaling": nil}
	exaone4 = family("Exaone4ForCausalLM", "exaone4", 1e6, 1e-5).and(members{"rope_scaling": llama3(16)})
)

// presets are shapes by name; those with a version are the published ones.
var presets = map[string]preset{
	"exaone-3.0-7.8b": {config{
		Hidden: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336, Vocab: 102400, MaxPositions: 4096,
	}, exaone},
	"exaone-4.0-1.2b": {config{
		Hidden: 2048, Layers: 30, Heads: 32, KVHeads: 8, HeadDim: 64, FFN: 4096, Vocab: 102400, MaxPositions: 65536, Tied: true,
	}, exaone4.and(members{"sliding_window": nil})},
	"exaone-4.0-32b": {config{
		Hidden: 5120, Layers: 64, Heads: 40, KVHeads: 8, HeadDim: 128, FFN: 27392, Vocab: 102400, MaxPositions: 131072,
	}, exaone4.and(members{"sliding_window": 4096, "sliding_window_pattern": "LLLG"})},
	"llama-3.1-8b": {config{
		Hidden: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336, Vocab: 128256, MaxPositions: 131072,
	}, family("LlamaForCausalLM", "llama", 500_000, 1e-5).and(members{"rope_scaling": llama3(8)})},
	"mistral-7b-v0.1": {config{
		Hidden: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336, Vocab: 32000, MaxPositions: 32768,
	}, family("MistralForCausalLM", "mistral", 10_000, 1e-5).and(members{"sliding_window": 4096})},
	"qwen2.5-7b": {config{
		Hidden: 3584, Layers: 28, Heads: 28, KVHeads: 4, HeadDim: 128, FFN: 18944, Vocab: 152064, MaxPositions: 32768,
	}, family("Qwen2ForCausalLM", "qwen2", 1e6, 1e-6)},
	"qwen3-8b": {config{
		Hidden: 4096, Layers: 36, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 12288, Vocab: 151936, MaxPositions: 40960,
	}, family("Qwen3ForCausalLM", "qwen3", 1e6, 1e-6)},
	"gemma-2-9b": {config{
		Hidden: 3584, Layers: 42, Heads: 16, KVHeads: 8, HeadDim: 256, FFN: 14336, Vocab: 256000, MaxPositions: 8192, Tied: true,
	}, family("Gemma2ForCausalLM", "gemma2", 10_000, 1e-6).and(members{"hidden_act": "gelu_pytorch_tanh", "query_pre_attn_scalar": 256,
		"attn_logit_softcapping": 50, "final_logit_softcapping": 30, "sliding_window": 4096})},
	"phi-3-mini-4k": {config{
		Hidden: 3072, Layers: 32, Heads: 32, KVHeads: 32, HeadDim: 96, FFN: 8192, Vocab: 32064, MaxPositions: 4096,
	}, family("Phi3ForCausalLM", "phi3", 10_000, 1e-5).and(members{"sliding_window": 2047})},

	"exaone-1b": {config{
		Hidden: 2048, Layers: 16, Heads: 16, KVHeads: 4, HeadDim: 128, FFN: 7168, Vocab: 32000, MaxPositions: 4096,
	}, exaone},
	"tiny": {config{
		Hidden: 64, Layers: 2, Heads: 8, KVHeads: 4, HeadDim: 8, FFN: 160, Vocab: 512, MaxPositions: 512,
	}, exaone},
}

// Presets lists the names of the presets, sorted.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// text is config.json.
func (p preset) text(c config) ([]byte, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	all := members{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // whole numbers stay whole
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	if _, old := p.rest["activation_function"]; !old {
		all["num_hidden_layers"] = all["num_layers"]
		delete(all, "num_layers")
	}
	return json.MarshalIndent(all.and(p.rest), "", "  ")
}
