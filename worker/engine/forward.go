package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
)

// forward runs the layers over a batch and chooses tokens.
func (e *Engine) forward(ctx context.Context, s Step, b *batch) (Result, error) {
	m, spec := e.m, e.m.spec
	rows := b.rows // with those that the backend wants beside them
	if st, ok := e.b.(kernels.Stepper); ok {
		rows = st.BeginStep(b.rows)
	}
	if err := e.act.reserve(e, rows); err != nil {
		return Result{}, err
	}
	a := e.act.view(e, rows)
	angles := padded(b.angles, rows)
	tag := collective.Tag{Step: s.ID, Check: b.check}

	if err := e.embed(ctx, tag, a.x, b); err != nil {
		return Result{}, err
	}
	var add kernels.Buffer // to x, what the last half of a layer came to
	for i := range m.layers {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		ly := &m.layers[i]
		tag.Layer = uint16(i)

		p := e.half(a, add, ly.attnNorm, rows)
		p.List = []kernels.Product{{Dst: a.q, W: ly.q}, {Dst: a.k, W: ly.k}, {Dst: a.v, W: ly.v}}
		kernels.Multiply(e.b, p)
		e.adjust(a.q, ly.qBias, ly.qNorm, rows)
		e.adjust(a.k, ly.kBias, ly.kNorm, rows)
		e.adjust(a.v, ly.vBias, nil, rows)
		if spec.Layers[i].Rope {
			e.b.Rope(a.q, m.share.Heads.Len(), spec.HeadDim, angles, m.rope)
			e.b.Rope(a.k, e.kv.Config().KVHeads, spec.HeadDim, angles, m.rope)
		}
		group, at := e.groups.Of(i)
		e.b.WriteKV(e.kv, at, a.k, a.v, b.seqs[group])
		e.b.Attention(a.attn, a.q, e.kv, kernels.AttentionSpec{
			Layer: at, Heads: m.share.Heads.Len(), HeadDim: spec.HeadDim,
			KVHead: m.kvHead, Scale: spec.AttnScale, Window: spec.Layers[i].Window, Cap: spec.AttnCap,
		}, b.seqs[group])
		e.b.MatMul(a.attnParts, a.attn, ly.o, rows)
		tag.Op = collective.OpAttn
		var err error
		if add, err = e.sum(ctx, tag, a, b.rows, a.attnParts, ly.attnPostNorm, spec.Heads, headShare); err != nil {
			return Result{}, err
		}

		if ly.down == nil { // nothing of the MLP is this rank's
			e.b.Add(a.x, add)
		} else {
			p = e.half(a, add, ly.mlpNorm, rows)
			p.List = []kernels.Product{{Dst: a.gate, W: ly.gate}, {Dst: a.up, W: ly.up}}
			p.Gate = kernels.SiLUGate
			if spec.Activation == model.GELUTanh {
				p.Gate = kernels.GELUGate
			}
			kernels.Multiply(e.b, p)
			e.b.MatMul(a.mlpParts, a.gate, ly.down, rows)
		}
		tag.Op = collective.OpMLP
		if add, err = e.sum(ctx, tag, a, b.rows, a.mlpParts, ly.mlpPostNorm, m.plan.Units.MLPLeaves(), mlpShare); err != nil {
			return Result{}, err
		}
	}
	if add != nil {
		e.b.Add(a.x, add)
	}
	for i := range b.items {
		it := &b.items[i]
		it.seq.computed = it.step.NumComputed + it.step.Count
	}
	if err := e.awaitMasks(ctx, s, b); err != nil {
		return Result{}, err
	}
	tag.Layer, tag.Op = uint16(len(m.layers)), collective.OpSample
	return e.choose(ctx, tag, a, b)
}

// padded is v with zeros up to n.
func padded(v []int32, n int) []int32 {
	return append(v, make([]int32, n-len(v))...)
}

// half is the products that begin a half of a layer, of x with what is to be added to
// it, under the norm before them if there is one.
func (e *Engine) half(a views, add, norm kernels.Buffer, rows int) kernels.Products {
	if norm != nil {
		return kernels.Products{X: a.h, Rows: rows, Norm: &kernels.Norm{X: a.x, Add: add, W: norm, Eps: e.m.spec.NormEps}}
	}
	if add != nil {
		e.b.Add(a.x, add)
	}
	return kernels.Products{X: a.x, Rows: rows}
}

// adjust gives the queries, keys or values of all heads the bias and the norm over
// each head that the architecture may have.
func (e *Engine) adjust(dst, bias, norm kernels.Buffer, rows int) {
	if bias != nil {
		e.b.AddBias(dst, bias, rows)
	}
	if norm != nil {
		e.b.RMSNorm(dst, dst, norm, dst.Len()/norm.Len(), e.m.spec.NormEps)
	}
}

func headShare(s plan.Share) tree.Range { return s.Heads }
func mlpShare(s plan.Share) tree.Range  { return s.MLP }

// sum finishes a row-parallel product over the ranks: what is to be added to the
// residual stream, under the norm after it if there is one. The first rows are
// sequences'.
func (e *Engine) sum(ctx context.Context, tag collective.Tag, a views, rows int, parts, norm kernels.Buffer, leaves int, of func(plan.Share) tree.Range) (kernels.Buffer, error) {
	size := a.x.Len()
	total := parts
	if e.comm.WorldSize() == 1 {
		total = parts.Slice(0, size)
	} else {
		if err := e.reduce(ctx, tag, a, rows, parts, leaves, of); err != nil {
			return nil, err
		}
		total = a.h
	}
	if norm != nil {
		e.b.RMSNorm(a.h, total, norm, size/norm.Len(), e.m.spec.NormEps)
		total = a.h
	}
	return total, nil
}

// reduce sums a row-parallel product's parts, of sequences' rows, over the ranks into
// a.h.
func (e *Engine) reduce(ctx context.Context, tag collective.Tag, a views, rows int, parts kernels.Buffer, leaves int, of func(plan.Share) tree.Range) error {
	stride, size := a.x.Len(), rows*e.m.spec.Hidden // of a part, and of what counts of it
	s := collective.Summands{Leaves: leaves}
	for _, sh := range e.m.plan.Shares {
		s.Shares = append(s.Shares, of(sh))
	}
	nodes := len(tree.Maximal(leaves, s.Shares[e.comm.Rank()]))
	if nodes > 0 {
		host, err := e.onHost(parts.Slice(0, (nodes-1)*stride+size), &e.act.hostParts)
		if err != nil {
			return err
		}
		for n := range nodes {
			s.Parts = append(s.Parts, host[n*stride:n*stride+size])
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
		return e.b.Upload(a.h, dst[:size])
	}
	return nil
}

// embed fills x with the rows' embeddings, scaled as the model has it.
func (e *Engine) embed(ctx context.Context, tag collective.Tag, x kernels.Buffer, b *batch) error {
	if err := e.gatherRows(ctx, tag, x, b); err != nil {
		return err
	}
	if f := e.m.spec.EmbedScale; f != 1 {
		e.b.Scale(x, f)
	}
	return nil
}

// gatherRows fills x with the rows of the embedding table. Each row's vector lies
// on the rank that holds its token's vocabulary block.
func (e *Engine) gatherRows(ctx context.Context, tag collective.Tag, x kernels.Buffer, b *batch) error {
	m := e.m
	u := m.plan.Units
	if e.comm.WorldSize() == 1 {
		e.b.Gather(x, m.embed, padded(b.ids, x.Len()/m.spec.Hidden))
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
