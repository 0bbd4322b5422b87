package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/plan"
)

// forward runs the layers over a batch and chooses tokens.
func (e *Engine) forward(ctx context.Context, s Step, b *batch) (Result, error) {
	m, spec := e.m, e.m.spec
	if err := e.act.reserve(e, b.rows); err != nil {
		return Result{}, err
	}
	a := e.act.view(e, b.rows)
	tag := collective.Tag{Step: s.ID, Check: b.check}

	if err := e.embed(ctx, tag, a.x, b); err != nil {
		return Result{}, err
	}
	for i := range m.layers {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		ly := &m.layers[i]
		tag.Layer = uint16(i)

		e.b.RMSNorm(a.h, a.x, ly.attnNorm, b.rows, spec.NormEps)
		e.b.MatMul(a.q, a.h, ly.q, b.rows)
		e.b.MatMul(a.k, a.h, ly.k, b.rows)
		e.b.MatMul(a.v, a.h, ly.v, b.rows)
		if spec.Layers[i].Rope {
			e.b.Rope(a.q, m.share.Heads.Len(), spec.HeadDim, b.pos, m.rope)
			e.b.Rope(a.k, e.kv.Config().KVHeads, spec.HeadDim, b.pos, m.rope)
		}
		e.b.WriteKV(e.kv, i, a.k, a.v, b.seqs)
		e.b.Attention(a.attn, a.q, e.kv, kernels.AttentionSpec{
			Layer: i, Heads: m.share.Heads.Len(), HeadDim: spec.HeadDim,
			KVHead: m.kvHead, Scale: spec.AttnScale, Window: spec.Layers[i].Window,
		}, b.seqs)
		e.b.MatMul(a.attnParts, a.attn, ly.o, b.rows)
		tag.Op = collective.OpAttn
		if err := e.sum(ctx, tag, a, a.attnParts, spec.Heads, headShare); err != nil {
			return Result{}, err
		}

		e.b.RMSNorm(a.h, a.x, ly.mlpNorm, b.rows, spec.NormEps)
		if ly.down != nil {
			e.b.MatMul(a.gate, a.h, ly.gate, b.rows)
			e.b.MatMul(a.up, a.h, ly.up, b.rows)
			e.b.SiLUMul(a.gate, a.gate, a.up)
			e.b.MatMul(a.mlpParts, a.gate, ly.down, b.rows)
		}
		tag.Op = collective.OpMLP
		if err := e.sum(ctx, tag, a, a.mlpParts, m.plan.Units.MLPLeaves(), mlpShare); err != nil {
			return Result{}, err
		}
	}
	for i := range b.items {
		it := &b.items[i]
		it.seq.computed = it.step.NumComputed + it.step.Count
	}
	tag.Layer, tag.Op = uint16(len(m.layers)), collective.OpSample
	return e.choose(ctx, tag, a, b)
}

func headShare(s plan.Share) tree.Range { return s.Heads }
func mlpShare(s plan.Share) tree.Range  { return s.MLP }

// sum finishes a row-parallel product over the ranks and adds it to the
// residual stream.
func (e *Engine) sum(ctx context.Context, tag collective.Tag, a views, parts kernels.Buffer, leaves int, of func(plan.Share) tree.Range) error {
	size := a.x.Len()
	if e.comm.WorldSize() == 1 {
		e.b.Add(a.x, parts.Slice(0, size))
		return nil
	}
	s := collective.Summands{Leaves: leaves}
	for _, sh := range e.m.plan.Shares {
		s.Shares = append(s.Shares, of(sh))
	}
	nodes := len(tree.Maximal(leaves, s.Shares[e.comm.Rank()]))
	if nodes > 0 {
		host, err := e.onHost(parts.Slice(0, nodes*size), &e.act.hostParts)
		if err != nil {
			return err
		}
		for n := range nodes {
			s.Parts = append(s.Parts, host[n*size:(n+1)*size])
		}
	}
	dst := e.b.Host(a.h) // free between the product and the next norm
	if dst == nil {
		dst = grow(&e.act.hostSum, size)
	}
	start := time.Now()
	err := e.comm.AllReduce(ctx, tag, s, dst[:size])
	e.collectiveNanos += time.Since(start).Nanoseconds()
	if err != nil {
		return err
	}
	if e.b.Host(a.h) == nil {
		if err := e.b.Upload(a.h, dst[:size]); err != nil {
			return err
		}
	}
	e.b.Add(a.x, a.h)
	return nil
}

// embed fills x with the rows' embeddings. Each row's vector lies on the rank
// that holds its token's vocabulary block.
func (e *Engine) embed(ctx context.Context, tag collective.Tag, x kernels.Buffer, b *batch) error {
	m := e.m
	u := m.plan.Units
	if e.comm.WorldSize() == 1 {
		e.b.Gather(x, m.embed, b.ids)
		return nil
	}
	c := m.spec.Hidden
	own := u.VocabRange(m.share)
	owner := make([]int, len(b.ids))
	var mine []int32
	for i, id := range b.ids {
		for r, sh := range m.plan.Shares {
			if v := u.VocabRange(sh); int(id) >= v.Lo && int(id) < v.Hi {
				owner[i] = r
			}
		}
		if owner[i] == e.comm.Rank() {
			mine = append(mine, id-int32(own.Lo))
		}
	}
	var data []byte
	if len(mine) > 0 {
		e.b.Gather(x, m.embed, mine)
		host, err := e.onHost(x.Slice(0, len(mine)*c), &e.act.hostParts)
		if err != nil {
			return err
		}
		data = floatBytes(host)
	}
	tag.Op = collective.OpEmbed
	start := time.Now()
	all, err := e.comm.AllGather(ctx, tag, data)
	e.collectiveNanos += time.Since(start).Nanoseconds()
	if err != nil {
		return err
	}
	rows := grow(&e.act.hostRows, len(b.ids)*c)
	for i, r := range owner {
		if len(all[r]) < 4*c {
			return fmt.Errorf("%w: rank %d sent too few embedding rows", collective.ErrMismatch, r)
		}
		copyFloats(rows[i*c:(i+1)*c], all[r])
		all[r] = all[r][4*c:]
	}
	return e.b.Upload(x, rows)
}

// onHost returns a buffer's values in host memory, copied to *scratch only
// where the host cannot address the device.
func (e *Engine) onHost(b kernels.Buffer, scratch *[]float32) ([]float32, error) {
	if h := e.b.Host(b); h != nil {
		return h, e.b.Sync()
	}
	h := grow(scratch, b.Len())
	return h, e.b.Download(h, b)
}
