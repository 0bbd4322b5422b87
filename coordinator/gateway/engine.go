// Package gateway is text in, tokens out: it validates requests, renders chat
// templates, tokenizes, hands token sequences to an Engine, and turns what
// comes back into whole characters, stop strings and log-probabilities. The
// wire formats are its children: gateway/rpc (gRPC) and gateway/openai (HTTP).
package gateway

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Engine generates tokens. coordinator/group implements it over the workers;
// tests use a fake.
type Engine interface {
	// Submit starts one sequence. Events come in order on the channel, which is
	// deep enough that the engine never waits for its reader, and is closed
	// after the last one: the one with a Finish or an Err. Cancelling ctx ends
	// the sequence within a step (its last event then has Err = ctx's cause).
	// Submit's own errors: ErrUnavailable, ErrOverloaded, ErrTooLate, or a
	// *FieldError.
	Submit(ctx context.Context, s Sequence) (<-chan Event, error)
	// Ready reports nil while a step can be run; else why not, wrapping
	// ErrUnavailable.
	Ready() error
}

// Sequence is one choice of one request, in tokens; nothing is left to default.
type Sequence struct {
	RequestID string
	Index     int // which of the request's choices
	Prompt    []int32
	// PromptLen is less than len(Prompt) where a broken request goes on: the
	// tokens from there on were generated before. 0 means all of Prompt.
	PromptLen int
	MaxTokens int // 0 scores the prompt alone
	// LeastTokens come before the sequence can end by itself.
	LeastTokens int
	// StopTokens end the sequence: the model's EOS unless ignored, and the
	// request's own.
	StopTokens []int32
	Sampling   Sampling
	// Logprobs is how many alternatives come with each token; -1 means no
	// log-probabilities at all, 0 the chosen token's alone.
	Logprobs       int
	PromptLogprobs int // likewise, for the prompt's tokens
	// Constraint, if not nil, says which tokens may follow (structured output). It
	// is the sequence's own; the engine makes one call of it at a time.
	Constraint Constraint
	// Trace is the request's span, where its trace is recorded.
	Trace trace.SpanContext
	// Priority: a lower value comes first. Within a priority tenants share alike.
	Priority int
	Tenant   string
	// MaxDrafts is how many tokens a step may guess at, by prompt lookup; 0: none.
	MaxDrafts int
}

// Sampling chooses tokens: greedy where Temperature is 0.
type Sampling struct {
	Temperature float32
	TopP        float32 // 1: off
	TopK        int     // 0: off
	MinP        float32 // 0: off
	Seed        uint64

	RepetitionPenalty float32 // 1: off
	PresencePenalty   float32
	FrequencyPenalty  float32
	Bias              []TokenBias // by id, each once
	BadWords          [][]int32   // token sequences that must not come
	// MinTokens come before any of the sequence's StopTokens may.
	MinTokens int
}

// TokenBias is added to a token's logit.
type TokenBias struct {
	ID  int32
	Add float32
}

// Constraint follows a sequence's generated tokens.
type Constraint interface {
	// MaskWithin sets the bits of the token ids that may follow, and clears the
	// others; false if there are none. room is how many tokens can yet come: where it
	// gets scarce, only those may follow from which the end can be reached in time.
	MaskWithin(dst []uint64, room int) bool
	// Accept goes on by a token; false if it may not follow.
	Accept(token int32) bool
	// Rollback takes the last n accepted tokens back.
	Rollback(n int)
}

// Event is one thing that happened to a sequence.
type Event struct {
	// Prompt holds the scores of the prompt's tokens from position First on
	// (position 0 has none); they come before the first token, in order,
	// possibly in several events.
	Prompt      []Scores
	PromptFirst int

	// Scheduled, beside a token, is when the sequence's first step was planned; zero
	// where the engine doesn't tell.
	Scheduled time.Time

	Token    int32
	HasToken bool
	Scores   *Scores // of Token, where asked for

	Finish FinishReason // set in the last event unless Err is
	Err    error
}

// Scores are natural log-probabilities under the full softmax at temperature 1.
type Scores struct {
	Logprob     float32
	TopIDs      []int32 // likeliest first
	TopLogprobs []float32
}

// FinishReason says why a sequence ended.
type FinishReason uint8

// Finish reasons.
const (
	NotFinished     FinishReason = iota
	FinishStop                   // a stop token (the event's Token) or a stop string
	FinishLength                 // MaxTokens, or the context's end
	FinishToolCalls              // as FinishStop, after calls of tools; no engine says it
	FinishFilter                 // a policy refused what would come next; no engine says it
)
