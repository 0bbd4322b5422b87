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
	m := e.m
	rows := b.rows // with those that the backend wants beside them
	if st, ok := e.b.(kernels.Stepper); ok {
		rows = st.BeginStep(b.rows)
	}
	if err := e.act.reserve(e, rows); err != nil {
		return Result{}, err
	}
	a := e.act.view(e, 0, rows)
	parts, err := e.cut(b, rows, padded(b.angles, rows))
	if err != nil {
		return Result{}, err
	}
	tag := collective.Tag{Step: s.ID, Check: b.check}

	if err := e.embed(ctx, tag, a.x, b); err != nil {
		return Result{}, err
	}
	if err := e.layers(ctx, tag, parts); err != nil {
		return Result{}, err
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

// layers runs a step's parts through the layers, in turn.
func (e *Engine) layers(ctx context.Context, tag collective.Tag, parts []part) error {
	ctx, cancel := context.WithCancel(ctx)
	x := &exchanges{e: e, ctx: ctx, beside: len(parts) > 1}
	defer x.wait()
	defer cancel() // an exchange that nobody wants any more
	for i := range e.m.layers {
		tag.Layer = uint16(i)
		for _, half := range []func(*part, int, kernels.Buffer) sum{e.attention, e.mlp} {
			for j := range parts {
				p := &parts[j]
				if err := ctx.Err(); err != nil {
					return err
				}
				add, err := x.finish(p)
				if err != nil {
					return err
				}
				s := half(p, i, add)
				s.tag.Step, s.tag.Check, s.tag.Layer = tag.Step, tag.Check, tag.Layer
				if err := x.begin(p, s); err != nil {
					return err
				}
			}
		}
	}
	for j := range parts {
		p := &parts[j]
		add, err := x.finish(p)
		if err != nil {
			return err
		}
		e.b.Add(p.x, add)
	}
	return nil
}

// attention is a layer's first half: to the product over the heads' outputs. add is to
// be added to the residual stream first, unless it is nil.
func (e *Engine) attention(p *part, layer int, add kernels.Buffer) sum {
	m, spec := e.m, e.m.spec
	ly, rows := &m.layers[layer], len(p.angles)
	in := e.half(p.views, add, ly.attnNorm, rows)
	in.List = []kernels.Product{{Dst: p.q, W: ly.q}, {Dst: p.k, W: ly.k}, {Dst: p.v, W: ly.v}}
	kernels.Multiply(e.b, in)
	e.adjust(p.q, ly.qBias, ly.qNorm, rows)
	e.adjust(p.k, ly.kBias, ly.kNorm, rows)
	e.adjust(p.v, ly.vBias, nil, rows)
	if spec.Layers[layer].Rope {
		e.b.Rope(p.q, m.share.Heads.Len(), spec.HeadDim, p.angles, m.rope)
		e.b.Rope(p.k, e.kv.Config().KVHeads, spec.HeadDim, p.angles, m.rope)
	}
	group, at := e.groups.Of(layer)
	e.b.WriteKV(e.kv, at, p.k, p.v, p.seqs[group])
	e.b.Attention(p.attn, p.q, e.kv, kernels.AttentionSpec{
		Layer: at, Heads: m.share.Heads.Len(), HeadDim: spec.HeadDim,
		KVHead: m.kvHead, Scale: spec.AttnScale, Window: spec.Layers[layer].Window, Cap: spec.AttnCap,
	}, p.seqs[group])
	e.b.MatMul(p.attnParts, p.attn, ly.o, rows)
	return sum{tag: collective.Tag{Op: collective.OpAttn}, parts: p.attnParts, norm: ly.attnPostNorm, leaves: spec.Heads, of: headShare}
}

// mlp is a layer's second half: to the down product. add is attention's.
func (e *Engine) mlp(p *part, layer int, add kernels.Buffer) sum {
	ly, rows := &e.m.layers[layer], len(p.angles)
	if ly.down == nil { // nothing of the MLP is this rank's
		e.b.Add(p.x, add)
	} else {
		in := e.half(p.views, add, ly.mlpNorm, rows)
		in.List = []kernels.Product{{Dst: p.gate, W: ly.gate}, {Dst: p.up, W: ly.up}}
		in.Gate = kernels.SiLUGate
		if e.m.spec.Activation == model.GELUTanh {
			in.Gate = kernels.GELUGate
		}
		kernels.Multiply(e.b, in)
		e.b.MatMul(p.mlpParts, p.gate, ly.down, rows)
	}
	return sum{tag: collective.Tag{Op: collective.OpMLP}, parts: p.mlpParts, norm: ly.mlpPostNorm, leaves: e.m.plan.Units.MLPLeaves(), of: mlpShare}
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
		host, err := e.onHost(x.Slice(0, len(mine)*c), &e.act.hostEmbed)
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
