//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// codeStep is how many values along K are a step of codes; codes in smaller groups, or in
// groups that are no runs, are multiplied by panel.
const codeStep = 16

// segments is struct segments (device.h).
type segments struct {
	first  int32
	begins uint32
}

// newCodesLayout cuts leaves into steps of one group each: a step begins with a leaf, a
// group, or where the one before is full. A leaf has an even number. So a leaf's steps, chunks and segments are the same
// in every part of the matrix that has the leaf.
func newCodesLayout(leaves []int, nodes []tree.Range, c *kernels.Coding) *layout {
	l := &layout{leaves: leaves, nodes: nodes, starts: []int{0}}
	bounds := []int{0} // of the leaves as padded
	for i := range len(leaves) - 1 {
		l.heads = append(l.heads, len(l.segments))
		for k, n := leaves[i], 0; k < leaves[i+1]; n++ {
			at, group := n%(chunk/codeStep), c.GroupOf(k) // step of the chunk
			l.parts = append(l.parts, segments{})
			if at == 0 {
				l.chunks = append(l.chunks, int32(len(l.from)))
				l.parts[len(l.from)].first = int32(len(l.segments))
			}
			if at == 0 || group != l.segments[len(l.segments)-1] {
				l.parts[len(l.from)-at].begins |= 1 << at
				l.segments = append(l.segments, group)
			}
			end := min((group+1)*c.Size-c.Phase, leaves[i+1])
			l.from, l.ends = append(l.from, int32(k)), append(l.ends, int32(end))
			k = min(k+codeStep, end)
		}
		if last := len(l.from) - 1; (last+1-l.starts[i])%2 == 1 { // an empty step, as they are taken by pairs
			l.from, l.ends, l.parts = append(l.from, l.ends[last]), append(l.ends, l.ends[last]), append(l.parts, segments{})
		}
		l.starts = append(l.starts, len(l.from))
		bounds = append(bounds, len(l.from)*codeStep)
	}
	l.heads = append(l.heads, len(l.segments))
	l.chunks = append(l.chunks, int32(l.steps()))
	l.split, l.whole = l.deal(bounds, chunk, codeStep), l.deal(bounds, 1<<30, codeStep)
	return l
}

// groupsAlike reports whether the codes of two matrices with the same leaves are cut alike.
func (w *weight) groupsAlike(o *weight) bool {
	a, b := w.spec.Coding, o.spec.Coding
	return a.Size == b.Size && a.Phase == b.Phase && a.Offsets == b.Offsets
}

// headBytes is the size of a segment's scales and offsets.
func (w *weight) headBytes() int {
	n := 16 * w.spec.Coding.Scales.Size()
	if w.spec.Coding.Offsets {
		n += 16 * 4
	}
	return n
}

// codesTile is the kernel for so many rows.
func codesTile(d tensor.DType, rows int) tile {
	size, outs := 8, 64
	for size < 64 && size < rows {
		size *= 2
	}
	if size > 16 {
		outs = 128
	}
	return tile{kernel: fmt.Sprint("matmul_codes_", panelNames[d], "_", size), rows: size, outs: outs, few: size <= 16, tree: size == 64}
}

// codesSums is a tile's sums of matmul_codes_tree, in bytes.
const codesSums = 32 << 10

// launchCodesTree multiplies by a matrix whose leaves are summed by the tree; at are the
// parameters that all kernels of codes have, blocks and along the tiles of outputs and rows.
func (b *Backend) launchCodesTree(w *weight, at []uint64, blocks, along int) {
	lowest := w.lowestLevel()
	levels := max(0, w.levels()-lowest-1) // beside the one in shared memory
	at = append(at, uint64(blocks), uint64(len(w.nodes)))
	n := min(blocks*along*len(w.nodes), max(1, b.device.processors))
	b.launch("matmul_codes_"+panelNames[w.spec.DType]+"_tree", grid{n, 1, 1}, append(at, b.scratch(&b.parts, n*levels*codesSums), uint64(lowest), uint64(levels))...)
}

// codesOperand rounds activations as mma's are.
func (b *Backend) codesOperand(w *weight, x kernels.Buffer, rows int) operand {
	steps, heads, tile := w.steps(), len(w.segments), codesTile(w.spec.DType, rows).rows
	padded := ceilDiv(rows, tile) * tile
	in := operand{at: b.scratch(&b.rounded, padded*steps*32), scales: b.scratch(&b.scales, padded*steps*4), rowBytes: steps * 32, scaleBytes: steps * 4}
	if w.spec.Coding.Offsets {
		in.sums, in.sumBytes = b.scratch(&b.sums, padded*heads*4), heads*4
	}
	b.passRows(rowPass{x: dev(x).at, n: rows * w.spec.K, rows: rows, c: w.spec.K, rounded: in.at, scales: in.scales, from: w.atFrom, ends: w.atEnds, chunks: w.atChunks,
		steps: steps, padded: padded, nChunks: len(w.chunks) - 1, parts: w.atGroups, sums: in.sums, heads: heads})
	return in
}

// largestScale bounds scales and offsets, so that a chunk's sum is finite before it is
// divided by what its activations were multiplied by.
const largestScale = 0x1p64

// putCodes places the codes of leaves of output j of a tile, and their segments' scales
// and offsets.
func (w *weight) putCodes(dst, record []byte, j int, leaves tree.Range) error {
	d, col := w.spec.DType, w.leaves[leaves.Lo]
	cols := w.leaves[leaves.Hi] - col
	c, first := w.spec.Coding.Columns(col, cols)
	tail, size, head := record[d.Bytes(cols):], c.Scales.Size(), w.headBytes()
	scales, offsets := make([]float32, c.N), make([]float32, c.N)
	c.Tail(scales, offsets, tail)
	for s := w.heads[leaves.Lo]; s < w.heads[leaves.Hi]; s++ {
		g := w.segments[s] - first
		if v := max(scales[g], -scales[g], offsets[g], -offsets[g]); v > largestScale {
			return fmt.Errorf("scale or offset %v of group %d: too large for the tensor cores; use --cuda-exact", v, first+g)
		}
		copy(dst[s*head+j*size:][:size], tail[g*size:])
		if c.Offsets {
			copy(dst[s*head+w.offsets+j*4:][:4], tail[c.N*size+g*4:])
		}
	}
	flip := byte(0)
	switch d {
	case tensor.I4:
		flip = 8 // what is added in the device's codes
	case tensor.I8:
		flip = 128
	}
	step := w.stepSize()
	for s := w.starts[leaves.Lo]; s < w.starts[leaves.Hi]; s++ {
		to, at := dst[w.codes+s*step:][:step], int(w.from[s])-col
		n := min(codeStep, int(w.ends[s]-w.from[s]))
		var v [codeStep]byte
		if d.Bytes(2) == 1 {
			for k := range n {
				v[k] = record[(at+k)/2]>>((at+k)%2*4)&15 ^ flip
			}
			for t := range 4 {
				to := to[(j%8*4+t)*4+j/8:]
				to[0], to[2] = v[2*t]|v[2*t+8]<<4, v[2*t+1]|v[2*t+9]<<4
			}
			continue
		}
		for k, code := range record[at : at+n] {
			v[k] = code ^ flip
		}
		for t := range 4 {
			to := to[(j%8*4+t)*8+j/8*4:]
			to[0], to[1], to[2], to[3] = v[2*t], v[2*t+8], v[2*t+1], v[2*t+9]
		}
	}
	return nil
}

// codeAtoms are where output j of a tile lies within a step.
func (w *weight) codeAtoms(j int) (out []atom) {
	for t := range 4 {
		lane := j%8*4 + t
		if w.spec.DType.Bytes(2) == 1 {
			out = append(out, atom{lane*4 + j/8, 1}, atom{lane*4 + j/8 + 2, 1})
		} else {
			out = append(out, atom{lane*8 + j/8*4, 4})
		}
	}
	return out
}

// copyHeads copies the scales and offsets of copyRow's segments.
func (w *weight) copyHeads(dst []byte, j, leaf int, from *weight, src []byte, i int, leaves tree.Range) {
	size, head, to := w.spec.Coding.Scales.Size(), w.headBytes(), w.heads[leaf]
	for s := from.heads[leaves.Lo]; s < from.heads[leaves.Hi]; s, to = s+1, to+1 {
		copy(dst[to*head+j*size:][:size], src[s*head+i*size:])
		if w.spec.Coding.Offsets {
			copy(dst[to*head+w.offsets+j*4:][:4], src[s*head+from.offsets+i*4:])
		}
	}
}
