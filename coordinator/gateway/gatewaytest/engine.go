// Package gatewaytest has a scripted Engine and a byte tokenizer, for the tests
// of the gateway and of what stands on it.
package gatewaytest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
)

// Engine plays a script. Its zero value answers every prompt with the prompt
// itself, over and over.
type Engine struct {
	// Tokens is what a sequence would go on with, without end or limit; the
	// engine does stop tokens and MaxTokens.
	Tokens func(gateway.Sequence) func(i int) int32
	// Score is the log-probabilities of a token; nil: Scored.
	Score func(s gateway.Sequence, position int, token int32, top int) gateway.Scores
	// Step, if set, is received from before each token.
	Step chan struct{}
	// FailAt, if positive, ends sequences with FailErr before their token FailAt-1.
	FailAt  int
	FailErr error
	// PromptChunk is how many scores come in one event; 0: all.
	PromptChunk int

	SubmitErr, ReadyErr atomic.Pointer[error]

	mu        sync.Mutex
	submitted []gateway.Sequence
	running   int
	cancelled atomic.Int32
}

var _ gateway.Engine = (*Engine)(nil)

// Script makes every sequence go on with these tokens, over and over.
func Script(tokens ...int32) func(gateway.Sequence) func(int) int32 {
	return func(gateway.Sequence) func(int) int32 {
		return func(i int) int32 { return tokens[i%len(tokens)] }
	}
}

// Say makes every sequence go on with a text's bytes, and then EOS.
func Say(text string) func(gateway.Sequence) func(int) int32 {
	return func(gateway.Sequence) func(int) int32 {
		return func(i int) int32 {
			if i < len(text) {
				return int32(text[i])
			}
			return EOS
		}
	}
}

// Submitted lists the sequences so far.
func (e *Engine) Submitted() []gateway.Sequence {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]gateway.Sequence(nil), e.submitted...)
}

// Cancelled is how many sequences ended by their context.
func (e *Engine) Cancelled() int { return int(e.cancelled.Load()) }

// Wait waits until no sequence runs, or for ten seconds; it reports which.
func (e *Engine) Wait() bool {
	return e.until(func() bool { return e.running == 0 })
}

// WaitSubmitted waits until there have been n sequences, likewise.
func (e *Engine) WaitSubmitted(n int) bool {
	return e.until(func() bool { return len(e.submitted) >= n })
}

func (e *Engine) until(holds func() bool) bool {
	for range 10_000 {
		e.mu.Lock()
		ok := holds()
		e.mu.Unlock()
		if ok {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// Ready implements gateway.Engine.
func (e *Engine) Ready() error {
	if err := e.ReadyErr.Load(); err != nil {
		return *err
	}
	return nil
}

// Submit implements gateway.Engine.
func (e *Engine) Submit(ctx context.Context, s gateway.Sequence) (<-chan gateway.Event, error) {
	if err := e.SubmitErr.Load(); err != nil {
		return nil, *err
	}
	e.mu.Lock()
	e.submitted = append(e.submitted, s)
	e.running++
	e.mu.Unlock()
	out := make(chan gateway.Event, len(s.Prompt)+s.MaxTokens+2)
	go func() {
		e.play(ctx, s, out)
		close(out)
		e.mu.Lock()
		e.running--
		e.mu.Unlock()
	}()
	return out, nil
}

func (e *Engine) play(ctx context.Context, s gateway.Sequence, out chan<- gateway.Event) {
	score := e.Score
	if score == nil {
		score = Scored
	}
	if s.PromptLogprobs >= 0 {
		chunk := e.PromptChunk
		if chunk == 0 {
			chunk = len(s.Prompt)
		}
		for first := 1; first < len(s.Prompt); first += chunk {
			ev := gateway.Event{PromptFirst: first}
			for i := first; i < min(first+chunk, len(s.Prompt)); i++ {
				ev.Prompt = append(ev.Prompt, score(s, i, s.Prompt[i], s.PromptLogprobs))
			}
			out <- ev
		}
	}
	if s.MaxTokens == 0 {
		out <- gateway.Event{Finish: gateway.FinishLength}
		return
	}
	next := func(i int) int32 { return s.Prompt[i%len(s.Prompt)] }
	if e.Tokens != nil {
		next = e.Tokens(s)
	}
	for i := 0; ; i++ {
		if e.Step != nil {
			select {
			case <-e.Step:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			e.cancelled.Add(1)
			out <- gateway.Event{Err: context.Cause(ctx)}
			return
		}
		if e.FailAt > 0 && i == e.FailAt-1 {
			out <- gateway.Event{Err: e.FailErr}
			return
		}
		ev := gateway.Event{Token: next(i), HasToken: true}
		if s.Logprobs >= 0 {
			sc := score(s, len(s.Prompt)+i, ev.Token, s.Logprobs)
			ev.Scores = &sc
		}
		if i == s.MaxTokens-1 {
			ev.Finish = gateway.FinishLength
		}
		for _, t := range s.StopTokens {
			if t == ev.Token {
				ev.Finish = gateway.FinishStop
			}
		}
		out <- ev
		if ev.Finish != gateway.NotFinished {
			return
		}
	}
}

// Scored scores a token as position's remainder by 3: where it is 0, the token
// is the likeliest; else it comes after all alternatives, which are ids 'a' and on.
func Scored(_ gateway.Sequence, position int, token int32, top int) gateway.Scores {
	sc := gateway.Scores{Logprob: -0.1 * float32(position+1)}
	for i := range top {
		id, lp := 'a'+int32(i), sc.Logprob+0.01*float32(top-i)
		if position%3 == 0 {
			lp = sc.Logprob - 0.01*float32(i)
			if i == 0 {
				id = token
			}
		}
		sc.TopIDs = append(sc.TopIDs, id)
		sc.TopLogprobs = append(sc.TopLogprobs, lp)
	}
	return sc
}
