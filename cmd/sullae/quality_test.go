package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sullae/sullae/cmd/sullae/internal/measure"
	"github.com/sullae/sullae/coordinator"
	"github.com/sullae/sullae/coordinator/chattemplate"
	"github.com/sullae/sullae/coordinator/tokenizer"
	"github.com/sullae/sullae/kernels"
)

// everyText is which of the texts are scored: all take half a minute.
const everyText = 5

// heldTexts reads the demo model's held-back conversations, as tokens.
func heldTexts(t *testing.T, tok *tokenizer.Tokenizer) [][]int32 {
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
	var out [][]int32
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
		ids := append(encode(prompt), encode(line.Answer)...)
		if eos, ok := tok.EOS(); ok {
			ids = append(ids, eos)
		}
		if n++; n%everyText == 0 {
			out = append(out, ids)
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
	defer ckpt.Close()
	tok, err := tokenizer.Read(ckpt.FS())
	if err != nil {
		t.Fatal(err)
	}
	texts := heldTexts(t, tok)
	limits := []struct {
		stored measure.Stored
		most   float64 // how much larger the perplexity may be
	}{
		{measure.Stored{Format: kernels.Q8, KV: kernels.KVF32}, 0.005}, {measure.Stored{Format: kernels.Q4, KV: kernels.KVF32}, 0.03},
		{measure.Stored{Format: kernels.AsStored, KV: kernels.KVF16}, 0.0005}, {measure.Stored{Format: kernels.AsStored, KV: kernels.KVBF16}, 0.002},
		{measure.Stored{Format: kernels.AsStored, KV: kernels.KVQ8}, 0.005},
	}
	cfg := measure.LossConfig{Spec: ckpt.Spec(), Source: ckpt, Texts: texts}
	for _, l := range limits {
		cfg.Variants = append(cfg.Variants, l.stored)
	}
	losses, err := measure.MeasureLoss(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("as stored: perplexity %.4f over %d tokens of %d conversations", losses[0].Perplexity, losses[0].Tokens, len(texts))
	for i, l := range losses[1:] {
		line := fmt.Sprintf("weights %v, KV %v: perplexity %.4f (%+.3f %%), KL %.6f per token, %.2f %% of tokens the same",
			l.Format, l.KV, l.Perplexity, 100*l.Increase, l.KL, 100*l.SameTop)
		t.Log(line)
		if l.Increase > limits[i].most {
			t.Errorf("%s; at most %+.1f %% was expected", line, 100*limits[i].most)
		}
	}
}
