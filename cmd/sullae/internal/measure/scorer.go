package measure

import (
	"context"
	"fmt"

	"github.com/sullae/sullae/collective/digest"
	memlink "github.com/sullae/sullae/collective/link/mem"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/sample"
)

// scoredBytes bounds the log-probabilities that a step makes.
const scoredBytes = 32 << 20

// scorer tells a model's log-probabilities of all tokens at every place of a text, one
// rank in this process.
type scorer struct {
	spec *model.Spec
	e    *engine.Engine
	step uint64
	seq  uint64
}

// loadWhole loads a model on one rank.
func loadWhole(ctx context.Context, b *cpu.Backend, spec *model.Spec, src checkpoint.Source, f kernels.Format) (*engine.Model, error) {
	p, err := plan.Make(plan.UnitsOf(spec), []float64{1})
	if err != nil {
		return nil, err
	}
	return engine.Load(ctx, engine.LoadConfig{Backend: b, Spec: spec, Plan: p, Source: src, Format: f})
}

// newScorer makes one of a loaded model, which stays the caller's.
func newScorer(b *cpu.Backend, spec *model.Spec, m *engine.Model, kv kernels.KVType, context int) (*scorer, error) {
	e, err := engine.New(engine.Config{Model: m, Backend: b, Comm: memlink.NewGroup(1)[0], Epoch: 1,
		Blocks: (context + modelBlock - 1) / modelBlock * len(spec.KVGroups().Windows), BlockSize: modelBlock, KVType: kv})
	if err != nil {
		return nil, err
	}
	return &scorer{spec: spec, e: e}, nil
}

// close ends it.
func (s *scorer) close() { s.e.Close() }

// chunk is how many tokens score takes at once.
func (s *scorer) chunk() int { return max(1, scoredBytes/8/s.spec.Vocab) }

// score computes tokens [done, done+n) of a text, after those before; done is 0 for a new
// text. It returns the log-probabilities of each of tokens[done+1 : done+n+1].
func (s *scorer) score(ctx context.Context, tokens []int32, done, n int) ([]sample.Scores, error) {
	s.step++
	step := engine.Step{Epoch: 1, ID: s.step}
	have := (done + modelBlock - 1) / modelBlock
	if done == 0 {
		if s.seq > 0 {
			step.Finished = []uint64{s.seq}
		}
		s.seq++
		step.Started = []engine.NewSequence{{ID: s.seq, Tokens: tokens, PromptLen: len(tokens), Logprobs: -1,
			PromptLogprobs: s.spec.Vocab, Sampling: sample.Params{TopP: 1}}}
	}
	part := engine.SequenceStep{ID: s.seq, NumComputed: done, Count: n, CheckedTokens: len(tokens), TokensHash: digest.Tokens(digest.Start, tokens...)}
	groups := len(s.spec.KVGroups().Windows) // of layers, each with a block of its own
	for have *= groups; have < (done+n+modelBlock-1)/modelBlock*groups; have++ {
		part.NewBlocks = append(part.NewBlocks, int32(have))
	}
	step.Sequences = []engine.SequenceStep{part}
	res, err := s.e.Step(ctx, step)
	if err != nil {
		return nil, err
	}
	scores := res.Sequences[0].PromptScores
	if len(scores) != n {
		return nil, fmt.Errorf("%d of %d tokens were scored", len(scores), n)
	}
	return scores, nil
}
