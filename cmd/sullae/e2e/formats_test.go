package e2e

import (
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"github.com/sullae/sullae/shard/gguf"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/synth"
)

// TestGGUFThroughUp: one GGUF file is enough: the golden text cases from a file that
// holds model, tokenizer and chat template, on workers that have the file and on
// workers that get the weights from the coordinator.
func TestGGUFThroughUp(t *testing.T) {
	dir, cases := e2eModel(t)
	path := modeltest.GGUF(t, dir, func(string) gguf.Type { return gguf.BF16 })
	p := up(t, "--model", path, "--workers", "2", "--threads", "1")
	if p.model != "model" {
		t.Errorf("served as %q", p.model)
	}
	for _, g := range cases {
		url, body := "/v1/completions", map[string]any{"prompt": g.Prompt}
		if g.Kind == "chat" {
			url, body = "/v1/chat/completions", map[string]any{"messages": g.Messages}
		}
		for k, v := range map[string]any{"temperature": 0, "max_tokens": g.MaxTokens, "return_token_ids": true} {
			body[k] = v
		}
		text, ids, prompt, finish := p.text(t, url, body)
		if text != g.Text || !slices.Equal(ids, g.GeneratedIDs) || finish != g.FinishReason || !slices.Equal(prompt, g.PromptIDs) {
			t.Errorf("%s: got %q %v %s from %v, want %q %v %s from %v", g.Name, text, ids, finish, prompt, g.Text, g.GeneratedIDs, g.FinishReason, g.PromptIDs)
		}
	}
}

// TestQuantizedFilesThroughUp: quantized weights have the bits of the same values
// in float32, on 1 worker and on 3, read by each or sent over the wire.
func TestQuantizedFilesThroughUp(t *testing.T) {
	ask := func(args ...string) any {
		p := up(t, append(args, "--threads", "1")...)
		defer p.stop(syscall.SIGTERM)
		c, err := p.complete(map[string]any{"model": p.model, "prompt": []int{3, 1, 4, 1, 5, 9, 2, 6}, "max_tokens": 8, "temperature": 0, "logprobs": 3, "ignore_eos": true})
		if err != nil {
			t.Fatal(err)
		}
		return c.Choices[0].Logprobs
	}
	base := modeltest.Tiny(t, synth.Options{Layers: 2, Hidden: 256, Heads: 4, KVHeads: 2, HeadDim: 64, FFN: 512, Vocab: 300})
	gptq, plain := modeltest.Quantized(t, base, modeltest.Schemes[1])
	file := modeltest.GGUF(t, base, func(string) gguf.Type { return gguf.Q4_K })
	for _, c := range []struct{ quantized, plain string }{{gptq, plain}, {file, modeltest.Plain(t, file)}} {
		want := ask("--model", c.plain, "--workers", "1")
		if got := ask("--model", c.quantized, "--workers", "3"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s on 3 workers: %v, want %v", filepath.Base(c.quantized), got, want)
		}
	}
}
