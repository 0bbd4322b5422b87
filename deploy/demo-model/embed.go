// Package demomodel holds the built-in demo model: a two-million-parameter EXAONE-architecture
// model, made in this folder, that answers simple Korean and English questions (capitals, sums,
// word translations, follow-ups). It lets every part of Sullae be tried and tested with no
// download. It owns only the bytes; README.md says how they are made and what they can do.
package demomodel

import (
	"embed"
	"io/fs"
)

//go:embed model
var embedded embed.FS

// Files returns the model folder in the Hugging Face layout: config.json, generation_config.json,
// model.safetensors (bfloat16), special_tokens_map.json, tokenizer.json, tokenizer_config.json.
func Files() fs.FS {
	sub, err := fs.Sub(embedded, "model")
	if err != nil {
		panic(err) // "model" is a valid path, whatever it holds
	}
	return sub
}
