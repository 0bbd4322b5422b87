package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/worker/engine"
)

// TestParts: a step's results are the same bits in however many parts its rows go
// through the layers, on however many ranks.
func TestParts(t *testing.T) { parts(t, "", "tiny-exaone4-hybrid-8h4kv-bf16", "tiny-gemma2-8h4kv-f32") }

// TestGPUParts is TestParts on a GPU.
func TestGPUParts(t *testing.T) {
	if !*onGPU {
		t.Skip("needs a GPU: -gpu")
	}
	parts(t, gpuRounded, "tiny-exaone4-hybrid-8h4kv-bf16")
}

func parts(t *testing.T, variant string, names ...string) {
	for _, name := range names {
		ckpt := modeltest.Open(t, modeltest.Dir(t, name))
		want := ""
		for _, caps := range [][]float64{capacities(1), capacities(2), {5, 1, 2}, capacities(4)} {
			for _, n := range []int{1, 2, 3, 7} {
				if len(caps) == 1 && n > 1 {
					continue // nothing to exchange
				}
				c := startCut(t, ckpt, ckpt.Spec(), variant, kernels.AsStored, engine.Config{Parts: n, PartRows: 5}, caps...)
				if got := c.mixed(); want == "" {
					want = got
				} else if got != want {
					t.Errorf("%s, capacities %v, %d parts: other bits", name, caps, n)
				}
			}
		}
	}
}

// prompt is n tokens of no meaning.
func prompt(seed, n int) (tokens []int32) {
	for i := range n {
		tokens = append(tokens, int32((i*37+seed*13+11)%90))
	}
	return tokens
}

// mixed computes prompts in chunks beside sequences that decode, and returns all that
// came of it.
func (c *cluster) mixed() (prints string) {
	var seqs []*seq
	for i := range 3 {
		seqs = append(seqs, newSeq(uint64(i+1), prompt(i, 9+20*i), greedy))
	}
	for step := range 7 {
		var s engine.Step
		var now []*seq
		for i, q := range seqs {
			if i > step {
				continue
			}
			if i == step {
				s.Started = append(s.Started, q.NewSequence)
			}
			s.Sequences = append(s.Sequences, c.part(q, min(23, len(q.Tokens)-q.computed)))
			now = append(now, q)
		}
		r := c.run(s)
		for i, q := range now {
			q.take(r.Sequences[i], s.Sequences[i])
		}
	}
	for _, q := range seqs {
		prints += fmt.Sprintf("%x ", q.fingerprint())
	}
	return prints
}

// TestPartsEnd: a step of several parts ends soon when it is cancelled, or a peer is
// gone, while sums are under way.
func TestPartsEnd(t *testing.T) {
	ckpt := modeltest.Open(t, modeltest.Dir(t, "tiny-exaone4-hybrid-8h4kv-bf16"))
	for name, end := range map[string]func(cancel context.CancelFunc, peer collective.Communicator){
		"cancelled": func(cancel context.CancelFunc, _ collective.Communicator) { cancel() },
		"peer gone": func(_ context.CancelFunc, peer collective.Communicator) { peer.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c := startCut(t, ckpt, ckpt.Spec(), "", kernels.AsStored, engine.Config{Parts: 3, PartRows: 5}, capacities(2)...)
			q := newSeq(1, prompt(1, 30), greedy)
			s := engine.Step{Epoch: 1, ID: 1, Started: []engine.NewSequence{q.NewSequence}, Sequences: []engine.SequenceStep{c.part(q, 30)}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			timer := time.AfterFunc(50*time.Millisecond, func() { end(cancel, c.comms[1]) })
			defer timer.Stop()
			_, err := c.engines[0].Step(ctx, s) // the other rank does nothing
			if !errors.Is(err, collective.ErrPeerLost) && !errors.Is(err, collective.ErrClosed) {
				t.Errorf("the step ended with %v", err)
			}
		})
	}
}
