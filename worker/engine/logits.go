package engine

import (
	"slices"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/worker/sample"
)

// logitRows bounds how many rows' logits are held at a time: 64 rows of a
// vocabulary of 102,400 are 26 MB.
const logitRows = 64

// summaries computes the wanted rows' logits over this rank's vocabulary, a chunk of
// rows at a time, and returns the rows' summaries one after the other. They stay until
// the next call.
func (e *Engine) summaries(a views, b *batch, outs []output, whole bool) ([]byte, error) {
	data := e.act.summary[:0]
	for len(outs) > 0 {
		n := min(logitRows, len(outs))
		c, err := e.newChunk(b, outs[:n], whole)
		if err != nil {
			return nil, err
		}
		if err := c.logits(a); err != nil {
			return nil, err
		}
		if data, err = c.appendSummaries(data); err != nil {
			return nil, err
		}
		outs = outs[n:]
	}
	e.act.summary = data
	return data, nil
}

// chunk is some rows of logits over this rank's part of the vocabulary, n tokens in
// blocks of unit, and what they come to.
type chunk struct {
	e                     *Engine
	b                     *batch
	outs                  []output
	whole                 bool
	n, unit, blocks, base int
	normed, values, sums  kernels.Buffer // [rows, C], [rows, n], [rows, blocks, 2]
	host                  []float32      // values
	hostSums, scaled      []float32      // sums, of values and of those processed and divided by the temperature
	taken                 bool           // by the product's threads, but for what comes later
}

func (e *Engine) newChunk(b *batch, outs []output, whole bool) (*chunk, error) {
	u := e.m.plan.Units
	own := u.VocabRange(e.m.share)
	c := &chunk{e: e, b: b, outs: outs, whole: whole, n: own.Len(), unit: u.VocabUnit, blocks: e.m.share.Vocab.Len(), base: own.Lo}
	rows, hidden := len(outs), e.m.spec.Hidden
	buf, err := e.act.output.grow(e.b, rows*(hidden+c.n+2*c.blocks))
	if err != nil {
		return nil, err
	}
	c.normed, c.values, c.sums = buf.Slice(0, rows*hidden), buf.Slice(rows*hidden, rows*c.n), buf.Slice(rows*(hidden+c.n), rows*2*c.blocks)
	if c.any(sample.Want.NeedsSums) {
		c.hostSums = make([]float32, rows*2*c.blocks)
	}
	if c.any(sample.Want.NeedsScaledSums) {
		c.scaled = make([]float32, rows*2*c.blocks)
	}
	for threads := e.b.Info().Threads; len(e.act.locals) < threads; {
		e.act.locals = append(e.act.locals, locals{})
	}
	for t := range e.act.locals {
		l := &e.act.locals[t]
		for len(l.rows) < rows {
			l.rows = append(l.rows, sample.Local{})
		}
		for i, o := range outs {
			l.rows[i].Reset(o.want, c.n, whole)
		}
	}
	return c, nil
}

// locals are what one thread took of the rows of a chunk, and its room for a block.
type locals struct {
	rows  []sample.Local
	block []float32
}

func (c *chunk) any(need func(sample.Want) bool) bool {
	return slices.ContainsFunc(c.outs, func(o output) bool { return need(o.want) })
}

// sumsOf is the part of a row's block sums from a block on.
func (c *chunk) sumsOf(all []float32, row, block int) []float32 {
	if all == nil {
		return nil
	}
	return all[2*(row*c.blocks+block) : 2*(row+1)*c.blocks]
}

// logits computes the chunk's logits. Where the backend's threads can, each takes what
// the rows' summaries need of a block that it made, while that is in its cache.
func (c *chunk) logits(a views) error {
	if c.n == 0 {
		return nil
	}
	rows, hidden := len(c.outs), c.e.m.spec.Hidden
	for i := 0; i < rows; { // runs of adjacent rows in one call
		j := i + 1
		for j < rows && c.outs[j].row == c.outs[j-1].row+1 {
			j++
		}
		c.e.b.RMSNorm(c.normed.Slice(i*hidden, (j-i)*hidden), a.x.Slice(c.outs[i].row*hidden, (j-i)*hidden), c.e.m.finalNorm, j-i, c.e.m.spec.NormEps)
		i = j
	}
	if m, ok := c.e.b.(kernels.Multiplier); ok {
		c.host, c.taken = c.e.b.Host(c.values), true
		m.Multiply(kernels.Products{X: c.normed, Rows: rows, List: []kernels.Product{{Dst: c.values, W: c.e.m.head}}, Block: c.unit, Take: c.take})
		return nil
	}
	c.e.b.MatMul(c.values, c.normed, c.e.m.head, rows)
	if limit := c.e.m.spec.LogitCap; limit > 0 {
		c.e.b.SoftCap(c.values, limit)
	}
	if c.hostSums != nil {
		c.e.b.ExpSums(c.sums, c.values, rows, c.n, c.unit)
		if err := c.e.b.Download(c.hostSums, c.sums); err != nil {
			return err
		}
	}
	var err error
	c.host, err = c.e.onHost(c.values, &c.e.act.hostLogits)
	return err
}

// take takes what is needed of columns [lo, hi), a block, in a thread of the product.
func (c *chunk) take(t kernels.Thread, lo, hi int) {
	l := &c.e.act.locals[t.Index()]
	for i, o := range c.outs {
		x := c.host[i*c.n+lo : i*c.n+hi]
		if limit := c.e.m.spec.LogitCap; limit > 0 {
			t.SoftCap(x, limit)
		}
		if o.want.NeedsSums() {
			s := c.sumsOf(c.hostSums, i, lo/c.unit)
			s[0], s[1] = t.ExpSum(x)
		}
		if c.later(o) {
			continue
		}
		if o.want.NeedsScaledSums() {
			s := c.sumsOf(c.scaled, i, lo/c.unit)
			s[0], s[1] = t.ExpSum(divided(&l.block, x, o.want.Params.Temperature))
		}
		l.rows[i].Take(int32(c.base+lo), x, x)
	}
}

// divided is x divided by a temperature.
func divided(scratch *[]float32, x []float32, temperature float32) []float32 {
	v := grow(scratch, len(x))
	for i, x := range x {
		v[i] = x / temperature
	}
	return v
}

// processes reports whether a row's token is chosen from other logits than the row's.
func (c *chunk) processes(o output) bool {
	it := &c.b.items[o.item]
	return o.want.Sample && (it.seq.history != nil || it.masks != nil)
}

// later reports whether a row is taken after the product: it is sent whole, or changed
// by the request first.
func (c *chunk) later(o output) bool { return c.whole || c.processes(o) }

// appendSummaries takes what the product's threads left, and appends the summaries.
func (c *chunk) appendSummaries(data []byte) ([]byte, error) {
	for i, o := range c.outs {
		l := &c.e.act.locals[0].rows[i]
		switch {
		case c.n == 0:
		case c.taken && !c.later(o):
			for t := range c.e.act.locals[1:] {
				l.Join(&c.e.act.locals[1+t].rows[i])
			}
		default:
			raw := c.host[i*c.n : (i+1)*c.n]
			processed := c.processed(o, raw)
			if o.want.NeedsScaledSums() {
				if err := c.scaledSums(c.sumsOf(c.scaled, i, 0), processed, o.want.Params.Temperature); err != nil {
					return data, err
				}
			}
			l.Take(int32(c.base), raw, processed)
		}
		data = l.Append(data, c.sumsOf(c.hostSums, i, 0), c.sumsOf(c.scaled, i, 0))
	}
	return data, nil
}

// processed is a row under the request's Process and what its grammar allows.
func (c *chunk) processed(o output, raw []float32) []float32 {
	if !c.processes(o) {
		return raw
	}
	it, base := &c.b.items[o.item], int32(c.base)
	v := append(c.e.act.hostProcessed[:0], raw...)
	c.e.act.hostProcessed = v
	if h := it.seq.history; h != nil {
		h.Push(it.step.Drafts[:o.draft]...)
		it.seq.Process.Apply(v, base, h)
		h.Pop(o.draft)
	}
	if it.masks != nil {
		sample.Restrict(v, base, it.masks[o.draft])
	}
	return v
}

// scaledSums is ExpSums of a row divided by its temperature.
func (c *chunk) scaledSums(dst, row []float32, temperature float32) error {
	host := divided(&c.e.act.hostScaled, row, temperature)
	buf, err := c.e.act.scaled.grow(c.e.b, len(row)+len(dst))
	if err != nil {
		return err
	}
	var x, sums kernels.Buffer = buf.Slice(0, len(row)), buf.Slice(len(row), len(dst))
	if err := c.e.b.Upload(x, host); err != nil {
		return err
	}
	c.e.b.ExpSums(sums, x, 1, len(row), c.unit)
	return c.e.b.Download(dst, sums)
}
