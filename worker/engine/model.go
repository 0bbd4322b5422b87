package engine

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
)

// Model is one rank's share of a model in a backend's memory.
type Model struct {
	spec  *model.Spec
	plan  plan.Plan
	rank  int
	share plan.Share

	embed     kernels.Table  // rows of the share's vocabulary range
	head      kernels.Weight // the same rows, as a product; nil if the range is empty
	finalNorm kernels.Buffer
	layers    []layer
	rope      *kernels.RopeTable
	kvHead    []int // local KV head of each local query head

	bytes int64
}

// layer holds one layer's weights; the MLP's are nil where the share's MLP
// range is empty.
type layer struct {
	attnNorm, mlpNorm kernels.Buffer
	q, k, v, o        kernels.Weight
	gate, up, down    kernels.Weight
}

// Load reads rank's share from src and packs it. progress is called with the
// bytes read so far and the total. On error everything loaded is freed.
func Load(ctx context.Context, b kernels.Backend, spec *model.Spec, p plan.Plan, rank int, src checkpoint.Source, progress func(done, total int64)) (_ *Model, err error) {
	m := &Model{spec: spec, plan: p, rank: rank, share: p.Shares[rank]}
	defer func() {
		if err != nil {
			m.Free()
		}
	}()
	u := p.Units
	l := &loader{ctx: ctx, backend: b, src: src, spec: spec, plan: p, rank: rank, progress: progress, total: plan.WeightBytes(spec, p, rank)}

	heads, kv := m.share.Heads, u.KVRange(m.share)
	group := u.Heads / u.KVHeads
	for h := heads.Lo; h < heads.Hi; h++ {
		m.kvHead = append(m.kvHead, h/group-kv.Lo)
	}
	attn := reduction{boundaries(heads, spec.HeadDim, u.Heads*spec.HeadDim), rebase(tree.Maximal(u.Heads, heads), heads.Lo)}
	mlp := reduction{boundaries(m.share.MLP, u.MLPUnit, u.FFN), rebase(tree.Maximal(u.MLPLeaves(), m.share.MLP), m.share.MLP.Lo)}

	for i := range spec.Layers {
		m.layers = append(m.layers, layer{})
		ly := &m.layers[i]
		ly.attnNorm = l.vector(model.AttnNorm, i)
		ly.q = l.matrix(model.Q, i, reduction{})
		ly.k = l.matrix(model.K, i, reduction{})
		ly.v = l.matrix(model.V, i, reduction{})
		ly.o = l.matrix(model.O, i, attn)
		ly.mlpNorm = l.vector(model.MLPNorm, i)
		if !m.share.MLP.Empty() {
			ly.gate = l.matrix(model.Gate, i, reduction{})
			ly.up = l.matrix(model.Up, i, reduction{})
			ly.down = l.matrix(model.Down, i, mlp)
		}
		if l.err != nil {
			return nil, l.err
		}
	}
	m.finalNorm = l.vector(model.FinalNorm, 0)
	if !m.share.Vocab.Empty() {
		m.embed = l.table(model.Embed)
		m.head = l.matrix(model.Head, 0, reduction{})
	}
	if l.err != nil {
		return nil, l.err
	}
	m.rope = kernels.NewRopeTable(spec.Rope.Scale(kernels.InvFreq(spec.Rope.Theta, spec.Rope.Dim)), 1, spec.MaxPositions)
	m.bytes = l.total
	if progress != nil {
		progress(l.total, l.total) // norms grow as they are widened
	}
	return m, nil
}

// Bytes is the size of the share's weights, as plan.WeightBytes counts them.
func (m *Model) Bytes() int64 { return m.bytes }

// Free releases the weights.
func (m *Model) Free() {
	free := func(fs ...interface{ Free() }) {
		for _, f := range fs {
			f.Free()
		}
	}
	weights := func(ws ...kernels.Weight) {
		for _, w := range ws {
			if w != nil {
				free(w)
			}
		}
	}
	for i := range m.layers {
		ly := &m.layers[i]
		weights(ly.q, ly.k, ly.v, ly.o, ly.gate, ly.up, ly.down)
	}
	weights(m.head)
	if m.embed != nil {
		m.embed.Free()
	}
	m.layers, m.head, m.embed = nil, nil, nil
}

// boundaries are the K boundaries of the leaves in r, relative to the first:
// leaf i spans unit columns, the last of all ends at total.
func boundaries(r tree.Range, unit, total int) []int {
	var b []int
	for i := r.Lo; i <= r.Hi; i++ {
		b = append(b, min(i*unit, total)-min(r.Lo*unit, total))
	}
	return b
}

func rebase(nodes []tree.Range, by int) []tree.Range {
	out := make([]tree.Range, len(nodes))
	for i, n := range nodes {
		out[i] = tree.Range{Lo: n.Lo - by, Hi: n.Hi - by}
	}
	return out
}

// reduction is how a product's K is cut; the zero value is one leaf.
type reduction struct {
	leaves []int
	nodes  []tree.Range
}

// loader reads weights one after the other and keeps the first error.
type loader struct {
	ctx      context.Context
	backend  kernels.Backend
	src      checkpoint.Source
	spec     *model.Spec
	plan     plan.Plan
	rank     int
	progress func(done, total int64)
	done     atomic.Int64
	total    int64
	err      error
}

// region is the part of a stored tensor that one weight is made of.
type region struct {
	l        *loader
	name     string
	row, col int
	cols     int
}

// ReadRows implements kernels.RowReader.
func (r region) ReadRows(dst []byte, row, n int) error {
	if err := r.l.src.ReadRegion(r.l.ctx, dst, r.name, r.row+row, n, r.col, r.cols); err != nil {
		return err
	}
	done := r.l.done.Add(int64(len(dst)))
	if r.l.progress != nil {
		r.l.progress(done, r.l.total)
	}
	return nil
}

// open finds the rank's slice of a weight in its stored tensor.
func (l *loader) open(role model.Role, i int) (r region, rows int, dt tensor.DType, ok bool) {
	if l.err == nil {
		l.err = l.ctx.Err()
	}
	if l.err != nil {
		return
	}
	ref := l.spec.Tensor(role, i)
	info, err := l.src.Info(ref.Name)
	if err != nil {
		l.err = err
		return
	}
	row, rows, col, cols := l.plan.Slice(l.spec, l.rank, role).Region(ref)
	return region{l, ref.Name, row, col, cols}, rows, info.DType, true
}

func (l *loader) vector(role model.Role, i int) kernels.Buffer {
	r, _, dt, ok := l.open(role, i)
	if !ok {
		return nil
	}
	raw := make([]byte, r.cols*dt.Size())
	if l.err = r.ReadRows(raw, 0, 1); l.err != nil {
		return nil
	}
	host := make([]float32, r.cols)
	tensor.Widen(host, raw, dt)
	for j, v := range host {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			l.err = fmt.Errorf("tensor %s: element %d is %v: the checkpoint is damaged; fetch it again", r.name, j, v)
			return nil
		}
	}
	buf, err := l.backend.Alloc(len(host))
	if err == nil {
		err = l.backend.Upload(buf, host)
	}
	l.err = err
	return buf
}

// matrix packs the rank's slice of a matrix.
func (l *loader) matrix(role model.Role, i int, red reduction) kernels.Weight {
	r, rows, dt, ok := l.open(role, i)
	if !ok {
		return nil
	}
	defer l.release(r.name)
	w, err := l.backend.Pack(kernels.WeightSpec{Name: r.name, Out: rows, K: r.cols, DType: dt, Leaves: red.leaves, Nodes: red.nodes}, r)
	if err != nil {
		l.err = err
		return nil
	}
	return w
}

func (l *loader) release(name string) {
	if r, ok := l.src.(checkpoint.Releaser); ok {
		r.Release(name)
	}
}

// table keeps the rank's rows of the embedding.
func (l *loader) table(role model.Role) kernels.Table {
	r, rows, dt, ok := l.open(role, 0)
	if !ok {
		return nil
	}
	defer l.release(r.name)
	t, err := l.backend.NewTable(rows, r.cols, dt, finite{r, dt})
	if err != nil {
		l.err = err
		return nil
	}
	return t
}

// finite refuses rows that hold a value that is not a number; Pack looks by
// itself.
type finite struct {
	region
	dtype tensor.DType
}

// ReadRows implements kernels.RowReader.
func (f finite) ReadRows(dst []byte, row, n int) error {
	if err := f.region.ReadRows(dst, row, n); err != nil {
		return err
	}
	values := make([]float32, f.cols)
	rowBytes := f.cols * f.dtype.Size()
	for i := range n {
		tensor.Widen(values, dst[i*rowBytes:], f.dtype)
		for j, v := range values {
			if d := v - v; d != 0 { // Inf and NaN
				return fmt.Errorf("tensor %s: element [%d, %d] is %v: the checkpoint is damaged; fetch it again", f.name, f.row+row+i, f.col+j, v)
			}
		}
	}
	return nil
}
