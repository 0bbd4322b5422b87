package plan

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/model"
)

// Slice is the part of one weight that a rank holds, in the weight's own rows
// and columns (a fused tensor's offset is TensorRef.Row). A vector has its
// elements as columns of one row, as checkpoint.Source reads it.
type Slice struct{ Rows, Cols tree.Range }

// Slice is what a rank holds of a weight: rows of its heads, FFN columns or
// vocabulary for the matrices that are cut by output, columns for those cut
// along K (O, Down), a bias with the rows that it is added to, all of the norms.
func (p Plan) Slice(s *model.Spec, rank int, role model.Role) Slice {
	rows, cols := s.Shape(role)
	out := Slice{tree.Range{Hi: rows}, tree.Range{Hi: cols}}
	if cols == 0 {
		out = Slice{tree.Range{Hi: 1}, tree.Range{Hi: rows}}
	}
	share := p.Shares[rank]
	times := func(r tree.Range) tree.Range { return tree.Range{Lo: r.Lo * s.HeadDim, Hi: r.Hi * s.HeadDim} }
	switch role {
	case model.Embed, model.Head:
		out.Rows = p.Units.VocabRange(share)
	case model.Q:
		out.Rows = times(share.Heads)
	case model.K, model.V:
		out.Rows = times(p.Units.KVRange(share))
	case model.O, model.QBias:
		out.Cols = times(share.Heads)
	case model.KBias, model.VBias:
		out.Cols = times(p.Units.KVRange(share))
	case model.Gate, model.Up:
		out.Rows = p.Units.FFNRange(share)
	case model.Down:
		out.Cols = p.Units.FFNRange(share)
	default:
		if cols > 0 {
			panic(fmt.Sprintf("plan: no slice for %v", role))
		}
	}
	return out
}

// Region is where the slice lies in the stored tensor, as the arguments of
// checkpoint.Source's ReadRegion.
func (s Slice) Region(ref model.TensorRef) (row, rows, col, cols int) {
	if ref.Cols == 0 {
		return 0, 1, ref.Row + s.Cols.Lo, s.Cols.Len()
	}
	return ref.Row + s.Rows.Lo, s.Rows.Len(), s.Cols.Lo, s.Cols.Len()
}

// elements is the number of values in the slice.
func (s Slice) elements() int64 { return int64(s.Rows.Len()) * int64(s.Cols.Len()) }

// Types tells how a tensor is stored, by name (checkpoint.Types). Nil stands for
// Spec.DType, for all of them.
type Types func(name string) (tensor.DType, *kernels.Coding)

// WeightBytes is what a rank's packed weights take: matrices as they are stored,
// norms in float32. With tied embeddings the table and the head count both, since
// each is kept in its own layout.
func WeightBytes(s *model.Spec, p Plan, rank int, types Types) int64 {
	return PackedBytes(s, p, rank, types, kernels.AsStored)
}

// PackedBytes is WeightBytes with matrices in format f; the embedding table
// and matrices that come quantized stay as they are stored.
func PackedBytes(s *model.Spec, p Plan, rank int, types Types, f kernels.Format) int64 {
	var n int64
	for _, w := range s.Weights() {
		slice := p.Slice(s, rank, w.Role)
		stored := kernels.WeightSpec{Out: slice.Rows.Len(), K: slice.Cols.Len(), DType: s.DType}
		if types != nil {
			d, coding := types(w.Ref.Name)
			stored.DType = d
			if coding != nil {
				stored.Coding, _ = coding.Columns(slice.Cols.Lo, slice.Cols.Len())
			}
		}
		switch {
		case w.Ref.Cols == 0:
			n += slice.elements() * 4
		case f == kernels.AsStored || w.Role == model.Embed || stored.Coding != nil:
			n += int64(stored.Out) * int64(stored.RowBytes(0, stored.K))
		default:
			n += int64(slice.Rows.Len()) * int64(p.groups(s, slice, w.Role)) * int64(f.GroupBytes())
		}
	}
	return n
}

// groups is the number of groups of a quantized slice along K: they begin anew
// at each leaf.
func (p Plan) groups(s *model.Spec, slice Slice, role model.Role) int {
	leaf := 0
	switch role {
	case model.O:
		leaf = s.HeadDim
	case model.Down:
		leaf = p.Units.MLPUnit
	default:
		return kernels.Groups(slice.Cols.Len())
	}
	n, rest := slice.Cols.Len()/leaf, slice.Cols.Len()%leaf
	return n*kernels.Groups(leaf) + kernels.Groups(rest)
}

// KVBytesPerToken is what one position takes in a rank's KV pool: keys and
// values of all layers in type t, copied KV heads included.
func KVBytesPerToken(s *model.Spec, p Plan, rank int, t kernels.KVType) int64 {
	kv := p.Units.KVRange(p.Shares[rank]).Len()
	return 2 * int64(len(s.Layers)) * int64(kv) * int64(t.VectorBytes(s.HeadDim))
}
