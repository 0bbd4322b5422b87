package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/sched"
)

// Submit implements gateway.Engine. While an epoch re-forms sequences queue;
// before the first one they are refused.
func (g *Group) Submit(ctx context.Context, s gateway.Sequence) (<-chan gateway.Event, error) {
	id := g.nextID.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		return nil, g.closed
	}
	if g.state.Epochs == 0 {
		return nil, fmt.Errorf("%w: %s", gateway.ErrUnavailable, g.state.Reason)
	}
	if err := g.admit(ctx, s); err != nil {
		return nil, err
	}
	err := g.sched.Add(sched.Request{
		ID: id, Prompt: s.Prompt, MaxTokens: s.MaxTokens, StopTokens: s.StopTokens, PromptScores: s.PromptLogprobs >= 0,
		Priority: s.Priority, Tenant: s.Tenant, MaxDrafts: s.MaxDrafts,
	})
	switch full := (*sched.QueueFullError)(nil); {
	case errors.Is(err, sched.ErrTooLong):
		return nil, &gateway.FieldError{Field: "prompt", Problem: err.Error()}
	case errors.As(err, &full):
		return nil, &gateway.RetryError{Err: fmt.Errorf("%w: %v", gateway.ErrOverloaded, err), After: g.drainTime(full)}
	case err != nil:
		return nil, err
	}
	st := newStream(ctx, s)
	st.release = context.AfterFunc(ctx, func() { g.abort(id, context.Cause(ctx)) })
	g.seqs[id] = st
	g.poke()
	return st.out, nil
}

// drainTime estimates when the queue will have room: its tokens at the rate of
// the last steps. g.mu is held.
func (g *Group) drainTime(full *sched.QueueFullError) time.Duration {
	if g.rate <= 0 {
		return time.Second
	}
	seconds := float64(full.Tokens) / g.rate
	return time.Duration(min(max(seconds, 1), 60)) * time.Second
}

// abort ends a sequence from outside the steps.
func (g *Group) abort(id uint64, cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if st := g.seqs[id]; st != nil {
		g.sched.Abort(id)
		delete(g.seqs, id)
		st.end(gateway.Event{Err: cause})
	}
}

// poke wakes the step loop.
func (g *Group) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}
