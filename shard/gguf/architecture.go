package gguf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// architecture is how files of one general.architecture map onto what Hugging
// Face publishes of the same model.
type architecture struct {
	class string // in config.json's "architectures"
	// tensors are Hugging Face's names by those of the file, "blk.N." left out of
	// the latter and {layer} standing for N in the former.
	tensors map[string]string
	// pairs tells that the rows of q and k are stored in another order: those that
	// RoPE pairs stand side by side.
	pairs bool
	// plusOne tells that norms are stored as 1 + weight.
	plusOne bool
	// keys are config.json's names where they are not the usual ones.
	keys map[string]string
	// activation is the gate's function, which the file does not name.
	activation string
	// rest sets what only this architecture has.
	rest func(*config)
}

// Layers of most architectures.
var llamaTensors = map[string]string{
	"token_embd.weight":  "model.embed_tokens.weight",
	"output.weight":      "lm_head.weight",
	"output_norm.weight": "model.norm.weight",
	"attn_norm.weight":   "model.layers.{layer}.input_layernorm.weight",
	"ffn_norm.weight":    "model.layers.{layer}.post_attention_layernorm.weight",
	"attn_q.weight":      "model.layers.{layer}.self_attn.q_proj.weight",
	"attn_k.weight":      "model.layers.{layer}.self_attn.k_proj.weight",
	"attn_v.weight":      "model.layers.{layer}.self_attn.v_proj.weight",
	"attn_output.weight": "model.layers.{layer}.self_attn.o_proj.weight",
	"attn_q.bias":        "model.layers.{layer}.self_attn.q_proj.bias",
	"attn_k.bias":        "model.layers.{layer}.self_attn.k_proj.bias",
	"attn_v.bias":        "model.layers.{layer}.self_attn.v_proj.bias",
	"attn_q_norm.weight": "model.layers.{layer}.self_attn.q_norm.weight",
	"attn_k_norm.weight": "model.layers.{layer}.self_attn.k_norm.weight",
	"ffn_gate.weight":    "model.layers.{layer}.mlp.gate_proj.weight",
	"ffn_up.weight":      "model.layers.{layer}.mlp.up_proj.weight",
	"ffn_down.weight":    "model.layers.{layer}.mlp.down_proj.weight",
}

var exaoneTensors = map[string]string{
	"token_embd.weight":  "transformer.wte.weight",
	"output.weight":      "lm_head.weight",
	"output_norm.weight": "transformer.ln_f.weight",
	"attn_norm.weight":   "transformer.h.{layer}.ln_1.weight",
	"ffn_norm.weight":    "transformer.h.{layer}.ln_2.weight",
	"attn_q.weight":      "transformer.h.{layer}.attn.attention.q_proj.weight",
	"attn_k.weight":      "transformer.h.{layer}.attn.attention.k_proj.weight",
	"attn_v.weight":      "transformer.h.{layer}.attn.attention.v_proj.weight",
	"attn_output.weight": "transformer.h.{layer}.attn.attention.out_proj.weight",
	"ffn_gate.weight":    "transformer.h.{layer}.mlp.c_fc_0.weight",
	"ffn_up.weight":      "transformer.h.{layer}.mlp.c_fc_1.weight",
	"ffn_down.weight":    "transformer.h.{layer}.mlp.c_proj.weight",
}

// with is m with some entries replaced or added.
func with(m map[string]string, more map[string]string) map[string]string {
	out := maps.Clone(m)
	maps.Copy(out, more)
	return out
}

// architectures by general.architecture. Mistral's files say llama, most of them
// without its window.
// After: ggml-org/llama.cpp, gguf-py/gguf/tensor_mapping.py and the converters of
// its conversion folder.
var architectures = map[string]*architecture{
	"exaone": {class: "ExaoneForCausalLM", tensors: exaoneTensors, activation: "silu", keys: map[string]string{
		"rms_norm_eps": "layer_norm_epsilon", "hidden_act": "activation_function", "num_hidden_layers": "num_layers",
	}},
	"exaone4": {class: "Exaone4ForCausalLM", activation: "silu", rest: exaone4Windows, tensors: with(llamaTensors, map[string]string{
		"post_attention_norm.weight": "model.layers.{layer}.post_attention_layernorm.weight",
		"post_ffw_norm.weight":       "model.layers.{layer}.post_feedforward_layernorm.weight",
	})},
	"gemma2": {class: "Gemma2ForCausalLM", activation: "gelu_pytorch_tanh", plusOne: true, rest: gemma2Rest, tensors: with(llamaTensors, map[string]string{
		"post_attention_norm.weight": "model.layers.{layer}.post_attention_layernorm.weight",
		"ffn_norm.weight":            "model.layers.{layer}.pre_feedforward_layernorm.weight",
		"post_ffw_norm.weight":       "model.layers.{layer}.post_feedforward_layernorm.weight",
	}), keys: map[string]string{"hidden_act": "hidden_activation"}},
	"llama": {class: "LlamaForCausalLM", tensors: llamaTensors, activation: "silu", pairs: true, rest: mistralWindow},
	"phi3": {class: "Phi3ForCausalLM", activation: "silu", rest: phi3Rest, tensors: with(llamaTensors, map[string]string{
		"attn_qkv.weight": "model.layers.{layer}.self_attn.qkv_proj.weight",
		"ffn_up.weight":   "model.layers.{layer}.mlp.gate_up_proj.weight",
	})},
	"qwen2": {class: "Qwen2ForCausalLM", tensors: llamaTensors, activation: "silu"},
	"qwen3": {class: "Qwen3ForCausalLM", tensors: llamaTensors, activation: "silu"},
}

// Architectures lists the supported values of general.architecture, sorted.
func Architectures() []string { return slices.Sorted(maps.Keys(architectures)) }

func (f *File) architecture() (name string, a *architecture, err error) {
	name = f.Meta.Text("general.architecture")
	if a = architectures[name]; a == nil {
		return "", nil, fmt.Errorf("general.architecture: %.100q is not supported; supported: %s", name, strings.Join(Architectures(), ", "))
	}
	return name, a, nil
}

// Published is a tensor under Hugging Face's name.
type Published struct {
	Tensor Tensor
	// PairedHeads > 0: the rows are heads of Dims[0]/PairedHeads each, in which row
	// p·half+i is stored as 2·i+p (half of a head's rows, p 0 or 1).
	PairedHeads int
	// MinusOne tells that 1 is to be subtracted from each value.
	MinusOne bool
}

// Published maps the file's tensors onto Hugging Face's names; those that it does
// not know keep their own.
func (f *File) Published() (map[string]Published, error) {
	name, a, err := f.architecture()
	if err != nil {
		return nil, err
	}
	heads, _ := f.Meta.Uint(name + ".attention.head_count")
	kvHeads, ok := f.Meta.Uint(name + ".attention.head_count_kv")
	if !ok {
		kvHeads = heads
	}
	out := map[string]Published{}
	for _, t := range f.Tensors {
		layer, short, inLayer := cutLayer(t.Name)
		p := Published{Tensor: t}
		if a.pairs && inLayer {
			switch strings.TrimSuffix(strings.TrimSuffix(short, ".weight"), ".bias") {
			case "attn_q":
				p.PairedHeads = int(heads)
			case "attn_k":
				p.PairedHeads = int(kvHeads)
			}
			if p.PairedHeads < 0 || p.PairedHeads > 0 && t.Dims[0]%(2*p.PairedHeads) != 0 {
				return nil, fmt.Errorf("tensor %.100q: %d rows are not %d heads of an even size", t.Name, t.Dims[0], p.PairedHeads)
			}
		}
		p.MinusOne = a.plusOne && strings.HasSuffix(short, "norm.weight")
		to := t.Name
		if name, ok := a.tensors[short]; ok && inLayer == strings.Contains(name, "{layer}") {
			to = strings.Replace(name, "{layer}", layer, 1)
		}
		if _, twice := out[to]; twice {
			return nil, fmt.Errorf("tensor %.100q: another one is %.100q too", t.Name, to)
		}
		out[to] = p
	}
	return out, nil
}

// cutLayer cuts "blk.7.attn_q.weight" into 7 and the rest.
func cutLayer(name string) (layer, rest string, ok bool) {
	after, ok := strings.CutPrefix(name, "blk.")
	if !ok {
		return "", name, false
	}
	layer, rest, ok = strings.Cut(after, ".")
	return layer, rest, ok
}
