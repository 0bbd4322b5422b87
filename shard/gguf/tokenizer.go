package gguf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Token types of the file. After: ggml-org/llama.cpp, gguf-py, TokenType.
const (
	tokenNormal      = 1
	tokenUnknown     = 2
	tokenControl     = 3
	tokenUserDefined = 4
	tokenUnused      = 5
	tokenByte        = 6
)

type object = map[string]any

// splitting is how a byte-level tokenizer cuts text into words.
type splitting struct {
	pattern      string // "" is GPT-2's, which ByteLevel has in it
	normalizer   string // "NFC", "NFKC" or ""
	digits       bool   // each digit is a word
	ignoreMerges bool   // a word that is a token is not merged
}

const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	llama3Split  = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Split   = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt4oSplit   = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// splittings by tokenizer.ggml.pre.
// After: ggml-org/llama.cpp, src/llama-vocab.cpp, and the tokenizer.json files of
// the models that it names so.
var splittings = map[string]splitting{
	"gpt-2":     {},
	"exaone":    {normalizer: "NFKC", digits: true},
	"exaone4":   {normalizer: "NFKC"},
	"llama-bpe": {pattern: llama3Split, ignoreMerges: true},
	"llama3":    {pattern: llama3Split, ignoreMerges: true},
	"llama-v3":  {pattern: llama3Split, ignoreMerges: true},
	"qwen2":     {pattern: qwen2Split, normalizer: "NFC"},
	"gpt-4o":    {pattern: gpt4oSplit},
}

// vocabulary is the file's tokens.
type vocabulary struct {
	meta   Meta
	tokens []string
	types  []int64
}

// TokenizerJSON is the tokenizer.json that Hugging Face has for this tokenizer, nil
// if the file has none. Errors name the metadata key.
func (f *File) TokenizerJSON() ([]byte, error) {
	v, err := f.vocabulary()
	if v == nil || err != nil {
		return nil, err
	}
	doc := object{"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": v.added()}
	switch kind := f.Meta.Text("tokenizer.ggml.model"); kind {
	case "gpt2":
		err = v.byteLevel(doc)
	case "llama":
		err = v.sentencePiece(doc)
	default:
		err = fmt.Errorf("tokenizer.ggml.model: %.100q is not supported; supported: gpt2, llama", kind)
	}
	if err != nil {
		return nil, err
	}
	return marshal(doc)
}

// marshal writes JSON without the escapes that HTML needs.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

func (f *File) vocabulary() (*vocabulary, error) {
	switch f.Meta.Text("tokenizer.ggml.model") {
	case "", "none", "no_vocab":
		return nil, nil
	}
	v := &vocabulary{meta: f.Meta}
	v.tokens, _ = f.Meta["tokenizer.ggml.tokens"].([]string)
	if len(v.tokens) == 0 {
		return nil, fmt.Errorf("tokenizer.ggml.tokens: missing, empty or no list of strings")
	}
	v.types, _ = f.Meta["tokenizer.ggml.token_type"].([]int64)
	if v.types == nil {
		v.types = slices.Repeat([]int64{tokenNormal}, len(v.tokens))
	}
	if len(v.types) != len(v.tokens) {
		return nil, fmt.Errorf("tokenizer.ggml.token_type: %d types for %d tokens", len(v.types), len(v.tokens))
	}
	seen := make(map[string]int, len(v.tokens))
	for id, t := range v.tokens {
		if other, twice := seen[t]; twice {
			return nil, fmt.Errorf("tokenizer.ggml.tokens: tokens %d and %d are both %.100q", other, id, t)
		}
		seen[t] = id
	}
	return v, nil
}

// token is the token of a metadata key; ok is false where there is none.
func (v *vocabulary) token(key string) (id int, text string, ok bool) {
	n, ok := v.meta.Uint("tokenizer.ggml." + key)
	if !ok || n >= uint64(len(v.tokens)) {
		return 0, "", false
	}
	return int(n), v.tokens[n], true
}

// added are the tokens that are cut out of a text before anything else.
func (v *vocabulary) added() []object {
	list := []object{}
	for id, t := range v.tokens {
		kind := v.types[id]
		if kind != tokenControl && kind != tokenUserDefined && kind != tokenUnknown || t == "" {
			continue
		}
		list = append(list, object{"id": id, "content": t, "single_word": false, "lstrip": false, "rstrip": false,
			"normalized": false, "special": kind != tokenUserDefined})
	}
	return list
}

// ids is the model's vocabulary.
func (v *vocabulary) ids() map[string]int {
	ids := make(map[string]int, len(v.tokens))
	for id, t := range v.tokens {
		ids[t] = id
	}
	return ids
}

// byteLevel is GPT-2's kind: tokens and merges over bytes written as characters.
func (v *vocabulary) byteLevel(doc object) error {
	pre := v.meta.Text("tokenizer.ggml.pre")
	split, ok := splittings[pre]
	if !ok {
		return fmt.Errorf("tokenizer.ggml.pre: %.100q is not supported, so that text would be cut wrongly; supported: %s", pre, strings.Join(slices.Sorted(maps.Keys(splittings)), ", "))
	}
	merges, _ := v.meta["tokenizer.ggml.merges"].([]string)
	if len(merges) == 0 {
		return fmt.Errorf("tokenizer.ggml.merges: missing, empty or no list of strings")
	}
	doc["normalizer"] = nil
	if split.normalizer != "" {
		doc["normalizer"] = object{"type": split.normalizer}
	}
	bytesStep := object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": split.pattern == ""}
	steps := []object{}
	if split.digits {
		steps = append(steps, object{"type": "Digits", "individual_digits": true})
	}
	if split.pattern != "" {
		steps = append(steps, object{"type": "Split", "pattern": object{"Regex": split.pattern}, "behavior": "Isolated", "invert": false})
	}
	doc["pre_tokenizer"] = object{"type": "Sequence", "pretokenizers": append(steps, bytesStep)}
	doc["decoder"] = object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}
	doc["model"] = object{"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
		"fuse_unk": false, "byte_fallback": false, "ignore_merges": split.ignoreMerges, "vocab": v.ids(), "merges": merges}
	doc["post_processor"] = v.postProcessor(false)
	return nil
}

// postProcessor adds the tokens that begin and end a text, if the file says so.
func (v *vocabulary) postProcessor(bosByDefault bool) any {
	add := func(flag, key string, byDefault bool) []object {
		if yes, known := v.meta.Flag("tokenizer.ggml." + flag); !(yes || !known && byDefault) {
			return nil
		}
		if _, text, ok := v.token(key); ok {
			return []object{{"SpecialToken": object{"id": text, "type_id": 0}}}
		}
		return nil
	}
	begin, end := add("add_bos_token", "bos_token_id", bosByDefault), add("add_eos_token", "eos_token_id", false)
	if begin == nil && end == nil {
		return nil
	}
	special := object{}
	for _, key := range []string{"bos_token_id", "eos_token_id"} {
		if id, text, ok := v.token(key); ok {
			special[text] = object{"id": text, "ids": []int{id}, "tokens": []string{text}}
		}
	}
	sequence := func(id string, typeID int) []object {
		return []object{{"Sequence": object{"id": id, "type_id": typeID}}}
	}
	return object{"type": "TemplateProcessing", "special_tokens": special,
		"single": slices.Concat(begin, sequence("A", 0), end),
		"pair":   slices.Concat(begin, sequence("A", 0), end, begin, sequence("B", 1), end)}
}

// TokenizerConfig is the tokenizer_config.json that Hugging Face has, as far as the
// file tells: special tokens and the chat template. It is nil if there is no
// tokenizer.
func (f *File) TokenizerConfig() ([]byte, error) {
	v, err := f.vocabulary()
	if v == nil || err != nil {
		return nil, err
	}
	out := object{"tokenizer_class": "PreTrainedTokenizerFast"}
	for key, from := range map[string]string{"bos_token": "bos_token_id", "eos_token": "eos_token_id", "unk_token": "unknown_token_id", "pad_token": "padding_token_id"} {
		if _, text, ok := v.token(from); ok {
			out[key] = text
		}
	}
	const template = "tokenizer.chat_template"
	if t := f.Meta.Text(template); t != "" {
		out["chat_template"] = t
		if names, _ := f.Meta[template+"s"].([]string); len(names) > 0 {
			list := []object{{"name": "default", "template": t}}
			for _, name := range names {
				if t := f.Meta.Text(template + "." + name); t != "" {
					list = append(list, object{"name": name, "template": t})
				}
			}
			out["chat_template"] = list
		}
	}
	return marshal(out)
}
