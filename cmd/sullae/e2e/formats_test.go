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

// TestQuantizedFiles: quantized weights have the bits of the same values in
// float32: on 3 workers that read them, and on 2 that get them from the coordinator.
func TestQuantizedFiles(t *testing.T) {
	ask := func(p *process) any {
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
	for _, c := range []struct {
		quantized, plain string
		sent             bool
	}{{gptq, plain, true}, {file, modeltest.Plain(t, file), false}} {
		want := ask(up(t, "--model", c.plain, "--workers", "1", "--threads", "1"))
		if !c.sent {
			if got := ask(up(t, "--model", c.quantized, "--workers", "3", "--threads", "1")); !reflect.DeepEqual(got, want) {
				t.Errorf("%s on 3 workers: %v, want %v", filepath.Base(c.quantized), got, want)
			}
			continue
		}
		etcd := "127.0.0.1:" + freePort(t)
		p := launch(t, "coordinator", "--model", c.quantized, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
			"--gossip", "127.0.0.1:0", "--etcd-listen", etcd, "--workers", "2")
		awaitListener(t, etcd)
		worker(t, "--id", "w0", "--etcd", etcd)
		worker(t, "--id", "w1", "--etcd", etcd, "--capacity", "2")
		p.awaitReady()
		if got := ask(p); !reflect.DeepEqual(got, want) {
			t.Errorf("%s sent to 2 workers: %v, want %v", filepath.Base(c.quantized), got, want)
		}
	}
}
