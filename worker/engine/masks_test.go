package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/worker/engine"
)

// TestMasks: a step waits for its masks when its layers are computed, and says how
// long; what it gets must fit the plan; no mask leaves the choice free.
func TestMasks(t *testing.T) {
	ckpt := modeltest.Open(t, modeltest.Golden(t)[0].Dir)
	vocab := ckpt.Spec().Vocab
	late := 20 * time.Millisecond
	broken := errors.New("broken off")
	give := func(masks ...engine.Masks) func(context.Context) ([]engine.Masks, error) {
		return func(context.Context) ([]engine.Masks, error) { time.Sleep(late); return masks, nil }
	}
	one := engine.Masks{maskAt(0, vocab)}
	for _, test := range []struct {
		name   string
		change func(*engine.SequenceStep)
		masks  func(context.Context) ([]engine.Masks, error)
		want   error
	}{
		{name: "one", masks: give(one)},
		{name: "any may be chosen", masks: give(nil)},
		{name: "none has come", masks: give(), want: engine.ErrPlan},
		{name: "too many", masks: give(one, one), want: engine.ErrPlan},
		{name: "of other drafts", masks: give(engine.Masks{one[0], one[0]}), want: engine.ErrPlan},
		{name: "none can come", want: engine.ErrPlan},
		{name: "of what is not sampled", change: func(s *engine.SequenceStep) { s.Sample = false }, masks: give(one), want: engine.ErrPlan},
		{name: "the coordinator is gone", masks: func(context.Context) ([]engine.Masks, error) { return nil, broken }, want: broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, ckpt, "", 1)
			q := newSeq(1, []int32{3, 1, 4}, greedy)
			p := c.part(q, 3)
			p.Masked = true
			if test.change != nil {
				test.change(&p)
			}
			r, err := c.engines[0].Step(t.Context(), engine.Step{Epoch: 1, ID: 1, Started: []engine.NewSequence{q.NewSequence},
				Sequences: []engine.SequenceStep{p}, Masks: test.masks})
			if !errors.Is(err, test.want) {
				t.Fatalf("%v, expected %v", err, test.want)
			}
			if err == nil && time.Duration(r.MaskNanos) < late {
				t.Errorf("waited %v for masks, expected %v at least", time.Duration(r.MaskNanos), late)
			}
		})
	}
}
