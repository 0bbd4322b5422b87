package cpu

import (
	"slices"
	"sync/atomic"

	"github.com/sullae/sullae/kernels"
)

// MatMul: dst[node, t, :] = sum over the node's leaves of x[t, leaf]·W[:, leaf]ᵀ.
//
//	x [rows, K]   dst [nodes, rows, Out], must not overlap x
//
// For a quantized W see variant.quantGemm: the order is the same, of groups
// instead of single values.
//
// Each output is one float32 lane: in a leaf acc = fma(x_k, w_k, acc) from zero
// for k ascending; leaves are added by the fixed tree of package tree.
func (b *Backend) MatMul(dst, x kernels.Buffer, w kernels.Weight, rows int) {
	b.Multiply(kernels.Products{X: x, Rows: rows, List: []kernels.Product{{Dst: dst, W: w}}})
}

// Multiply implements kernels.Multiplier. The panels of all matrices are one loop over
// the threads, and x is quantized once for all that take it alike, each row as soon as
// it is normed. The panels of an MLP's gate and up are cut alike, so that the thread
// that made both applies the gate.
func (b *Backend) Multiply(p kernels.Products) {
	must(p.Rows >= 0 && len(p.List) > 0 && (p.Gate == kernels.NoGate || len(p.List) == 2) && (p.Take == nil || len(p.List) == 1 && p.Block > 0),
		"Multiply", "%d rows, %d matrices, gate %d, blocks of %d", p.Rows, len(p.List), p.Gate, p.Block)
	c := call{b: b, x: host(p.X), rows: p.Rows}
	if p.Norm != nil {
		c.norm = newNormRows(host(p.X), *p.Norm, p.Rows)
	}
	if p.Take != nil {
		c.take = newTaking(p)
	}
	list, gate := p.List, p.Gate
	for len(list) > 0 {
		first := list[0].W.(*weight)
		n := 1
		for n < len(list) && first.takesAlike(list[n].W.(*weight)) {
			n++
		}
		c.gate = nil
		if gate != kernels.NoGate && n == 2 && p.Rows <= gatedRows && pairs(first, list[1].W.(*weight)) {
			c.gate, gate = b.gateFunc(gate), kernels.NoGate
		}
		c.run(list[:n])
		list = list[n:]
	}
	if gate != kernels.NoGate {
		gate.Apply(b, p.List[0].Dst, p.List[1].Dst)
	}
}

// takesAlike reports whether two matrices take the same rows of activations.
func (w *weight) takesAlike(o *weight) bool {
	return w.spec.Format == o.spec.Format && w.spec.K == o.spec.K && (w.spec.Format == kernels.AsStored || slices.Equal(w.leaves, o.leaves))
}

// pairs reports whether the panels of a gate and of what it is multiplied by can be
// made in turn.
func pairs(gate, up *weight) bool {
	return gate.spec.Out == up.spec.Out && len(gate.nodes) == 1 && len(up.nodes) == 1
}

func (b *Backend) gateFunc(g kernels.Gate) func(dst, gate, up []float32) {
	if g == kernels.GELUGate {
		return b.v.geluMul
	}
	return b.v.siluMul
}

// call is a product of x by matrices that take it alike.
type call struct {
	b        *Backend
	x        []float32
	rows     int
	norm     *normRows // what x is made of; nil: it is there
	products []matmul
	gate     func(dst, gate, up []float32) // of the two products; or nil
	take     *taking
}

func (c *call) run(list []kernels.Product) {
	b, rows := c.b, c.rows
	var quant *quantRows
	if w := list[0].W.(*weight); w.spec.Format != kernels.AsStored {
		must(len(c.x) >= rows*w.spec.K, "MatMul", "%s [%d, %d], %d rows: x has %d values", w.spec.Name, w.spec.Out, w.spec.K, rows, len(c.x))
		quant = b.quantizeRows(c.x, rows, w, c.norm)
	} else if c.norm != nil {
		b.normAll(c.norm, rows)
	}
	c.norm = nil
	c.products = b.products[:0]
	work, groups := 0, 0
	for i, p := range list {
		m := matmul{v: b.v, w: p.W.(*weight), dst: host(p.Dst), x: c.x, rows: rows, quant: quant, group: groupPanels, first: groups}
		out, k := m.w.spec.Out, m.w.spec.K
		must(len(m.x) >= rows*k && len(m.dst) >= len(m.w.nodes)*rows*out,
			"MatMul", "%s [%d, %d], %d nodes, %d rows: x has %d values, dst %d",
			m.w.spec.Name, out, k, len(m.w.nodes), rows, len(m.x), len(m.dst))
		if rows <= maxTileRows || m.w.panels < 8*b.pool.threads || quant != nil {
			m.group = 1
		}
		work += rows * out * k
		if c.gate != nil && i > 0 {
			m.first = 0 // each of its groups is made with the gate's
		} else {
			groups += m.groups()
		}
		c.products = append(c.products, m)
	}
	b.products = c.products
	grain := 1
	if work <= smallProduct {
		grain = groups
	}
	most := rowBlock
	if quant != nil && b.v.quantTall != nil {
		most = tallBlock
	}
	blocks := (rows + most - 1) / most
	for i := range blocks {
		r0, r1 := rows*i/blocks&^(tileMultiple-1), rows*(i+1)/blocks
		if i+1 < blocks {
			r1 &^= tileMultiple - 1
		}
		b.pool.run(groups, grain, func(worker, lo, hi int) {
			if c.gate != nil {
				c.gated(&b.threads[worker], r0, r1-r0, lo, hi)
			} else {
				c.plain(&b.threads[worker], r0, r1-r0, lo, hi)
			}
		})
	}
}

// plain computes rows [r0, r0+n) of groups [lo, hi), counted over all matrices.
func (c *call) plain(t *thread, r0, n, lo, hi int) {
	p := 0
	for g := lo; g < hi; g++ {
		for p+1 < len(c.products) && c.products[p+1].first <= g {
			p++
		}
		m := &c.products[p]
		o0, o1 := m.work(t, r0, n, g-m.first)
		if c.take != nil && r0+n == c.rows {
			c.take.done(t, o0, o1)
		}
	}
}

// gatedRows are the most whose gate is applied by who made it: with more, threads wait
// longer for the last pair of panels than is saved.
const gatedRows = 256

// gatedBytes of a gate wait in the cache for what they are multiplied by: so that runs
// of weights are long.
const gatedBytes = 64 << 10

// gated computes rows [r0, r0+n) of groups [lo, hi) of a gate and of what it is
// multiplied by, and of these what the gate makes of them alone is stored.
func (c *call) gated(t *thread, r0, n, lo, hi int) {
	gate, up := &c.products[0], &c.products[1]
	size := n * gate.group * panelWidth
	step := max(1, gatedBytes/(4*size))
	for ; lo < hi; lo += step {
		end := min(lo+step, hi)
		t.gate = grow(t.gate, (end-lo)*size)
		for g := lo; g < end; g++ {
			copy(t.gate[(g-lo)*size:], gate.sums(t, r0, n, g, 0))
		}
		for g := lo; g < end; g++ {
			sums := up.sums(t, r0, n, g, 0)
			o0, o1, ldc := up.outputs(g)
			for r := range n {
				c.gate(gate.dst[(r0+r)*up.w.spec.Out+o0:][:o1-o0], t.gate[(g-lo)*size+r*ldc:][:o1-o0], sums[r*ldc:][:o1-o0])
			}
		}
	}
}

// taking gives the blocks of a product away as they come.
type taking struct {
	block, out int
	left       []atomic.Int32 // outputs of each block that are not there yet
	take       func(t kernels.Thread, lo, hi int)
}

func newTaking(p kernels.Products) *taking {
	w := p.List[0].W.(*weight)
	must(len(w.nodes) == 1, "Multiply", "%s: blocks of %d nodes", w.spec.Name, len(w.nodes))
	t := &taking{block: p.Block, out: w.spec.Out, take: p.Take}
	t.left = make([]atomic.Int32, (t.out+t.block-1)/t.block)
	for i := range t.left {
		t.left[i].Store(int32(min(t.block, t.out-i*t.block)))
	}
	return t
}

// done counts outputs [o0, o1), which are there; whoever makes the last one of a block
// takes it.
func (t *taking) done(by *thread, o0, o1 int) {
	for i := o0 / t.block; i*t.block < o1; i++ {
		lo, hi := i*t.block, min((i+1)*t.block, t.out)
		if t.left[i].Add(-int32(min(hi, o1)-max(lo, o0))) == 0 {
			t.take(by, lo, hi)
		}
	}
}
