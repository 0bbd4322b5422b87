package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sullae/sullae/collective/digest"
	memlink "github.com/sullae/sullae/collective/link/mem"
	"github.com/sullae/sullae/coordinator"
	"github.com/sullae/sullae/coordinator/chattemplate"
	"github.com/sullae/sullae/coordinator/tokenizer"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/sample"
)

// heldText is a held-back conversation as tokens; the answer begins at answer.
type heldText struct {
	tokens []int32
	answer int
}

// everyText is which of the texts are scored: all take half a minute.
const everyText = 5

// heldTexts reads the demo model's held-back conversations.
func heldTexts(t *testing.T, tok *tokenizer.Tokenizer) []heldText {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "deploy", "demo-model", "heldback.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tmpl, err := chattemplate.Parse("demo", tok.ChatTemplate())
	if err != nil {
		t.Fatal(err)
	}
	encode := func(s string) []int32 {
		ids, err := tok.Encode(s, tokenizer.EncodeOptions{ParseSpecial: true})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	var out []heldText
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		var line struct {
			Messages []map[string]any
			Answer   string
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		prompt, err := tmpl.Render(chattemplate.Context{Messages: line.Messages, AddGenerationPrompt: true})
		if err != nil {
			t.Fatal(err)
		}
		ids := encode(prompt)
		h := heldText{tokens: append(slices.Clone(ids), encode(line.Answer)...), answer: len(ids)}
		if eos, ok := tok.EOS(); ok {
			h.tokens = append(h.tokens, eos)
		}
		if n++; n%everyText == 0 {
			out = append(out, h)
		}
	}
	return out
}

// scoredToken is the model's opinion at one token: its log-probability and those
// of the whole vocabulary.
type scoredToken struct {
	logprob float32
	all     []float32
	best    int32
	answer  bool
}

// scoreTexts scores all tokens with the demo model in a format, keys and values in
// a type.
func scoreTexts(t *testing.T, format kernels.Format, kv kernels.KVType, texts []heldText) []scoredToken {
	t.Helper()
	ckpt, err := coordinator.OpenModel("")
	if err != nil {
		t.Fatal(err)
	}
	defer ckpt.Close()
	spec := ckpt.Spec()
	p, err := plan.Make(plan.UnitsOf(spec), []float64{1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := cpu.New(cpu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := engine.Load(t.Context(), engine.LoadConfig{Backend: b, Spec: spec, Plan: p, Source: ckpt, Format: format})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	e, err := engine.New(engine.Config{Model: m, Backend: b, Comm: memlink.NewGroup(1)[0], Epoch: 1, Blocks: spec.MaxPositions/16 + 1, BlockSize: 16, KVType: kv})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var out []scoredToken
	var before []uint64
	for i, x := range texts {
		id := uint64(i + 1)
		start := engine.NewSequence{ID: id, Tokens: x.tokens, PromptLen: len(x.tokens), Logprobs: -1, PromptLogprobs: spec.Vocab, Sampling: sample.Params{TopP: 1}}
		part := engine.SequenceStep{ID: id, Count: len(x.tokens) - 1, CheckedTokens: len(x.tokens), TokensHash: digest.Tokens(digest.Start, x.tokens...)}
		for n := range (len(x.tokens) + 15) / 16 {
			part.NewBlocks = append(part.NewBlocks, int32(n))
		}
		res, err := e.Step(t.Context(), engine.Step{Epoch: 1, ID: id, Finished: before, Started: []engine.NewSequence{start}, Sequences: []engine.SequenceStep{part}})
		if err != nil {
			t.Fatal(err)
		}
		before = []uint64{id}
		for i, s := range res.Sequences[0].PromptScores {
			tok := scoredToken{logprob: s.Logprob, all: make([]float32, spec.Vocab), best: s.TopIDs[0], answer: i+1 >= x.answer}
			for i, id := range s.TopIDs {
				tok.all[id] = s.TopLogprobs[i]
			}
			out = append(out, tok)
		}
	}
	return out
}

// TestQuantizedQuality holds the demo model's perplexity over held-back
// conversations, with quantized weights and with a narrower KV cache, to that of
// the stored weights.
func TestQuantizedQuality(t *testing.T) {
	ckpt, err := coordinator.OpenModel("")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Read(ckpt.FS())
	ckpt.Close()
	if err != nil {
		t.Fatal(err)
	}
	texts := heldTexts(t, tok)
	base := scoreTexts(t, kernels.AsStored, kernels.KVF32, texts)
	exact := perplexity(base)
	t.Logf("as stored: perplexity %.4f over %d tokens of %d conversations", exact, len(base), len(texts))
	for _, c := range []struct {
		format kernels.Format
		kv     kernels.KVType
		most   float64 // how much larger the perplexity may be
	}{
		{kernels.Q8, kernels.KVF32, 0.005}, {kernels.Q4, kernels.KVF32, 0.03},
		{kernels.AsStored, kernels.KVF16, 0.0005}, {kernels.AsStored, kernels.KVBF16, 0.002}, {kernels.AsStored, kernels.KVQ8, 0.005},
	} {
		got := scoreTexts(t, c.format, c.kv, texts)
		kl, changed, answers := 0.0, 0, 0
		for i, g := range got {
			for id, l := range base[i].all {
				kl += math.Exp(float64(l)) * float64(l-g.all[id])
			}
			if g.answer {
				answers++
				if g.best != base[i].best {
					changed++
				}
			}
		}
		loss := perplexity(got)/exact - 1
		line := fmt.Sprintf("weights %v, KV %v: perplexity %.4f (%+.3f %%), KL %.6f per token, %d of %d tokens of answers changed",
			c.format, c.kv, perplexity(got), 100*loss, kl/float64(len(got)), changed, answers)
		t.Log(line)
		if loss > c.most {
			t.Errorf("%s; at most %+.1f %% was expected", line, 100*c.most)
		}
	}
}

func perplexity(tokens []scoredToken) float64 {
	sum := 0.0
	for _, s := range tokens {
		sum -= float64(s.logprob)
	}
	return math.Exp(sum / float64(len(tokens)))
}
