package node

import (
	"encoding/binary"
	"time"

	"github.com/sullae/sullae/kernels/tree"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/sample"
)

func shareOf(s *clusterv1.Share) plan.Share {
	return plan.Share{
		Heads: tree.Range{Lo: int(s.HeadLo), Hi: int(s.HeadHi)},
		MLP:   tree.Range{Lo: int(s.MlpLo), Hi: int(s.MlpHi)},
		Vocab: tree.Range{Lo: int(s.VocabLo), Hi: int(s.VocabHi)},
	}
}

// stepOf turns a plan from the wire into the engine's; nil gives a step that the
// engine refuses.
func stepOf(p *clusterv1.StepPlan) engine.Step {
	s := engine.Step{Epoch: p.GetEpoch(), ID: p.GetStep(), Finished: p.GetFinished()}
	for _, n := range p.GetStarted() {
		sp := n.GetSampling()
		s.Started = append(s.Started, engine.NewSequence{
			ID: n.Id, Tokens: n.Tokens, PromptLen: int(n.PromptLen), NumComputed: int(n.NumComputed),
			Logprobs: int(n.Logprobs), PromptLogprobs: int(n.PromptLogprobs),
			Sampling: sample.Params{Temperature: sp.GetTemperature(), TopP: sp.GetTopP(), TopK: int(sp.GetTopK()), MinP: sp.GetMinP(), Seed: sp.GetSeed()},
			Process:  processOf(sp),
		})
	}
	for _, q := range p.GetSequences() {
		s.Sequences = append(s.Sequences, engine.SequenceStep{
			ID: q.Id, NumComputed: int(q.NumComputed), Count: int(q.Count), NewBlocks: q.NewBlocks,
			TokensHash: q.TokensHash, CheckedTokens: int(q.CheckedTokens), Sample: q.Sample,
			Drafts: q.Drafts, Masked: q.Masked,
		})
	}
	return s
}

func masksOf(m *clusterv1.StepMasks) []engine.Masks {
	out := make([]engine.Masks, len(m.GetMasks()))
	for i, mask := range m.GetMasks() {
		for _, s := range mask.GetAllowed() {
			out[i] = append(out[i], wordsOf(s))
		}
	}
	return out
}

// wordsOf reads a bit set; a last incomplete word is dropped.
func wordsOf(b []byte) []uint64 {
	if len(b) == 0 {
		return nil
	}
	out := make([]uint64, len(b)/8)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return out
}

func processOf(sp *clusterv1.SamplingParams) sample.Process {
	p := sample.Process{
		Repetition: sp.GetRepetitionPenalty(), Presence: sp.GetPresencePenalty(), Frequency: sp.GetFrequencyPenalty(),
		MinTokens: int(sp.GetMinTokens()), StopTokens: sp.GetStopTokens(),
	}
	values := sp.GetBiasValues()
	for i, id := range sp.GetBiasIds() {
		if i < len(values) {
			p.Bias = append(p.Bias, sample.Bias{ID: id, Add: values[i]})
		}
	}
	for _, w := range sp.GetBadWords() {
		p.BadWords = append(p.BadWords, w.Ids)
	}
	return p
}

// resultOf turns a result into its message; full carries the sequences.
func resultOf(r engine.Result, spent spent, idle time.Duration, full bool) *clusterv1.StepResult {
	idle += time.Duration(r.MaskNanos)
	m := &clusterv1.StepResult{Step: r.Step, ComputeNs: r.ComputeNanos, CollectiveNs: r.CollectiveNanos, Rows: int64(r.Rows),
		WaitedNs: spent.waited.Nanoseconds(), BytesSent: spent.bytesSent, IdleNs: idle.Nanoseconds()}
	if !full {
		return m
	}
	for _, q := range r.Sequences {
		s := &clusterv1.SequenceResult{Id: q.ID, FirstPromptPosition: int32(q.PromptFirst), Tokens: q.Tokens}
		for _, t := range q.Scores {
			s.Scores = append(s.Scores, scoresOf(*t))
		}
		for _, p := range q.PromptScores {
			s.PromptScores = append(s.PromptScores, scoresOf(p))
		}
		m.Sequences = append(m.Sequences, s)
	}
	return m
}

func scoresOf(s sample.Scores) *clusterv1.TokenScores {
	return &clusterv1.TokenScores{Logprob: s.Logprob, TopIds: s.TopIDs, TopLogprobs: s.TopLogprobs}
}
