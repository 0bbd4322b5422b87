//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// chunk is how many values along K are summed before the next sum begins
// (matmul.cu, SPLIT).
const chunk = 512

// method is how a matrix is multiplied, and so laid out (matmul.cu).
type method uint8

const (
	exact method = iota // panels of 32 outputs, stored values
	bf16                // mma's fragments, tiles of 16 outputs x 16 k
	quant               // panels of 32 outputs, groups of 32 k
)

// step is the unit along K in which a method counts.
func (m method) step() int {
	switch m {
	case bf16:
		return 16
	case quant:
		return kernels.Group
	}
	return 1
}

// width is how many outputs lie side by side.
func (m method) width() int {
	if m == bf16 {
		return 16
	}
	return 32
}

// blockOutputs is how many outputs a block of the grid computes: four warps'.
func (m method) blockOutputs() int { return 4 * m.width() }

// span is a run of chunks of one leaf for one block of the grid (struct range).
type span struct{ lo, hi, slot, x int32 }

// Steps of a fold program (matmul.cu).
const (
	foldOpen = -1
	foldJoin = -2
)

// deal is one way to deal a matrix's chunks to blocks.
type deal struct {
	spans    []span
	program  []int32
	starts   []int32 // of each node's program
	slots    int
	onDevice *memory // spans, program, starts
	atSpans  uint64
	atProg   uint64
	atStarts uint64
}

// layout is where a matrix's values lie along K.
type layout struct {
	leaves []int
	nodes  []tree.Range
	// starts[i] is leaf i's place along the padded K, in units of the method's step;
	// the last is all of it.
	starts []int
	// split deals single chunks, for few rows; whole deals leaves, for many. The
	// sums are the same.
	split, whole deal
	// from and ends tell, for each step along the padded K, where its values begin
	// in a row of activations, and where their leaf ends.
	from, ends []int32
}

func newLayout(spec kernels.WeightSpec, m method) (*layout, error) {
	l := &layout{leaves: spec.Leaves, nodes: spec.Nodes}
	if spec.Out <= 0 || spec.K <= 0 {
		return nil, fmt.Errorf("%s: cannot pack [%d, %d]", spec.Name, spec.Out, spec.K)
	}
	if l.leaves == nil {
		l.leaves = []int{0, spec.K}
	}
	n := len(l.leaves) - 1
	if n < 1 || l.leaves[0] != 0 || l.leaves[n] != spec.K {
		return nil, fmt.Errorf("%s: leaves %v do not cover [0, %d)", spec.Name, l.leaves, spec.K)
	}
	if l.nodes == nil {
		l.nodes = []tree.Range{{Lo: 0, Hi: n}}
	}
	step := m.step()
	l.starts = []int{0}
	for i := range n {
		size := l.leaves[i+1] - l.leaves[i]
		if size <= 0 {
			return nil, fmt.Errorf("%s: leaves %v do not ascend", spec.Name, l.leaves)
		}
		steps := ceilDiv(size, step)
		l.starts = append(l.starts, l.starts[i]+steps)
		if step > 1 {
			for s := range steps {
				l.from = append(l.from, int32(l.leaves[i]+s*step))
				l.ends = append(l.ends, int32(l.leaves[i+1]))
			}
		}
	}
	for _, r := range l.nodes {
		if r.Lo < 0 || r.Empty() || r.Hi > n {
			return nil, fmt.Errorf("%s: node %v is not a range of %d leaves", spec.Name, r, n)
		}
	}
	// Ranges count values for bf16 (its padded K), steps for the others.
	unit := 1
	if m == bf16 {
		unit = 16
	}
	l.split, l.whole = l.deal(chunk/step, unit), l.deal(1<<30, unit)
	return l, nil
}

// deal cuts leaves into spans of at most run steps.
func (l *layout) deal(run, unit int) deal {
	var d deal
	slots := make([][]int32, len(l.leaves)-1)
	for i := range slots {
		for lo := l.starts[i]; lo < l.starts[i+1]; lo += run {
			hi := min(lo+run, l.starts[i+1])
			d.spans = append(d.spans, span{int32(lo * unit), int32(hi * unit), int32(d.slots), int32(lo * unit)})
			slots[i] = append(slots[i], int32(d.slots))
			d.slots++
		}
	}
	for _, node := range l.nodes {
		steps := foldSteps(node, slots)
		d.starts = append(d.starts, int32(len(d.program)))
		d.program = append(append(d.program, int32(len(steps))), steps...)
	}
	return d
}

// foldSteps is the program that sums a node's leaves by the tree.
func foldSteps(node tree.Range, slots [][]int32) []int32 {
	if node.Len() == 1 {
		return append([]int32{foldOpen}, slots[node.Lo]...)
	}
	mid := node.Lo + tree.Split(node.Len())
	steps := append(foldSteps(tree.Range{Lo: node.Lo, Hi: mid}, slots), foldSteps(tree.Range{Lo: mid, Hi: node.Hi}, slots)...)
	return append(steps, foldJoin)
}

// methodOf is how a backend multiplies a matrix.
func (b *Backend) methodOf(spec kernels.WeightSpec) (method, error) {
	switch {
	case spec.Format == kernels.Q8 || spec.Format == kernels.Q4:
		return quant, nil
	case spec.Format != kernels.AsStored || spec.DType.Size() == 0 || spec.DType.Coded():
		return 0, fmt.Errorf("%s: cannot pack %v as %v", spec.Name, spec.DType, spec.Format)
	case spec.DType == tensor.BF16 && !b.exact:
		return bf16, nil
	}
	return exact, nil
}

// deviceType is a stored type as device.h numbers it.
func deviceType(d tensor.DType) uint64 {
	switch d {
	case tensor.BF16:
		return 1
	case tensor.F16:
		return 2
	}
	return 0
}
