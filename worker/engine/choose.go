package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/worker/sample"
)

// chosen is what a row of logits came to.
type chosen struct {
	token  int32
	scores *sample.Scores
	err    error // ErrWhole or ErrNotFinite of package sample
}

// choose scores and samples the rows that are wanted, and appends the chosen
// tokens to their sequences, on every rank alike.
func (e *Engine) choose(ctx context.Context, tag collective.Tag, a views, b *batch) (Result, error) {
	res := Result{Sequences: make([]SequenceResult, len(b.items))}
	for i, it := range b.items {
		res.Sequences[i].ID = it.seq.ID
	}
	rows, err := e.merge(ctx, tag, a, b, b.outs, false)
	if err != nil {
		return res, err
	}
	var again []output
	for i, o := range b.outs {
		if errors.Is(rows[i].err, sample.ErrWhole) {
			again = append(again, o)
		}
	}
	whole, err := e.merge(ctx, tag, a, b, again, true)
	if err != nil {
		return res, err
	}
	for i, o := range b.outs {
		c := rows[i]
		if errors.Is(c.err, sample.ErrWhole) {
			c, whole = whole[0], whole[1:]
		}
		if err := e.settle(&res, b, o, c); err != nil {
			return res, err
		}
	}
	return res, nil
}

// merge gathers the rows' summaries from all ranks and chooses; whole sends all
// of the vocabulary.
func (e *Engine) merge(ctx context.Context, tag collective.Tag, a views, b *batch, outs []output, whole bool) ([]chosen, error) {
	if len(outs) == 0 {
		return nil, nil
	}
	data, err := e.summaries(a, b, outs, whole)
	if err != nil {
		return nil, err
	}
	all, err := e.gather(ctx, tag, data)
	if err != nil {
		return nil, err
	}
	merger := sample.NewMerger(e.vocab(), all)
	rows := make([]chosen, len(outs))
	for i, o := range outs {
		c := &rows[i]
		c.token, c.scores, c.err = merger.Next(o.want, e.comm.Rank() == 0, whole)
		if c.err != nil && !errors.Is(c.err, sample.ErrWhole) && !errors.Is(c.err, sample.ErrNotFinite) {
			return nil, c.err
		}
	}
	if !merger.Done() {
		return nil, fmt.Errorf("%w: more candidates than rows", collective.ErrMismatch)
	}
	return rows, nil
}

// settle records what came of a row. The row behind a draft counts only if that
// draft, and all before it, were chosen.
func (e *Engine) settle(res *Result, b *batch, o output, c chosen) error {
	r, it := &res.Sequences[o.item], &b.items[o.item]
	if o.draft > 0 && (len(r.Tokens) < o.draft || r.Tokens[o.draft-1] != it.step.Drafts[o.draft-1]) {
		return nil
	}
	if c.err != nil {
		return &SequenceError{it.seq.ID, fmt.Errorf("position %d: %w (%v)", b.pos[o.row], ErrNumeric, c.err)}
	}
	if o.promptPos > 0 {
		if c.scores != nil {
			if len(r.PromptScores) == 0 {
				r.PromptFirst = o.promptPos
			}
			r.PromptScores = append(r.PromptScores, *c.scores)
		}
		return nil
	}
	r.Tokens = append(r.Tokens, c.token)
	if c.scores != nil {
		r.Scores = append(r.Scores, c.scores)
	}
	it.seq.push(c.token)
	if o.draft > 0 {
		it.seq.computed++
	}
	return nil
}

func (e *Engine) vocab() sample.Vocab {
	v := sample.Vocab{Blocks: e.m.plan.Units.VocabLeaves()}
	for _, s := range e.m.plan.Shares {
		v.Ranks = append(v.Ranks, s.Vocab)
	}
	return v
}

func (e *Engine) gather(ctx context.Context, tag collective.Tag, data []byte) ([][]byte, error) {
	start := time.Now()
	all, err := e.comm.AllGather(ctx, tag, data)
	e.collectiveNanos += time.Since(start).Nanoseconds()
	return all, err
}
