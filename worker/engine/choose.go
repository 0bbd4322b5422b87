package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/worker/sample"
)

// logitRows bounds how many rows' logits are held at a time: 64 rows of a
// vocabulary of 102,400 are 26 MB.
const logitRows = 64

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
	data := e.act.summary[:0]
	err := e.logits(a, b, outs, func(o output, row sample.Row) { data = sample.Local(data, o.want, row, whole) })
	e.act.summary = data
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

func (e *Engine) vocabBase() int32 { return int32(e.m.plan.Units.VocabRange(e.m.share).Lo) }

func (e *Engine) gather(ctx context.Context, tag collective.Tag, data []byte) ([][]byte, error) {
	start := time.Now()
	all, err := e.comm.AllGather(ctx, tag, data)
	e.collectiveNanos += time.Since(start).Nanoseconds()
	return all, err
}

// logits computes the wanted rows' logits over this rank's vocabulary, a chunk
// of rows at a time, and calls use for each row in order.
func (e *Engine) logits(a views, b *batch, outs []output, use func(o output, row sample.Row)) error {
	u := e.m.plan.Units
	n, c := u.VocabRange(e.m.share).Len(), e.m.spec.Hidden
	if n == 0 {
		for _, o := range outs {
			use(o, sample.Row{})
		}
		return nil
	}
	blocks := e.m.share.Vocab.Len()
	capacity := min(logitRows, len(outs))
	buf, err := e.act.output.grow(e.b, capacity*(c+n+2*blocks))
	if err != nil {
		return err
	}
	normed := buf.Slice(0, capacity*c)
	logits := buf.Slice(capacity*c, capacity*n)
	sums := buf.Slice(capacity*(c+n), capacity*2*blocks)

	for len(outs) > 0 {
		chunk := outs[:min(capacity, len(outs))]
		outs = outs[len(chunk):]
		for i := 0; i < len(chunk); { // runs of adjacent rows in one call
			j := i + 1
			for j < len(chunk) && chunk[j].row == chunk[j-1].row+1 {
				j++
			}
			e.b.RMSNorm(normed.Slice(i*c, (j-i)*c), a.x.Slice(chunk[i].row*c, (j-i)*c), e.m.finalNorm, j-i, e.m.spec.NormEps)
			i = j
		}
		e.b.MatMul(logits, normed, e.m.head, len(chunk))
		if limit := e.m.spec.LogitCap; limit > 0 {
			e.b.SoftCap(logits.Slice(0, len(chunk)*n), limit)
		}
		var hostSums []float32
		if slices.ContainsFunc(chunk, func(o output) bool { return o.want.NeedsSums() }) {
			hostSums = make([]float32, len(chunk)*2*blocks)
			e.b.ExpSums(sums, logits, len(chunk), n, u.VocabUnit)
			if err := e.b.Download(hostSums, sums.Slice(0, len(hostSums))); err != nil {
				return err
			}
		}
		host, err := e.onHost(logits.Slice(0, len(chunk)*n), &e.act.hostLogits)
		if err != nil {
			return err
		}
		for i, o := range chunk {
			row := sample.Row{Base: e.vocabBase(), Raw: host[i*n : (i+1)*n]}
			if hostSums != nil {
				row.Sums = hostSums[i*2*blocks : (i+1)*2*blocks]
			}
			row.Processed = row.Raw
			it := &b.items[o.item]
			if o.want.Sample && (it.seq.history != nil || it.masks != nil) {
				row.Processed = append(e.act.hostProcessed[:0], row.Raw...)
				e.act.hostProcessed = row.Processed
				if h := it.seq.history; h != nil {
					h.Push(it.step.Drafts[:o.draft]...)
					it.seq.Process.Apply(row.Processed, row.Base, h)
					h.Pop(o.draft)
				}
				if it.masks != nil {
					sample.Restrict(row.Processed, row.Base, it.masks[o.draft])
				}
			}
			if o.want.NeedsScaledSums() {
				if row.Scaled, err = e.scaledSums(row.Processed, o.want.Params.Temperature, blocks, u.VocabUnit); err != nil {
					return err
				}
			}
			use(o, row)
		}
	}
	return nil
}

// scaledSums is ExpSums of a row divided by its temperature.
func (e *Engine) scaledSums(row []float32, temperature float32, blocks, unit int) ([]float32, error) {
	host := grow(&e.act.hostScaled, len(row))
	for i, v := range row {
		host[i] = v / temperature
	}
	buf, err := e.act.scaled.grow(e.b, len(row)+2*blocks)
	if err != nil {
		return nil, err
	}
	var x, dst kernels.Buffer = buf.Slice(0, len(row)), buf.Slice(len(row), 2*blocks)
	if err := e.b.Upload(x, host); err != nil {
		return nil, err
	}
	e.b.ExpSums(dst, x, 1, len(row), unit)
	out := make([]float32, 2*blocks)
	return out, e.b.Download(out, dst)
}
