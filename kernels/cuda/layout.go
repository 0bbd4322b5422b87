//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

const (
	// chunk is how many values along K are summed before the next sum begins
	// (product.h, SPLIT).
	chunk = 512
	// maxLeaves is how many the tree of a node is made for (fold.h, LEVELS).
	maxLeaves = 1<<10 - 1
)

// method is how a matrix is multiplied, and so laid out (src/matmul.cu, src/quant.cu, src/codes.cu).
type method uint8

const (
	panel method = iota // panels of 32 outputs, values or codes as stored
	mma                 // its fragments of binary16, tiles of 16 outputs x 32 k
	quant               // panels of 32 outputs, groups of 32 k
	codes               // mma's fragments in codes, tiles of 16 outputs x 16 k (codes.go)
)

// width is how many outputs lie side by side.
func (m method) width() int {
	if m == mma || m == codes {
		return 16
	}
	return 32
}

// methodOf is how a backend multiplies a matrix: by what is the same of every part of it,
// so that all workers do alike.
func (b *Backend) methodOf(spec kernels.WeightSpec) method {
	switch {
	case spec.Format != kernels.AsStored:
		return quant
	case (spec.DType == tensor.BF16 || spec.DType == tensor.F16) && !b.exact:
		return mma
	case spec.Coding != nil && spec.Coding.Index == nil && spec.Coding.Size >= codeStep && !b.exact:
		return codes
	}
	return panel
}

// step is how many values along K a method counts as one: what leaves are padded to.
func (m method) step(d tensor.DType) int {
	if m == panel {
		return 32 / d.Bytes(8) // a word's
	}
	return 32
}

// span is a run of chunks of one leaf for one block of the grid (struct range).
type span struct{ lo, n, slot, x int32 }

// deal is one way to deal a matrix's chunks to blocks.
type deal struct {
	spans []span
	// leaves is each node's leaves, and the slots of each leaf (fold.h, node_sum).
	leaves []int32
	slots  int
	// where they are on the device
	atSpans, atLeaves uint64
}

// single reports whether every leaf has one slot.
func (d *deal) single(l *layout) bool { return d.slots == len(l.leaves)-1 }

// layout is where a matrix's values lie along K.
type layout struct {
	leaves []int
	nodes  []tree.Range
	// starts[i] is leaf i's first step; the last is the number of them.
	starts []int
	// split deals single chunks, where blocks are wanted; whole deals leaves. The
	// sums are the same.
	split, whole deal
	// from and ends tell for each step where its values begin in a row of
	// activations, and where their leaf ends.
	from, ends []int32
	// chunks are the first steps of all chunks, and the number of steps.
	chunks []int32
	// Of codes (codes.go): the group of each segment, the first segment of each leaf and,
	// at chunks' first steps, what of them the kernels need to know.
	segments []int
	heads    []int
	parts    []segments
}

func (l *layout) steps() int { return l.starts[len(l.starts)-1] }

func newLayout(leaves []int, nodes []tree.Range, step int) *layout {
	l := &layout{leaves: leaves, nodes: nodes, starts: []int{0}}
	for i := range len(leaves) - 1 {
		steps := ceilDiv(leaves[i+1]-leaves[i], step)
		l.starts = append(l.starts, l.starts[i]+steps)
		for s := range steps {
			l.from = append(l.from, int32(leaves[i]+s*step))
			l.ends = append(l.ends, int32(leaves[i+1]))
			if s*step%chunk == 0 {
				l.chunks = append(l.chunks, int32(l.starts[i]+s))
			}
		}
	}
	l.chunks = append(l.chunks, int32(l.steps()))
	l.split, l.whole = l.deal(leaves, chunk, step), l.deal(leaves, 1<<30, step)
	return l
}

// deal cuts leaves with these bounds into spans of at most run values.
func (l *layout) deal(leaves []int, run, step int) deal {
	var d deal
	for _, node := range l.nodes {
		d.leaves = append(d.leaves, int32(node.Lo), int32(node.Hi))
	}
	for i := range len(leaves) - 1 {
		d.leaves = append(d.leaves, int32(d.slots))
		for x := leaves[i]; x < leaves[i+1]; x += run {
			n := min(run, leaves[i+1]-x)
			d.spans = append(d.spans, span{int32(l.starts[i] + (x-leaves[i])/step), int32(n), int32(d.slots), int32(x)})
			d.slots++
		}
	}
	d.leaves = append(d.leaves, int32(d.slots))
	return d
}

// mmaShift is what bfloat16 weights are multiplied by, as an exponent of two, to be
// binary16: those of 2^-23 to 2^10 keep all their bits, smaller ones are rounded to
// multiples of 2^-30, larger ones are refused.
const mmaShift = 6

// mmaScale is what the sums of products with weights of a type are multiplied by.
func mmaScale(d tensor.DType) float32 {
	if d == tensor.BF16 {
		return 1.0 / (1 << mmaShift)
	}
	return 1
}

// deviceType is a stored type as device.h numbers it.
func deviceType(d tensor.DType) uint64 {
	return [...]uint64{tensor.F32: 0, tensor.BF16: 1, tensor.F16: 2, tensor.I8: 4, tensor.U4: 5, tensor.I4: 6, tensor.F8: 7}[d]
}
