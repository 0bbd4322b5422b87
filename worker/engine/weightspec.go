package engine

import (
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
)

// stored is a slice of a weight as it is stored; a vector is one row.
func stored(info checkpoint.Info, ref model.TensorRef, slice plan.Slice) kernels.WeightSpec {
	_, rows, col, cols := slice.Region(ref)
	w := kernels.WeightSpec{Name: info.Name, Out: rows, K: cols, DType: info.DType}
	if info.Coding != nil {
		w.Coding, _ = info.Coding.Columns(col, cols)
	}
	return w
}

// weightSpec is a rank's slice of a matrix, stored as w says, as a backend packs it.
func weightSpec(s *model.Spec, p plan.Plan, rank int, role model.Role, w kernels.WeightSpec, f kernels.Format) kernels.WeightSpec {
	w.Format = f
	u, share := p.Units, p.Shares[rank]
	switch role {
	case model.O:
		w.Leaves, w.Nodes = boundaries(share.Heads, s.HeadDim, u.Heads*s.HeadDim), nodes(share.Heads, u.Heads)
	case model.Down:
		w.Leaves, w.Nodes = boundaries(share.MLP, u.MLPUnit, u.FFN), nodes(share.MLP, u.MLPLeaves())
	}
	return w
}

// leavesOf are the leaves along K that a rank holds of a matrix: all of its one
// leaf, but for the row-parallel ones.
func leavesOf(p plan.Plan, rank int, role model.Role) tree.Range {
	switch role {
	case model.O:
		return p.Shares[rank].Heads
	case model.Down:
		return p.Shares[rank].MLP
	}
	return tree.Range{Hi: 1}
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

// nodes are the subtrees of n leaves that r holds whole, counted from its first.
func nodes(r tree.Range, n int) []tree.Range {
	out := tree.Maximal(n, r)
	for i := range out {
		out[i] = tree.Range{Lo: out[i].Lo - r.Lo, Hi: out[i].Hi - r.Lo}
	}
	return out
}
