package model

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sullae/sullae/kernels/tensor"
)

// Bounds of what is believed. They are far above any published model; a value
// beyond them is a damaged or hostile file, and refusing it here keeps every
// later product of two of them within an int64.
const (
	maxHidden    = 1 << 17
	maxHeads     = 1 << 10
	maxHeadDim   = 1 << 10
	maxFFN       = 1 << 20
	maxVocab     = 1 << 22
	maxLayers    = 1 << 10
	maxPositions = 1 << 20 // the bound of the rotary tables too
	maxSpecial   = 64      // ids that end a generation
)

// architectures are what is supported, by the name that config.json's
// "architectures" list gives. Adding one is adding an entry here and a table like
// mistral.
var architectures = map[string]*family{
	"ExaoneForCausalLM":  &exaone,
	"Exaone4ForCausalLM": &exaone4,
	"Gemma2ForCausalLM":  &gemma2,
	"LlamaForCausalLM":   &llama,
	"MistralForCausalLM": &mistral,
	"Phi3ForCausalLM":    &phi3,
	"Qwen2ForCausalLM":   &qwen2,
	"Qwen3ForCausalLM":   &qwen3,
}

// Architectures lists the supported names, sorted.
func Architectures() []string { return slices.Sorted(maps.Keys(architectures)) }

// Parse builds a Spec from the contents of config.json and, where there is one,
// of generation_config.json (else nil), whose end-of-generation ids win over
// config.json's. where is the folder that they come from; errors name the file
// in it and the field.
func Parse(configJSON, generationJSON []byte, where string) (*Spec, error) {
	f, err := parseObject(configJSON, filepath.Join(where, "config.json"))
	if err != nil {
		return nil, err
	}
	arch, err := architecture(f)
	if err != nil {
		return nil, err
	}
	s := architectures[arch].parse(f)
	if f.err != nil {
		return nil, f.err
	}
	s.Architecture = arch
	if len(generationJSON) > 0 {
		g, err := parseObject(generationJSON, filepath.Join(where, "generation_config.json"))
		if err != nil {
			return nil, err
		}
		if eos := g.tokens("eos_token_id", s.Vocab); eos != nil {
			s.EOS = eos
		}
		if g.err != nil {
			return nil, g.err
		}
	}
	return s, nil
}

// architecture is the first name in the "architectures" list.
func architecture(f *fields) (string, error) {
	var names []string
	if !f.require("architectures") {
		return "", f.err
	}
	if err := json.Unmarshal(f.raw["architectures"], &names); err != nil || len(names) == 0 {
		f.fail("architectures", "%s is not a list of names", f.show("architectures"))
		return "", f.err
	}
	if architectures[names[0]] == nil {
		f.fail("architectures", "%q is not supported; supported: %s", names[0], strings.Join(Architectures(), ", "))
		return "", f.err
	}
	return names[0], nil
}

// dtype reads the stored type that config.json states under one of the two
// names that publishers use.
func (f *fields) dtype() tensor.DType {
	for _, key := range []string{"torch_dtype", "dtype"} {
		if f.err != nil || !f.has(key) {
			continue
		}
		switch name := f.text(key); name {
		case "float32":
			return tensor.F32
		case "bfloat16":
			return tensor.BF16
		case "float16":
			return tensor.F16
		default:
			f.fail(key, "%q is not supported; supported: float32, bfloat16, float16", name)
		}
	}
	return tensor.Invalid
}
