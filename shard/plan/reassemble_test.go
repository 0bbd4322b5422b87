package plan_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/plan"
)

// TestReassemble reads every weight of the golden models slice by slice, for
// every number of ranks, and puts it together again.
func TestReassemble(t *testing.T) {
	for _, m := range modeltest.Golden(t) {
		c := modeltest.Open(t, m.Dir)
		spec := c.Spec()
		for ranks := 1; ranks <= spec.Heads; ranks++ {
			caps := slices.Repeat([]float64{1}, ranks)
			caps[ranks/2] = 1.7
			p, err := plan.Make(plan.UnitsOf(spec), caps)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range spec.Weights() {
				if w.Layer > 0 {
					continue // like layer 0
				}
				rows, cols := w.Ref.Rows, w.Ref.Cols
				if cols == 0 {
					rows, cols = 1, rows
				}
				size := spec.DType.Size()
				whole, parts := make([]byte, rows*cols*size), make([]byte, rows*cols*size)
				if err := c.ReadRegion(t.Context(), whole, w.Ref.Name, w.Ref.Row, rows, 0, cols); err != nil {
					t.Fatal(err)
				}
				for rank := range ranks {
					sl := p.Slice(spec, rank, w.Role)
					row, n, col, width := sl.Region(w.Ref)
					part := make([]byte, n*width*size)
					if err := c.ReadRegion(t.Context(), part, w.Ref.Name, row, n, col, width); err != nil {
						t.Fatal(err)
					}
					for r := range n {
						at := (sl.Rows.Lo+r)*cols + sl.Cols.Lo
						copy(parts[at*size:], part[r*width*size:(r+1)*width*size])
					}
				}
				if !bytes.Equal(whole, parts) {
					t.Errorf("%s: %d ranks: %v is not whole", m.Name, ranks, w.Role)
				}
			}
		}
	}
}
