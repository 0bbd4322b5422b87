//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"
	"slices"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

const (
	// manyRows is from how many rows on a product is bound by the tensor cores.
	manyRows = 65
	// someRows is from how many rows on int8 is multiplied by blocks, not warps by themselves.
	someRows = 17
	// foldBytes is up to how many bytes of partial sums the last block of a tile adds up. It
	// does so at the rate of one multiprocessor, some 100 GB/s: more, as of prompts, are for
	// a launch that has them all.
	foldBytes = 256 << 10
	// blocksThere is how many blocks of few rows a multiprocessor has at one time (their rings
	// are of 32 to 37 KiB); where there are more ranges a block takes several, up to maxPer.
	blocksThere, maxPer = 6, 8
	// maxTiles is how many tiles of outputs and rows are counted.
	maxTiles = 64 << 10
	// partBytes bounds the partial sums of products, and of attention: what is
	// beyond is done in turns.
	partBytes = 64 << 20
)

// MatMul: see kernels.Backend. The order of a sum is the package's, for any rows.
func (b *Backend) MatMul(dst, x kernels.Buffer, w kernels.Weight, rows int) {
	b.MatMuls(x, rows, kernels.Product{Dst: dst, W: w})
}

// MatMuls is MatMul for several matrices of one x, which is rounded once for all
// that take it alike; those that are dealt alike are one launch.
func (b *Backend) MatMuls(x kernels.Buffer, rows int, list ...kernels.Product) {
	for _, p := range list {
		w := p.W.(*weight)
		must(x.Len() >= rows*w.spec.K && p.Dst.Len() >= len(w.nodes)*rows*w.spec.Out, "MatMul", "%s [%d, %d]: %d rows in %d values, %d nodes into %d",
			w.spec.Name, w.spec.Out, w.spec.K, rows, x.Len(), len(w.nodes), p.Dst.Len())
	}
	if rows == 0 {
		return
	}
	defer b.device.enter()()
	var last *weight
	var in operand
	for len(list) > 0 {
		w := list[0].W.(*weight)
		n := 1
		for n < len(list) && w.together(list[n].W.(*weight)) {
			n++
		}
		if last == nil || !last.takesAlike(w) {
			in = b.operand(w, x, rows)
		}
		last = w
		b.products(in, rows, list[:n])
		list = list[n:]
	}
}

// takesAlike reports whether two matrices take the same form of activations.
func (w *weight) takesAlike(o *weight) bool {
	return w.method == o.method && w.spec.K == o.spec.K && (w.method == panel || slices.Equal(w.leaves, o.leaves)) && (w.method != codes || w.groupsAlike(o))
}

// together reports whether two matrices can be multiplied by one launch.
func (w *weight) together(o *weight) bool {
	return w.takesAlike(o) && w.spec.DType == o.spec.DType && w.spec.Format == o.spec.Format && (w.spec.Coding == nil) == (o.spec.Coding == nil) &&
		len(w.nodes) == 1 && len(o.nodes) == 1 && slices.Equal(w.leaves, o.leaves)
}

// tile is how many rows and outputs one block of a method's kernel computes, and
// which kernel that is.
type tile struct {
	kernel     string
	rows, outs int
	wide       bool // launchWide
	few        bool // a block may take several ranges
	tree       bool // may sum leaves by the tree, as wide ones do (launchCodesTree)
}

func (b *Backend) tile(w *weight, rows int) tile {
	size := 8
	if w.method == mma {
		if rows >= manyRows && b.wide.on {
			return b.wideTile(w, rows)
		}
		for size < 64 && size < rows {
			size *= 2
		}
		if rows >= manyRows {
			size = 128
		}
		return tile{kernel: fmt.Sprint("matmul_mma_", size), rows: size, outs: max(size, 64), few: rows < manyRows}
	}
	if w.method == codes {
		return codesTile(w.spec.DType, rows)
	}
	if rows == 1 {
		size = 1
	}
	if w.method == quant && rows > 8 {
		size = 16
	}
	if w.method == quant && rows >= someRows {
		size = 64
	}
	name := w.spec.Format.String()
	if w.method == panel {
		name = panelNames[w.spec.DType]
	}
	return tile{kernel: fmt.Sprint("matmul_", name, "_", size), rows: size, outs: 128, few: w.method == quant && size <= 16}
}

var panelNames = [...]string{tensor.F32: "f32", tensor.BF16: "bf16", tensor.F16: "f16", tensor.I8: "i8", tensor.U4: "u4", tensor.I4: "u4", tensor.F8: "f8"}

// operand is activations as a method takes them.
type operand struct {
	at, scales uint64
	rowBytes   int // of a row, of each of those that lie together
	scaleBytes int
	between    int    // emit_f16's
	sums       uint64 // emit_codes'
	sumBytes   int
}

// operand rounds or quantizes activations, in the same pass as the ops before that
// made them.
func (b *Backend) operand(w *weight, x kernels.Buffer, rows int) operand {
	steps := w.steps()
	switch w.method {
	case mma:
		tile := b.tile(w, rows)
		padded := ceilDiv(rows, tile.rows) * tile.rows
		in := operand{at: b.scratch(&b.rounded, padded*steps*64), scales: b.scratch(&b.scales, padded*steps*4), rowBytes: steps * 64, scaleBytes: steps * 4}
		together := 0
		if tile.wide {
			in.scaleBytes, in.between, together = 4, padded, tile.rows
		}
		b.passRows(rowPass{x: dev(x).at, n: rows * w.spec.K, rows: rows, c: w.spec.K, rounded: in.at, scales: in.scales, from: w.atFrom, ends: w.atEnds, chunks: w.atChunks, steps: steps, padded: padded, nChunks: len(w.chunks) - 1, together: together, between: in.between})
		return in
	case codes:
		return b.codesOperand(w, x, rows)
	case quant:
		in := operand{at: b.scratch(&b.rounded, rows*steps*32), scales: b.scratch(&b.scales, rows*steps*8), rowBytes: steps * 32, scaleBytes: steps * 8}
		b.passRows(rowPass{x: dev(x).at, n: rows * w.spec.K, rows: rows, c: w.spec.K, rounded: in.at, scales: in.scales, from: w.atFrom, ends: w.atEnds, steps: steps, padded: rows})
		return in
	}
	return operand{at: dev(x).at, rowBytes: w.spec.K * 4}
}

// deviceProduct is struct product (product.h).
type deviceProduct struct {
	dst, parts, w, ranges, groups, leaves, ended uint64
	stride, between                              int64
	out, first                                   int32
	codes, offsets                               int32
	bias, scales                                 int32
	scale                                        float32
	nodes, single                                int32
	slots, per                                   int32
	head                                         int32
}

// products computes products that can be one launch.
func (b *Backend) products(in operand, rows int, list []kernels.Product) {
	first := list[0].W.(*weight)
	t := b.tile(first, rows)
	blocks, outs := 0, 0
	for _, p := range list {
		blocks += ceilDiv(p.W.(*weight).spec.Out, t.outs)
		outs += p.W.(*weight).spec.Out
	}
	// Single chunks, where whole leaves would leave multiprocessors without work.
	tiles, wanted := blocks*ceilDiv(rows, t.rows), 2*b.device.processors
	if t.wide { // of which a multiprocessor has one; and half of them are not slower than partial sums
		wanted = b.device.processors / 2
	}
	split := tiles*len(first.whole.spans) < wanted
	// Leaves are summed by the tree where they are computed, if the kernel can, unless few
	// multiprocessors would have one: partial sums of many rows take longer than products.
	tree := (t.wide || t.tree) && len(first.leaves) > 2 && 2*tiles*len(first.nodes) >= wanted
	deal := func(w *weight) *deal {
		if split && !tree {
			return &w.split
		}
		return &w.whole
	}
	d := deal(first)
	direct := tree || d.slots == 1 && len(first.nodes) == 1
	// Ranges that a block of few rows takes: to begin a block costs as much as some KiB of weights.
	per := 1
	if t.few {
		per = min(ceilDiv(tiles*d.slots, max(blocksThere*b.device.processors, 1)), maxPer)
	}
	turn := rows
	if !direct {
		unit := max(128, t.rows)
		turn = min(rows, max(1, partBytes/(d.slots*outs*4)/unit)*unit)
	}
	for row := 0; row < rows; row += turn {
		n := min(turn, rows-row)
		g := grid{0, ceilDiv(n, t.rows), ceilDiv(d.slots, per)}
		launch := make([]deviceProduct, len(list))
		foldBlocks := 0
		for i, p := range list {
			w := p.W.(*weight)
			launch[i] = w.product(deal(w))
			launch[i].dst, launch[i].first = dev(p.Dst).at+uint64(4*row*w.spec.Out), int32(g.x)
			launch[i].parts, launch[i].between, launch[i].per = launch[i].dst, int64(rows*w.spec.Out), int32(per)
			g.x += ceilDiv(w.spec.Out, t.outs)
			foldBlocks += ceilDiv(n*w.spec.Out, 256)
		}
		inside := !t.wide && d.slots*min(n, t.rows)*t.outs*4 <= b.foldBytes && g.x*g.y <= maxTiles
		if !direct {
			parts := b.scratch(&b.parts, d.slots*n*outs*4)
			for i := range launch {
				launch[i].parts = parts
				parts += uint64(d.slots * n * int(launch[i].out) * 4)
				if inside {
					launch[i].ended = b.ended.at
				}
			}
		}
		products := send(b, launch)
		if t.wide {
			deep := len(d.spans)
			if tree {
				deep = len(first.nodes)
			}
			b.launchWide(t, first, products, len(list), in, row, n, blocks, deep, tree)
			if !direct {
				b.launch("fold", grid{foldBlocks, len(first.nodes), 1}, products, uint64(n))
			}
			continue
		}
		at := []uint64{products, uint64(len(list)), in.at + uint64(row*in.rowBytes)}
		if first.method != panel {
			at = append(at, in.scales+uint64(row*in.scaleBytes))
		}
		along := first.steps()
		if first.method == panel {
			along = first.spec.K
		}
		at = append(at, uint64(n), uint64(along))
		if first.method == codes {
			at = append(at, in.sums+uint64(row*in.sumBytes), uint64(len(first.segments)))
		}
		if tree {
			b.launchCodesTree(first, at, blocks, g.y)
		} else {
			b.launch(t.kernel, g, at...)
		}
		if !direct && !inside {
			b.launch("fold", grid{foldBlocks, len(first.nodes), 1}, products, uint64(n))
		}
	}
}

// product is a matrix as the kernels take it.
func (w *weight) product(d *deal) deviceProduct {
	p := deviceProduct{w: w.mem.at, ranges: d.atSpans, groups: w.atGroups, leaves: d.atLeaves, stride: int64(w.blockBytes), out: int32(w.spec.Out),
		codes: int32(w.codes), offsets: int32(w.offsets), scale: 1, nodes: int32(len(w.nodes)), slots: int32(d.slots)}
	if d.single(w.layout) {
		p.single = 1
	}
	if w.method == mma {
		p.scale = mmaScale(w.spec.DType)
	}
	if w.spec.DType == tensor.I4 {
		p.bias = 8
	}
	if w.spec.Coding != nil {
		p.scales = int32(deviceType(w.spec.Coding.Scales))
	}
	if w.method == codes {
		p.head = int32(w.headBytes())
	}
	return p
}
