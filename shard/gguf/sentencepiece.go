package gguf

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"
)

// sentencePiece is the kind of Llama 2, Mistral, Gemma and Phi-3: pieces with
// scores, spaces written as "▁", bytes that have no piece as <0x0A>.
func (v *vocabulary) sentencePiece(doc object) error {
	scores, _ := v.meta["tokenizer.ggml.scores"].([]float64)
	if len(scores) != len(v.tokens) {
		return fmt.Errorf("tokenizer.ggml.scores: %d scores for %d tokens", len(scores), len(v.tokens))
	}
	const space = "▁"
	replace := object{"type": "Replace", "pattern": object{"String": " "}, "content": space}
	back := []object{{"type": "Replace", "pattern": object{"String": space}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}}
	if prefix, known := v.meta.Flag("tokenizer.ggml.add_space_prefix"); prefix || !known {
		doc["normalizer"] = object{"type": "Sequence", "normalizers": []object{{"type": "Prepend", "prepend": space}, replace}}
		back = append(back, object{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	} else {
		doc["normalizer"] = replace
	}
	doc["pre_tokenizer"] = nil
	doc["decoder"] = object{"type": "Sequence", "decoders": back}
	var unknown any
	if _, text, ok := v.token("unknown_token_id"); ok {
		unknown = text
	}
	doc["model"] = object{"type": "BPE", "dropout": nil, "unk_token": unknown, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
		"fuse_unk": true, "byte_fallback": slices.Contains(v.types, tokenByte), "ignore_merges": false, "vocab": v.ids(), "merges": v.merges(scores)}
	doc["post_processor"] = v.postProcessor(true)
	return nil
}

// maxPiece is the longest piece that merges are sought for, in bytes.
const maxPiece = 4096

// merges are the merges that pieces and scores stand for: every way to put a piece
// together from two others, those of the highest scores first.
// After: huggingface/transformers, convert_slow_tokenizer.py, generate_merges.
func (v *vocabulary) merges(scores []float64) [][2]string {
	type merge struct {
		left, right string
		score       float64
	}
	ids := map[string]int{}
	for id, t := range v.tokens {
		if k := v.types[id]; k == tokenNormal || k == tokenUserDefined || k == tokenUnused {
			ids[t] = id
		}
	}
	var all []merge
	for id, t := range v.tokens {
		if _, ok := ids[t]; !ok || len(t) > maxPiece {
			continue
		}
		first := len(all)
		for i := 0; i < len(t); {
			_, n := utf8.DecodeRuneInString(t[i:])
			if i += n; i == len(t) {
				break
			}
			_, left := ids[t[:i]]
			_, right := ids[t[i:]]
			if left && right {
				all = append(all, merge{t[:i], t[i:], scores[id]})
			}
		}
		slices.SortStableFunc(all[first:], func(a, b merge) int {
			return cmp.Or(cmp.Compare(ids[a.left], ids[b.left]), cmp.Compare(ids[a.right], ids[b.right]))
		})
	}
	slices.SortStableFunc(all, func(a, b merge) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(utf8.RuneCountInString(b.left), utf8.RuneCountInString(a.left)),
			cmp.Compare(utf8.RuneCountInString(b.right), utf8.RuneCountInString(a.right)))
	})
	out := make([][2]string, len(all))
	for i, m := range all {
		out[i] = [2]string{m.left, m.right}
	}
	return out
}
