package cpu

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// stored is a matrix in memory as a RowReader that counts what is read.
type stored struct {
	data    []byte
	k, size int
	read    *int
}

func (s stored) ReadRows(dst []byte, row, n, col, cols int) error {
	if len(dst) != n*cols*s.size {
		return errors.New("wrong size")
	}
	*s.read += len(dst)
	for i := range n {
		copy(dst[i*cols*s.size:], s.data[((row+i)*s.k+col)*s.size:][:cols*s.size])
	}
	return nil
}

// TestPieceMisfit: a piece that does not fit is a broken invariant.
func TestPieceMisfit(t *testing.T) {
	b, err := New(Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	read := 0
	src := stored{make([]byte, 64*32*4), 32, 4, &read}
	spec := kernels.WeightSpec{Name: "w", Out: 64, K: 32, DType: tensor.F32, Leaves: []int{0, 8, 32}}
	w, err := b.Pack(spec, src)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	all := kernels.Piece{From: w, Rows: tree.Range{Hi: 64}, Leaves: tree.Range{Hi: 2}}
	for name, bad := range map[string]func(*kernels.WeightSpec, *kernels.Piece){
		"type":   func(s *kernels.WeightSpec, _ *kernels.Piece) { s.DType = tensor.BF16 },
		"format": func(s *kernels.WeightSpec, _ *kernels.Piece) { s.Format = kernels.Q8 },
		"leaves": func(s *kernels.WeightSpec, _ *kernels.Piece) { s.Leaves = []int{0, 16, 32} },
		"rows":   func(_ *kernels.WeightSpec, p *kernels.Piece) { p.Row = 1 },
		"source": func(_ *kernels.WeightSpec, p *kernels.Piece) { p.Rows = tree.Range{Lo: 1, Hi: 65} },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("taken")
				}
			}()
			s, p := spec, all
			bad(&s, &p)
			_, _ = b.Pack(s, src, p)
		})
	}
}

// BenchmarkPieces copies a matrix of whole panels, of strips, and of neither.
func BenchmarkPieces(b *testing.B) {
	be, err := New(Config{Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer be.Close()
	for _, f := range []kernels.Format{kernels.AsStored, kernels.Q8, kernels.Q4} {
		for _, rows := range []int{448, 224, 200} {
			b.Run(fmt.Sprintf("%v/%d", f, rows), func(b *testing.B) {
				const units, k = 8, 4096
				read := 0
				src := stored{make([]byte, units*rows*k*2), k, 2, &read}
				spec := kernels.WeightSpec{Name: "w", Out: units * rows, K: k, DType: tensor.BF16, Format: f}
				w, err := be.Pack(spec, src)
				if err != nil {
					b.Fatal(err)
				}
				defer w.Free()
				one := spec
				one.Out = rows
				var pieces []kernels.Piece
				for i := range units {
					data, err := be.Extract(w, tree.Range{Lo: i * rows, Hi: (i + 1) * rows}, tree.Range{Hi: 1})
					if err != nil {
						b.Fatal(err)
					}
					part, err := be.FromPacked(one, data)
					if err != nil {
						b.Fatal(err)
					}
					pieces = append(pieces, kernels.Piece{From: part, Rows: tree.Range{Hi: rows}, Leaves: tree.Range{Hi: 1}, Row: i * rows})
				}
				b.SetBytes(w.Bytes())
				for b.Loop() {
					c, err := be.Pack(spec, src, pieces...)
					if err != nil {
						b.Fatal(err)
					}
					c.Free()
				}
			})
		}
		b.Run(fmt.Sprintf("%v/read", f), func(b *testing.B) {
			const out, k = 8 * 448, 4096
			read := 0
			src := stored{make([]byte, out*k*2), k, 2, &read}
			spec := kernels.WeightSpec{Name: "w", Out: out, K: k, DType: tensor.BF16, Format: f}
			b.SetBytes(int64(len(src.data)))
			for b.Loop() {
				c, err := be.Pack(spec, src)
				if err != nil {
					b.Fatal(err)
				}
				c.Free()
			}
		})
	}
}
