package kerneltest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// counted is a RowReader that notes which elements are read.
type counted struct {
	kernels.RowReader
	k    int
	read []int
}

func (c *counted) ReadRows(dst []byte, row, n, col, cols int) error {
	for r := row; r < row+n; r++ {
		for i := col; i < col+cols; i++ {
			c.read[r*c.k+i]++
		}
	}
	return c.RowReader.ReadRows(dst, row, n, col, cols)
}

// piecesRule: a matrix made of pieces of others, packed or as bytes, and of what they
// leave is packed to the same bytes as one that was read whole, and nothing is read
// twice; a table gives its rows back as they were stored.
func piecesRule(t *testing.T, b kernels.Backend) {
	st, ok := b.(kernels.Storer)
	if !ok {
		t.Skip("packed matrices are not kept")
	}
	s := seeded("pieces")
	type kind struct {
		d     tensor.DType
		f     kernels.Format
		coded func(k int) *kernels.Coding
	}
	runs := func(scales tensor.DType, offsets bool, size int) func(int) *kernels.Coding {
		return func(k int) *kernels.Coding { return kernels.Runs(scales, offsets, k, size) }
	}
	index := func(k int) *kernels.Coding {
		c := &kernels.Coding{Scales: tensor.F16, Index: make([]int32, k), N: 3}
		for i := range c.Index {
			c.Index[i] = int32(s.IntN(3))
		}
		return c
	}
	for _, kind := range []kind{
		{d: tensor.F32}, {d: tensor.BF16}, {d: tensor.F16}, {d: tensor.BF16, f: kernels.Q8}, {d: tensor.F32, f: kernels.Q4},
		{d: tensor.U4, coded: runs(tensor.F16, true, 6)}, {d: tensor.I4, coded: index}, {d: tensor.F8, coded: runs(tensor.BF16, false, 32)}, {d: tensor.I8, coded: runs(tensor.F32, false, 4)},
	} {
		for _, shape := range []struct {
			out    int
			leaves []int
		}{{1, []int{0, 2}}, {64, []int{0, 8}}, {65, []int{0, 6, 8, 34}}, {200, []int{0, 4, 10}}, {130, []int{0, 32, 96, 128, 160}}} {
			t.Run(fmt.Sprint(kind.d, kind.f, shape), func(t *testing.T) {
				n := len(shape.leaves) - 1
				out, k := shape.out, shape.leaves[n]
				spec := kernels.WeightSpec{Name: "w", Out: out, K: k, DType: kind.d, Format: kind.f, Leaves: shape.leaves}
				src := &counted{k: k, read: make([]int, out*k)}
				if kind.coded != nil {
					spec.Coding = kind.coded(k)
					src.RowReader = randomCoded(s, spec)
				} else {
					raw, _ := store(s.floats(out*k), kind.d)
					src.RowReader = memory{raw, kind.d.Size(), k}
				}
				pieces(t, b, st, s, spec, src)
			})
		}
	}
}

func pieces(t *testing.T, b kernels.Backend, st kernels.Storer, s source, spec kernels.WeightSpec, src *counted) {
	all := tree.Range{Hi: spec.Out}
	n := len(spec.Leaves) - 1
	must := func(data []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	pack := func(pieces ...kernels.Piece) kernels.Weight {
		w, err := b.Pack(spec, src, pieces...)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	whole := pack()
	defer whole.Free()
	want := must(st.Extract(whole, all, tree.Range{Hi: n}))
	for round := range 8 {
		var list []kernels.Piece
		lacking := slices.Repeat([]int{1}, spec.Out*spec.K)
		for range s.IntN(4) {
			rows, leaves := between(s, spec.Out), between(s, n)
			p := kernels.Piece{From: whole, Rows: rows, Leaves: leaves, Row: rows.Lo, Leaf: leaves.Lo}
			if s.IntN(2) == 0 && !rows.Empty() && !leaves.Empty() {
				part := spec
				lo, hi := spec.Leaves[leaves.Lo], spec.Leaves[leaves.Hi]
				part.Out, part.K, part.Leaves = rows.Len(), hi-lo, nil
				for _, l := range spec.Leaves[leaves.Lo : leaves.Hi+1] {
					part.Leaves = append(part.Leaves, l-lo)
				}
				if spec.Coding != nil {
					part.Coding, _ = spec.Coding.Columns(lo, hi-lo)
				}
				from, err := st.FromPacked(part, must(st.Extract(whole, rows, leaves)))
				if err != nil {
					t.Fatal(err)
				}
				p.From, p.Rows, p.Leaves = from, tree.Range{Hi: rows.Len()}, tree.Range{Hi: leaves.Len()}
			}
			list = append(list, p)
			for r := rows.Lo; r < rows.Hi; r++ {
				clear(lacking[r*spec.K+spec.Leaves[leaves.Lo] : r*spec.K+spec.Leaves[leaves.Hi]])
			}
		}
		clear(src.read)
		w := pack(list...)
		if !bytes.Equal(must(st.Extract(w, all, tree.Range{Hi: n})), want) {
			t.Fatalf("round %d: %v: other bytes", round, list)
		}
		w.Free()
		if !slices.Equal(src.read, lacking) {
			t.Fatalf("round %d: %v: not what lacks was read, once", round, list)
		}
	}
	if _, err := st.FromPacked(spec, want[:len(want)-1]); err == nil {
		t.Error("too few bytes were taken")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a piece that does not fit was taken")
			}
		}()
		_, _ = b.Pack(spec, src, kernels.Piece{From: whole, Rows: all, Leaves: tree.Range{Hi: n}, Row: 1})
	}()

	spec.Format, spec.Leaves = kernels.AsStored, nil
	tab, err := b.NewTable(spec, src)
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Free()
	lo, rows := spec.Out/3, spec.Out-spec.Out/3
	stored := make([]byte, rows*spec.RowBytes(0, spec.K))
	if err := src.ReadRows(stored, lo, rows, 0, spec.K); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(must(st.TableRows(tab, lo, rows)), stored) {
		t.Error("a table's rows are not what was stored")
	}
}

// between is a range of [0, n), sometimes empty.
func between(s source, n int) tree.Range {
	ends := []int{s.IntN(n + 1), s.IntN(n + 1)}
	slices.Sort(ends)
	return tree.Range{Lo: ends[0], Hi: ends[1]}
}
