package model

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels/tensor"
)

// exaone30 is EXAONE 3.0 7.8B as published: num_layers, no head_dim.
const exaone30 = `{
	"activation_function": "silu", "architectures": ["ExaoneForCausalLM"], "bos_token_id": 1,
	"eos_token_id": 361, "hidden_size": 4096, "intermediate_size": 14336, "layer_norm_epsilon": 1e-05,
	"max_position_embeddings": 4096, "model_type": "exaone", "num_attention_heads": 32,
	"num_key_value_heads": 8, "num_layers": 32, "pad_token_id": 0, "rope_scaling": null,
	"rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 102400}`

// edit is exaone30 with members set, or removed where the value is "".
func edit(t *testing.T, members map[string]string) []byte {
	t.Helper()
	return editJSON(t, exaone30, members)
}

func editJSON(t *testing.T, text string, members map[string]string) []byte {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	for k, v := range members {
		if v == "" {
			delete(all, k)
		} else {
			all[k] = json.RawMessage(v)
		}
	}
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParseExaone30(t *testing.T) {
	s, err := Parse([]byte(exaone30), nil, "m")
	if err != nil {
		t.Fatal(err)
	}
	want := &Spec{
		Architecture: "ExaoneForCausalLM", Hidden: 4096, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336,
		Vocab: 102400, MaxPositions: 4096, NormEps: 1e-5, Activation: SiLU, EmbedScale: 1, AttnScale: float32(1 / math.Sqrt(128)),
		Rope: Rope{Theta: 500000, Dim: 128}, DType: tensor.BF16, Layers: slices.Repeat([]Layer{{Rope: true}}, 32),
		BOS: []int32{1}, EOS: []int32{361}, PAD: []int32{0}, names: s.names,
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestParseVariants(t *testing.T) {
	llama3 := `{"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 64, "rope_type": "llama3"}`
	for _, c := range []struct {
		name string
		set  map[string]string
		gen  string
		ok   func(*Spec) bool
	}{
		{"head_dim", map[string]string{"head_dim": "80"}, "", func(s *Spec) bool { return s.HeadDim == 80 && s.Rope.Dim == 80 }},
		{"num_hidden_layers", map[string]string{"num_layers": "", "num_hidden_layers": "3"}, "", func(s *Spec) bool { return len(s.Layers) == 3 }},
		{"both names of layers", map[string]string{"num_hidden_layers": "32"}, "", func(s *Spec) bool { return len(s.Layers) == 32 }},
		{"tied", map[string]string{"tie_word_embeddings": "true"}, "", func(s *Spec) bool { return s.Tied }},
		{"tied by default", map[string]string{"tie_word_embeddings": ""}, "", func(s *Spec) bool { return s.Tied }},
		{"default rope", map[string]string{"rope_scaling": `{"rope_type": "default"}`}, "", func(s *Spec) bool { return s.Rope.Llama3 == nil }},
		{"llama3 rope", map[string]string{"rope_scaling": llama3}, "", func(s *Spec) bool {
			return *s.Rope.Llama3 == Llama3Scaling{8, 1, 4, 64}
		}},
		{"old name of rope_type", map[string]string{"rope_scaling": strings.Replace(llama3, "rope_type", "type", 1)}, "", func(s *Spec) bool { return s.Rope.Llama3 != nil }},
		{"rope_parameters", map[string]string{"rope_theta": "", "rope_scaling": "", "rope_parameters": `{"rope_type": "default", "rope_theta": 1e6}`}, "", func(s *Spec) bool { return s.Rope.Theta == 1e6 }},
		{"dtype", map[string]string{"torch_dtype": "", "dtype": `"float16"`}, "", func(s *Spec) bool { return s.DType == tensor.F16 }},
		{"no dtype", map[string]string{"torch_dtype": ""}, "", func(s *Spec) bool { return s.DType == tensor.Invalid }},
		{"eos list", map[string]string{"eos_token_id": "[361, 2]"}, "", func(s *Spec) bool { return slices.Equal(s.EOS, []int32{361, 2}) }},
		{"eos of generation", nil, `{"eos_token_id": [5, 361]}`, func(s *Spec) bool { return slices.Equal(s.EOS, []int32{5, 361}) }},
		{"generation without eos", nil, `{"eos_token_id": null}`, func(s *Spec) bool { return slices.Equal(s.EOS, []int32{361}) }},
		{"no special tokens", map[string]string{"eos_token_id": "null", "bos_token_id": "", "pad_token_id": ""}, "", func(s *Spec) bool {
			return s.EOS == nil && s.BOS == nil && s.PAD == nil
		}},
	} {
		s, err := Parse(edit(t, c.set), []byte(c.gen), "m")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !c.ok(s) {
			t.Errorf("%s: got %+v", c.name, s)
		}
	}
}

func TestParseErrors(t *testing.T) {
	type edits = map[string]string
	for _, c := range []struct {
		set  edits
		want string // after the file's name
	}{
		{edits{"architectures": ""}, "architectures: missing"},
		{edits{"architectures": `"ExaoneForCausalLM"`}, "architectures: "},
		{edits{"architectures": `[]`}, "architectures: "},
		{edits{"architectures": `["MambaForCausalLM"]`}, `architectures: "MambaForCausalLM" is not supported; supported: Exaone4ForCausalLM, ExaoneForCausalLM, Gemma2ForCausalLM, LlamaForCausalLM, MistralForCausalLM, Phi3ForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM`},
		{edits{"hidden_size": ""}, "hidden_size: missing"},
		{edits{"hidden_size": "null"}, "hidden_size: missing"},
		{edits{"hidden_size": `"4096"`}, `hidden_size: "4096" is not a number`},
		{edits{"hidden_size": "4096.5"}, "hidden_size: 4096.5 is not a whole number"},
		{edits{"hidden_size": "[4096]"}, "hidden_size: "},
		{edits{"hidden_size": "0"}, "hidden_size: 0 is out of range"},
		{edits{"hidden_size": "-4096"}, "hidden_size: -4096 is out of range"},
		{edits{"hidden_size": "99999999"}, "hidden_size: 99999999 is out of range"},
		{edits{"hidden_size": "99999999999999999999999"}, "hidden_size: "},
		{edits{"hidden_size": "4100", "head_dim": "128"}, "hidden_size: 4100 is not a multiple of 8"},
		{edits{"hidden_size": "4104"}, "hidden_size: 4104 is not a multiple of num_attention_heads (32)"},
		{edits{"head_dim": "100"}, "head_dim: 100 is not a multiple of 8"},
		{edits{"head_dim": "0"}, "head_dim: 0 is out of range"},
		{edits{"num_attention_heads": ""}, "num_attention_heads: missing"},
		{edits{"num_attention_heads": "1025"}, "num_attention_heads: 1025 is out of range"},
		{edits{"num_key_value_heads": "5"}, "num_key_value_heads: 5 does not divide num_attention_heads (32)"},
		{edits{"num_key_value_heads": "64"}, "num_key_value_heads: 64 does not divide"},
		{edits{"intermediate_size": "true"}, "intermediate_size: true is not a number"},
		{edits{"vocab_size": "0"}, "vocab_size: 0 is out of range"},
		{edits{"max_position_embeddings": "-1"}, "max_position_embeddings: -1 is out of range"},
		{edits{"num_layers": ""}, "num_layers: missing"},
		{edits{"num_layers": "0"}, "num_layers: 0 is out of range"},
		{edits{"num_hidden_layers": "16"}, "num_layers: 32, but num_hidden_layers is 16"},
		{edits{"layer_norm_epsilon": `"NaN"`}, `layer_norm_epsilon: "NaN" is not a number`},
		{edits{"layer_norm_epsilon": "0"}, "layer_norm_epsilon: 0 is out of range"},
		{edits{"layer_norm_epsilon": "1e-60"}, "layer_norm_epsilon: 1e-60 is out of range"},
		{edits{"rope_theta": "1e999"}, "rope_theta: 1e999 is not a finite number"},
		{edits{"rope_theta": "-5"}, "rope_theta: -5 is out of range"},
		{edits{"rope_theta": ""}, "rope_theta: missing"},
		{edits{"rope_scaling": `"llama3"`}, `rope_scaling: "llama3" is not an object`},
		{edits{"rope_scaling": `{"factor": 2}`}, "rope_scaling.rope_type: missing"},
		{edits{"rope_scaling": `{"rope_type": "yarn"}`}, `rope_scaling.rope_type: "yarn" is not supported; supported: default, linear, llama3, longrope`},
		{edits{"rope_scaling": `{"rope_type": "llama3"}`}, "rope_scaling.factor: missing"},
		{edits{"rope_scaling": `{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4, "original_max_position_embeddings": 64}`}, "rope_scaling.high_freq_factor: 4 is not above"},
		{edits{"partial_rotary_factor": "0.5"}, "partial_rotary_factor: 0.5 is not supported"},
		{edits{"activation_function": `"gelu"`}, `activation_function: "gelu" is not supported`},
		{edits{"activation_function": "7"}, "activation_function: 7 is not a string"},
		{edits{"tie_word_embeddings": "1"}, "tie_word_embeddings: 1 is neither true nor false"},
		{edits{"torch_dtype": `"float8_e4m3fn"`}, `torch_dtype: "float8_e4m3fn" is not supported`},
		{edits{"eos_token_id": "102400"}, "eos_token_id: 102400 is out of range"},
		{edits{"eos_token_id": "[361, -1]"}, "eos_token_id[1]: -1 is out of range"},
		{edits{"bos_token_id": `"BOS"`}, `bos_token_id: "BOS" is not a number`},
	} {
		_, err := Parse(edit(t, c.set), nil, "models/x")
		if err == nil || !strings.HasPrefix(err.Error(), "models/x/config.json: "+c.want) {
			t.Errorf("%v:\n  got  %v\n  want models/x/config.json: %s", c.set, err, c.want)
		}
	}
	for _, c := range []struct{ config, gen, want string }{
		{"", "", "m/config.json: not a JSON object"},
		{"[]", "", "m/config.json: not a JSON object"},
		{"null", "", "m/config.json: null"},
		{`{"hidden_size": NaN}`, "", "m/config.json: not a JSON object"},
		{exaone30 + "x", "", "m/config.json: not a JSON object"},
		{exaone30, "{", "m/generation_config.json: not a JSON object"},
		{exaone30, `{"eos_token_id": "x"}`, "m/generation_config.json: eos_token_id: "},
	} {
		_, err := Parse([]byte(c.config), []byte(c.gen), "m")
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q, %q:\n  got  %v\n  want %s", c.config, c.gen, err, c.want)
		}
	}
}

// FuzzParse: no config makes Parse panic, and a Spec that it returns can be
// enumerated.
func FuzzParse(f *testing.F) {
	f.Add([]byte(exaone30), []byte(`{"eos_token_id": [1, 2]}`))
	f.Add([]byte(`{"architectures": ["ExaoneForCausalLM"]}`), []byte(nil))
	for _, text := range published {
		f.Add([]byte(text), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, config, gen []byte) {
		s, err := Parse(config, gen, "m")
		if err != nil {
			return
		}
		for _, st := range s.Stored() {
			if st.Name == "" || st.Shape[0] < 1 {
				t.Errorf("stored tensor %+v", st)
			}
		}
	})
}
