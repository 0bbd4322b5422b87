package kernels

import (
	"math/bits"
	"slices"

	"github.com/sullae/sullae/kernels/tree"
)

// Piece is a part of a matrix that is packed already, as a part of another one
// of the same type, format and leaves (a rank's share before it changed, a unit
// from disk): rows Rows and leaves Leaves of From are rows from Row on and
// leaves from Leaf on.
type Piece struct {
	From         Weight
	Rows, Leaves tree.Range
	Row, Leaf    int
}

// Fits reports whether a piece fits a matrix: types, formats, leaves and groups are
// alike, and both have those rows and leaves.
func (p Piece) Fits(to WeightSpec) bool {
	from := p.From.Spec()
	a, _, err1 := from.Check()
	b, _, err2 := to.Check()
	if err1 != nil || err2 != nil || from.DType != to.DType || from.Format != to.Format || (from.Coding == nil) != (to.Coding == nil) ||
		p.Rows.Lo < 0 || p.Rows.Hi > from.Out || p.Leaves.Lo < 0 || p.Leaves.Hi >= len(a) ||
		p.Row < 0 || p.Row+p.Rows.Len() > to.Out || p.Leaf < 0 || p.Leaf+p.Leaves.Len() >= len(b) {
		return false
	}
	for i := range p.Leaves.Len() {
		at, n := a[p.Leaves.Lo+i], a[p.Leaves.Lo+i+1]-a[p.Leaves.Lo+i]
		if k := b[p.Leaf+i]; n != b[p.Leaf+i+1]-k || from.Coding != nil && !from.Coding.sameGroups(at, to.Coding, k, n) {
			return false
		}
	}
	return true
}

// sameGroups reports whether n values from k on are in groups cut as those of to from
// toK on, and kept alike.
func (c *Coding) sameGroups(k int, to *Coding, toK, n int) bool {
	if c.Scales != to.Scales || c.Offsets != to.Offsets || (c.Index == nil) != (to.Index == nil) {
		return false
	}
	if c.Index != nil {
		return slices.Equal(c.Index[k:k+n], to.Index[toK:toK+n])
	}
	return c.Size == to.Size && (k+c.Phase)%c.Size == (toK+to.Phase)%to.Size
}

// RowsIn are the rows of [first, first+n) that a piece covers, counted from first.
func (p Piece) RowsIn(first, n int) tree.Range {
	r := tree.Range{Lo: max(p.Row-first, 0), Hi: min(p.Row+p.Rows.Len()-first, n)}
	if r.Empty() {
		return tree.Range{}
	}
	return r
}

// Hole is a part of some rows that no piece covers: some of them, and consecutive
// leaves.
type Hole struct{ Rows, Leaves tree.Range }

// Holes are what pieces leave of the n rows from first on, at most 64, of a matrix with
// so many leaves. Rows are counted from first.
func Holes(pieces []Piece, first, n, leaves int) []Hole {
	lacking := make([]uint64, leaves) // a bit per row
	for i := range lacking {
		lacking[i] = ^uint64(0) >> (64 - n)
	}
	for _, piece := range pieces {
		rows := piece.RowsIn(first, n)
		if rows.Empty() {
			continue
		}
		have := ^uint64(0) >> (64 - rows.Len()) << rows.Lo
		for i := range piece.Leaves.Len() {
			lacking[piece.Leaf+i] &^= have
		}
	}
	var out []Hole
	for lo := 0; lo < leaves; {
		hi := lo + 1
		for hi < leaves && lacking[hi] == lacking[lo] {
			hi++
		}
		for rest := lacking[lo]; rest != 0; {
			row := bits.TrailingZeros64(rest)
			n := bits.TrailingZeros64(^(rest >> row))
			out = append(out, Hole{tree.Range{Lo: row, Hi: row + n}, tree.Range{Lo: lo, Hi: hi}})
			rest &^= ^uint64(0) >> (64 - n) << row
		}
		lo = hi
	}
	return out
}

// Part is the spec of some rows, and some leaves, of a matrix with these leaves,
// spelled out: its columns are those of the leaves.
func (s WeightSpec) Part(bounds []int, rows, leaves tree.Range) WeightSpec {
	first := bounds[leaves.Lo]
	s.Out, s.Leaves, s.Nodes = rows.Len(), make([]int, leaves.Len()+1), nil
	for i := range s.Leaves {
		s.Leaves[i] = bounds[leaves.Lo+i] - first
	}
	s.K = s.Leaves[leaves.Len()]
	if s.Coding != nil {
		s.Coding, _ = s.Coding.Columns(first, s.K)
	}
	return s
}
