// Package gguf reads GGUF, the one-file format of llama.cpp: a header with
// metadata (the model's shape, its tokenizer, its chat template) and tensors,
// most of them in blocks of small integers. It yields the codes and scales of
// blocks (Type.Block), and says in Hugging Face's files what the metadata says
// (Config, TokenizerJSON, TokenizerConfig), so that whoever reads a published
// folder can read one file.
//
// Parse believes nothing: what it allocates is bounded by a small multiple of the
// header's bytes in the file.
//
// After: ggml-org/ggml, docs/gguf.md; ggml-org/llama.cpp, gguf-py.
package gguf
