package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/sample"
)

// masks restrict the tokens of a sequence by position, as a grammar would.
func maskAt(position, vocab int) []uint64 {
	words := make([]uint64, (vocab+63)/64)
	for id := range vocab {
		if (id+position)%3 != 0 {
			words[id/64] |= 1 << (id % 64)
		}
	}
	return words
}

// TestDrafts: with guesses of the coming tokens, right ones, wrong ones and some
// that go wrong half-way, every sequence has the tokens and scores that it has
// without, on any number of ranks, whatever shapes the choice; and it takes fewer
// steps.
func TestDrafts(t *testing.T) {
	ckpt := modeltest.Open(t, modeltest.Golden(t)[0].Dir)
	vocab := ckpt.Spec().Vocab
	rng := rand.New(rand.NewPCG(1, 2))
	prompt := make([]int32, 23)
	for i := range prompt {
		prompt[i] = int32(rng.IntN(vocab))
	}
	const tokens = 40
	kinds := []struct {
		name    string
		params  sample.Params
		process sample.Process
		masked  bool
	}{
		{name: "greedy", params: greedy},
		{name: "temperature", params: sample.Params{Temperature: 1, TopP: 1, Seed: 7}},
		{name: "top-p", params: sample.Params{Temperature: 1.5, TopP: 0.97, Seed: 8}},
		{name: "top-k and min-p", params: sample.Params{Temperature: 1, TopP: 0.9, TopK: 20, MinP: 0.01, Seed: 9}},
		{name: "penalties", params: sample.Params{Temperature: 0.8, TopP: 1, Seed: 10}, process: sample.Process{Repetition: 1.3, Presence: 0.5, Frequency: 0.4}},
		{name: "bad words and a minimum", params: greedy, process: sample.Process{BadWords: [][]int32{{5}, {7, 9}}, MinTokens: 12, StopTokens: []int32{3, 4}}},
		{name: "a grammar's masks", params: sample.Params{Temperature: 1, TopP: 1, Seed: 11}, masked: true},
	}
	for world := 1; world <= 4; world++ {
		for k, kind := range kinds {
			t.Run(fmt.Sprintf("%d ranks/%s", world, kind.name), func(t *testing.T) {
				c := start(t, ckpt, "", capacities(world)...)
				plain := newSeq(1, prompt, kind.params)
				drafted := newSeq(2, prompt, kind.params)
				plain.Process, drafted.Process = kind.process, kind.process
				steps := 0
				advance := func(q *seq, started []engine.NewSequence, guess func() []int32) {
					p := c.part(q, len(q.Tokens)-q.computed)
					p.Drafts = guess()
					for q.blocks*testBlockSize < len(q.Tokens)+len(p.Drafts) {
						p.NewBlocks = append(p.NewBlocks, c.blocks)
						c.blocks++
						q.blocks++
					}
					s := engine.Step{Started: started}
					if p.Masked = kind.masked; p.Masked {
						var masks engine.Masks
						for i := range 1 + len(p.Drafts) {
							masks = append(masks, maskAt(len(q.Tokens)+i, vocab))
						}
						s.Masks = func(context.Context) ([]engine.Masks, error) { return []engine.Masks{masks}, nil }
					}
					s.Sequences = []engine.SequenceStep{p}
					r := c.run(s)
					q.take(r.Sequences[0], p)
				}
				begin := []engine.NewSequence{plain.NewSequence}
				for len(plain.Tokens) < len(prompt)+tokens {
					advance(plain, begin, func() []int32 { return nil })
					begin = nil
				}
				begin = []engine.NewSequence{drafted.NewSequence}
				guesses := rand.New(rand.NewPCG(uint64(k), 3))
				for ; len(drafted.Tokens) < len(prompt)+tokens; steps++ {
					advance(drafted, begin, func() []int32 {
						n := len(drafted.Tokens)
						g := slices.Clone(plain.Tokens[n:min(n+guesses.IntN(6), len(plain.Tokens)-1)])
						if wrong := guesses.IntN(2 * 6); wrong < len(g) {
							g[wrong] = (g[wrong] + 1 + int32(guesses.IntN(vocab-1))) % int32(vocab)
						}
						return g
					})
					begin = nil
				}
				if drafted.fingerprint() != plain.fingerprint() {
					t.Errorf("other tokens or scores with drafts:\n%v\n%v", drafted.Tokens[len(prompt):], plain.Tokens[len(prompt):])
				}
				if steps >= tokens*2/3 {
					t.Errorf("%d steps for %d tokens", steps, tokens)
				}
			})
		}
	}
}
