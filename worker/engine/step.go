// Package engine executes the steps of one rank: its share of the model's
// weights (Model), its KV pool and its sequences' tokens (Engine). It knows
// nothing of processes or of how ranks reach each other: it is given a backend
// and a communicator.
package engine

import (
	"context"

	"github.com/sullae/sullae/worker/sample"
)

// Step is one forward pass, the same on every rank.
type Step struct {
	Epoch, ID uint64
	Finished  []uint64 // sequences to drop, first
	Started   []NewSequence
	Sequences []SequenceStep
	// Masks gives those of the sequences that are Masked, in their order. They may
	// depend on tokens of the step before: it is called when the layers are computed,
	// and waits for them.
	Masks func(ctx context.Context) ([]Masks, error)
}

// Masks have a bit per token id: which may be chosen, and which after each draft:
// 1+len(Drafts) sets. Nil: any may, since what is chosen will not count.
type Masks [][]uint64

// NewSequence starts a sequence before its first rows.
type NewSequence struct {
	ID       uint64
	Sampling sample.Params
	Process  sample.Process
	// Tokens are all tokens known so far: the prompt, and on a replay what was
	// generated since.
	Tokens []int32
	// PromptLen is how many of Tokens are the prompt.
	PromptLen int
	// NumComputed positions are in the sequence's first blocks already: another
	// sequence with the same tokens so far has filled them.
	NumComputed int
	// Logprobs and PromptLogprobs: alternatives wanted with each generated or
	// prompt token; -1 means no scores.
	Logprobs, PromptLogprobs int
}

// SequenceStep computes tokens [NumComputed, NumComputed+Count) of a sequence.
type SequenceStep struct {
	ID          uint64
	NumComputed int
	Count       int
	NewBlocks   []int32 // appended to the block tables: one of each group of layers in turn
	// TokensHash is digest.Tokens of the first CheckedTokens tokens, as the
	// coordinator knows them.
	TokensHash    uint64
	CheckedTokens int
	Sample        bool // choose the token after the last computed one
	// Drafts are guesses at the tokens to be chosen. Their rows are computed with
	// the others, and each is sampled as if those before it had been chosen; what
	// is chosen counts for as long as it equals the guess, and once more. So the
	// tokens are those that one step for each would choose. What a refused draft
	// left in the KV pool is overwritten by the next step.
	Drafts []int32
	// Masked: what may be chosen comes by Step.Masks.
	Masked bool
}

// Result is what a step made. Every rank computes the tokens; scores are
// filled in on rank 0 alone.
type Result struct {
	Step      uint64
	Sequences []SequenceResult
	Rows      int
	// ComputeNanos, CollectiveNanos and MaskNanos, in which it waited for masks, split
	// the step's time.
	ComputeNanos, CollectiveNanos, MaskNanos int64
}

// SequenceResult is one sequence's part of a Result.
type SequenceResult struct {
	ID uint64
	// Tokens were chosen: none, or one and one more for each draft that it met.
	Tokens []int32
	Scores []*sample.Scores // of Tokens, where the sequence wants them
	// PromptScores[i] are of the token at position PromptFirst+i.
	PromptFirst  int
	PromptScores []sample.Scores
}
