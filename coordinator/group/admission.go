package group

import (
	"context"
	"fmt"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/sched"
)

// speed is how fast steps have been at their best: what a promise can't be
// better than. Both forget slowly.
type speed struct {
	rows float64 // computed per second
	step float64 // seconds of a step
	wide int     // rows of the step that showed the most per second
	seen int     // steps
}

// enough is how many steps must have been seen: the first ones of an epoch, after a
// failure, are slow.
const enough = 64

// forgetting is how much worse a step's bound becomes with each step.
const forgetting = 1.0005

func (s *speed) note(rows int, seconds float64) {
	if seconds <= 0 {
		return
	}
	s.seen++
	// A step of few rows can't show how many could be computed, nor that it is less.
	if 2*rows >= s.wide {
		s.rows /= forgetting
	}
	if v := float64(rows) / seconds; v > s.rows {
		s.rows, s.wide = v, rows
	}
	if s.step *= forgetting; s.step == 0 || seconds < s.step {
		s.step = seconds
	}
}

// atLeast estimates from below how long it takes to compute tokens of prompts and
// then to generate others, one step for each.
func (s speed) atLeast(prompt, steps int) time.Duration {
	if s.seen < enough {
		return 0 // too little is known
	}
	seconds := float64(prompt)/s.rows + float64(steps)*s.step
	return time.Duration(min(seconds, 1e9) * float64(time.Second))
}

// admit refuses a sequence that cannot end by its deadline: the time for the
// tokens that wait with its priority or before it, for its own prompt less what is
// cached, and for as many steps as it takes at least, all at the best speed seen,
// is more than it has. g.mu is held.
func (g *Group) admit(ctx context.Context, s gateway.Sequence) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	left := time.Until(deadline)
	steps := max(1, (s.LeastTokens+s.MaxDrafts)/(1+s.MaxDrafts)) // with guesses a step may bring several
	own := len(s.Prompt) - g.sched.CachedTokens(s.Prompt)
	before := g.sched.WaitingTokens(s.Priority)
	need := g.speed.atLeast(before+own, steps)
	if need <= left {
		return nil
	}
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	if alone := g.speed.atLeast(own, steps); alone > left {
		return fmt.Errorf("%w: it takes %v at least, and has %v", gateway.ErrTooLate, round(alone), round(left))
	}
	return &gateway.RetryError{
		Err:   fmt.Errorf("%w: behind %d tokens it takes %v at least, and has %v", gateway.ErrOverloaded, before, round(need), round(left)),
		After: g.drainTime(&sched.QueueFullError{Tokens: before}),
	}
}
