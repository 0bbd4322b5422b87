package engine_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/gguf"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/synth"
)

// TestGPUQuantized: checkpoints of every quantization, on a GPU that rounds activations,
// have nearly the CPU's log-probabilities and its likeliest tokens, and the same bits on any
// number of ranks.
func TestGPUQuantized(t *testing.T) {
	if !*onGPU {
		t.Skip("needs a GPU: -gpu")
	}
	base := modeltest.Tiny(t, synth.Options{Layers: 2, Hidden: 256, Heads: 4, KVHeads: 2, HeadDim: 64, FFN: 512, Vocab: 300})
	for _, s := range modeltest.Schemes {
		t.Run(s.Name, func(t *testing.T) {
			quantized, _ := modeltest.Quantized(t, base, s)
			gpuLikeCPU(t, modeltest.Open(t, quantized))
		})
	}
	for typ := range modeltest.GGMLTypes {
		t.Run(fmt.Sprint(typ), func(t *testing.T) {
			gpuLikeCPU(t, modeltest.Open(t, modeltest.GGUF(t, base, func(tensor string) gguf.Type {
				for _, name := range []string{"q_proj", "k_proj", "lm_head"} {
					if strings.Contains(tensor, name) {
						return gguf.Q8_0 // random blocks are so large that softmax would jump with a rounding
					}
				}
				return typ
			})))
		})
	}
}

// gpuLikeCPU has the GPU score what the CPU generated.
func gpuLikeCPU(t *testing.T, ckpt *checkpoint.Checkpoint) {
	const within, generated = 5e-2, 6
	want := newSeq(1, prompt(3, 41), greedy)
	start(t, ckpt, "", 1).generate(want, 1000, generated)
	want = newSeq(1, want.Tokens, greedy)
	start(t, ckpt, "", 1).generate(want, 1000, generated)
	var print uint64
	worst, close := 0.0, 0
	for i, caps := range [][]float64{{1}, {1, 1}, {1, 3}} {
		q := newSeq(1, want.Tokens[:want.PromptLen], greedy)
		start(t, ckpt, gpuRounded, caps...).generate(q, []int{1000, 17, 3}[i], generated)
		if i > 0 {
			if q.fingerprint() != print {
				t.Errorf("capacities %v: other bits than one rank", caps)
			}
			continue
		}
		print = q.fingerprint()
		for k, w := range want.prompt {
			worst = max(worst, math.Abs(float64(q.prompt[k].Logprob-w.Logprob)))
			if q.prompt[k].TopIDs[0] != w.TopIDs[0] {
				if d := math.Abs(float64(q.prompt[k].TopLogprobs[0] - w.TopLogprobs[0])); d > within {
					t.Errorf("token %d: likeliest %d of %v, the CPU's is %d of %v", k, q.prompt[k].TopIDs[0], q.prompt[k].TopLogprobs[0], w.TopIDs[0], w.TopLogprobs[0])
				}
				close++
			}
		}
		if !slices.Equal(q.Tokens, want.Tokens) {
			t.Logf("generated %v, the CPU %v", q.Tokens[q.PromptLen:], want.Tokens[q.PromptLen:])
		}
	}
	t.Logf("log-probabilities of %d tokens differ by up to %.2g; another likeliest token at %d, as likely", len(want.prompt), worst, close)
	if !(worst <= within) {
		t.Errorf("at most %v was expected", within)
	}
}
