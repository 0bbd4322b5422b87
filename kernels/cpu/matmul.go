package cpu

import (
	"math/bits"

	"github.com/sullae/sullae/kernels/tensor"
)

// The blocking of a product. None of it changes a bit: whatever the blocks, an
// output takes its products in K order inside a leaf and its leaves in tree
// order.
const (
	// Where many rows pass, kBlock values of K of a group of panels stay in the
	// second cache, and groupPanels panels share a pass over x.
	kBlock      = 512
	groupPanels = 2
	// Where fewRows or less pass, memory is the limit: a block is blockBytes of a
	// panel, and while it is worked on the next is fetched.
	fewRows    = 24
	blockBytes = 32 << 10
	// rowBlock rows share one reading of the weights from memory.
	rowBlock = 192
	// tileMultiple divides the first row of a block, so that tiles of quantized
	// rows lie in one.
	tileMultiple = 8
	// quantBlock groups of a panel stay in the second cache while many rows pass.
	quantBlock = 64
	// Where tallTiles or more whole tiles pass, variant.quantTall takes them.
	tallTiles = 3
	// tallBlock is rowBlock where it does.
	tallBlock = 512
	// smallProduct multiply-adds are done faster than a helper is told of them.
	smallProduct = 1 << 15
)

// matmul is one matrix of a call.
type matmul struct {
	v      *variant
	w      *weight
	dst, x []float32
	rows   int
	quant  *quantRows // x, if w is quantized
	group  int        // panels worked on together
	first  int        // groups of the matrices before it
}

func (m *matmul) groups() int { return (m.w.panels + m.group - 1) / m.group }

// room makes the memory that sums of n rows need.
func (m *matmul) room(t *thread, n int) {
	t.product = grow(t.product, m.w.levels()*n*m.group*panelWidth+m.w.decodeScratch())
	if m.quant != nil && m.v.quantTall != nil {
		t.unpacked = grow(t.unpacked, 2*quantBlock*quantGroupBytes(m.w.spec.Format))
	}
}

// outputs are those of group g, [o0, o1), and the width of their sums' rows.
func (m *matmul) outputs(g int) (o0, o1, ldc int) {
	p0, p1 := m.span(g)
	return p0 * panelWidth, min(p1*panelWidth, m.w.spec.Out), (p1 - p0) * panelWidth
}

// span is the panels of group g.
func (m *matmul) span(g int) (p0, p1 int) { return g * m.group, min((g+1)*m.group, m.w.panels) }

// work computes rows [r0, r0+n) of group g, which is outputs [o0, o1).
func (m *matmul) work(t *thread, r0, n, g int) (o0, o1 int) {
	o0, o1, ldc := m.outputs(g)
	for i := range m.w.nodes {
		sums := m.sums(t, r0, n, g, i)
		for r := range n {
			copy(m.dst[(i*m.rows+r0+r)*m.w.spec.Out+o0:][:o1-o0], sums[r*ldc:])
		}
	}
	return o0, o1
}

// sums computes rows [r0, r0+n) of a node's sums for the panels of group g, in
// t.product. That is a stack of sums of subtrees; like the carries of a binary counter,
// two subtrees of a size are added as soon as both are there. Behind the stack is room
// to decode weights.
func (m *matmul) sums(t *thread, r0, n, g, node int) []float32 {
	m.room(t, n)
	p0, p1 := m.span(g)
	partial := t.product
	ldc := (p1 - p0) * panelWidth
	size := n * ldc
	top := 0
	fold := func(folds int) {
		if top -= folds; folds > 0 {
			m.v.fold(partial[(top-1)*size:], size, folds)
		}
	}
	leaves := m.w.nodes[node]
	for leaf := leaves.Lo; leaf < leaves.Hi; leaf++ {
		if run := m.leafRun(leaf, leaves.Hi, n); run > 0 {
			top = m.leafBlock(partial, ldc, r0, n, p0, p1, leaf, run, leaf-leaves.Lo)
			leaf += run - 1
			continue
		}
		c := partial[top*size : (top+1)*size]
		clear(c)
		if m.quant != nil {
			m.quantLeaf(c, t.unpacked, ldc, r0, n, p0, p1, m.w.groupOf[leaf], m.w.groupOf[leaf+1])
		} else {
			m.leaf(c, partial[m.w.levels()*size:], ldc, r0, n, p0, p1, m.w.leaves[leaf], m.w.leaves[leaf+1])
		}
		top++
		fold(bits.TrailingZeros(uint(leaf - leaves.Lo + 1)))
	}
	fold(top - 1)
	return partial[:size]
}

// leaf adds the products over [k0, k1) to c [n, ldc].
func (m *matmul) leaf(c, scratch []float32, ldc, r0, n, p0, p1, k0, k1 int) {
	if m.w.coded != nil {
		m.codedLeaf(c, scratch, ldc, r0, n, p0, p1, k0, k1)
		return
	}
	if k0%2 != 0 && m.w.spec.DType != tensor.F32 {
		m.block(c, ldc, r0, n, p0, p1, k0, k0+1) // up to the next whole line
		k0++
	}
	for step := m.step(n, k1-k0); k0 < k1; k0 += step {
		m.block(c, ldc, r0, n, p0, p1, k0, min(k0+step, k1))
	}
}

// step is how many values of K, of whole many, are worked on together for n rows.
func (m *matmul) step(n, whole int) int {
	switch {
	case n == 1: // reads all as one stream, which the CPU fetches ahead by itself
		return whole
	case n <= fewRows:
		return blockBytes / (panelWidth * m.w.spec.DType.Size())
	}
	return kBlock
}

// block is leaf over a run of K that begins at a line or is a single k.
func (m *matmul) block(c []float32, ldc, r0, n, p0, p1, k0, k1 int) {
	d, k := m.w.spec.DType, m.w.spec.K
	tiles := (n + maxTileRows - 1) / maxTileRows
	for t := range tiles {
		r := n * t / tiles
		rows := n*(t+1)/tiles - r
		strips := m.v.strips[rows]
		for p := p0; p < p1; p++ {
			panel := m.w.mem.data[p*m.w.panelBytes : (p+1)*m.w.panelBytes]
			for q := 0; q < panelStrips; q += strips {
				ahead := 0 // each strip's next block is fetched in the course of one tile
				if (p*panelStrips+q)/strips%tiles == t {
					ahead = place(k1-k0, 0, d)
				}
				m.v.gemm(d, c[r*ldc+(p-p0)*panelWidth+q*stripWidth:], ldc, m.x[(r0+r)*k+k0:], k,
					panel[place(k0, q, d):], rows, strips, k1-k0, ahead)
			}
		}
	}
}

// quantLeaf adds the products over groups [g0, g1) to c [n, ldc]. scratch has room
// for quantBlock unpacked groups.
func (m *matmul) quantLeaf(c []float32, scratch []byte, ldc, r0, n, p0, p1, g0, g1 int) {
	f := m.w.spec.Format
	size, t := quantGroupBytes(f), m.v.tileRows
	step := quantBlock
	switch {
	case n <= t: // reads all as one stream, which the CPU fetches ahead by itself
		step = g1 - g0
	case n <= fewRows:
		step = blockBytes / size
	}
	tall := n / t
	if m.v.quantTall == nil || tall < tallTiles {
		tall = 0
	}
	for ; g0 < g1; g0 += step {
		groups := min(step, g1-g0)
		if tall > 0 {
			for p := p0; p < p1; p++ {
				panel := m.w.panel(p)[g0*size:][:groups*size]
				m.v.quantTall(f, c[(p-p0)*panelWidth:], ldc, m.quant.at(r0, g0), m.quant.groups, panel, scratch, tall, groups)
			}
		}
		for r := tall * t; r < n; r += t {
			x := m.quant.at(r0+r, g0)
			for p := p0; p < p1; p++ {
				ahead := 0 // the panel's next block is fetched in the course of one whole tile
				if p%max(n/t, 1) == r/t {
					ahead = groups * size
				}
				panel := m.w.mem.data[p*m.w.panelBytes+g0*size : (p+1)*m.w.panelBytes]
				m.v.quantGemm(f, c[r*ldc+(p-p0)*panelWidth:], ldc, m.quant.wide, x, panel, min(t, n-r), groups, ahead)
			}
		}
	}
}
