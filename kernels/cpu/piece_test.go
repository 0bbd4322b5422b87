package cpu

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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

// TestPieces: a matrix made of pieces of others, from memory and from bytes, and
// of what they leave is packed to the same bytes as one that was read whole, and
// nothing is read twice.
func TestPieces(t *testing.T) {
	b, err := New(Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := []struct {
		d tensor.DType
		f kernels.Format
	}{{tensor.F32, kernels.AsStored}, {tensor.BF16, kernels.AsStored}, {tensor.F16, kernels.AsStored}, {tensor.BF16, kernels.Q8}, {tensor.F32, kernels.Q4}}
	for _, kind := range kinds {
		for _, shape := range []struct {
			out    int
			leaves []int
		}{{1, []int{0, 1}}, {64, []int{0, 8}}, {65, []int{0, 5, 8, 33}}, {200, []int{0, 3, 7}}, {384, []int{0, 32, 96, 128, 160}}} {
			t.Run(fmt.Sprint(kind.d, kind.f, shape), func(t *testing.T) {
				n := len(shape.leaves) - 1
				out, k, size := shape.out, shape.leaves[n], kind.d.Size()
				read := 0
				src := stored{make([]byte, out*k*size), k, size, &read}
				for i := range src.data {
					src.data[i] = byte(rng.Uint32()) & 0x3f // finite in every type
				}
				spec := kernels.WeightSpec{Name: "w", Out: out, K: k, DType: kind.d, Format: kind.f, Leaves: shape.leaves}
				pack := func(spec kernels.WeightSpec, rows kernels.RowReader, pieces ...kernels.Piece) *weight {
					w, err := b.Pack(spec, rows, pieces...)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(w.Free)
					return w.(*weight)
				}
				whole := pack(spec, src)
				for round := range 20 {
					var pieces []kernels.Piece
					lacking := make([]bool, out*k)
					for i := range lacking {
						lacking[i] = true
					}
					for range rng.IntN(4) {
						rows, leaves := between(rng, out), between(rng, n)
						from := kernels.Piece{From: whole, Rows: rows, Leaves: leaves, Row: rows.Lo, Leaf: leaves.Lo}
						if rng.IntN(2) == 0 && !rows.Empty() && !leaves.Empty() {
							part := spec
							part.Out, part.K, part.Leaves = rows.Len(), shape.leaves[leaves.Hi]-shape.leaves[leaves.Lo], nil
							for _, l := range shape.leaves[leaves.Lo : leaves.Hi+1] {
								part.Leaves = append(part.Leaves, l-shape.leaves[leaves.Lo])
							}
							p, err := b.FromPacked(part, b.Extract(whole, rows, leaves))
							if err != nil {
								t.Fatal(err)
							}
							from.From, from.Rows, from.Leaves = p, tree.Range{Hi: rows.Len()}, tree.Range{Hi: leaves.Len()}
						}
						pieces = append(pieces, from)
						for r := rows.Lo; r < rows.Hi; r++ {
							for c := shape.leaves[leaves.Lo]; c < shape.leaves[leaves.Hi]; c++ {
								lacking[r*k+c] = false
							}
						}
					}
					read = 0
					w := pack(spec, src, pieces...)
					if !bytes.Equal(w.mem.data[:w.Bytes()], whole.mem.data[:whole.Bytes()]) {
						t.Fatalf("round %d: %v: other bytes", round, pieces)
					}
					want := 0
					for _, l := range lacking {
						if l {
							want += size
						}
					}
					if read != want {
						t.Fatalf("round %d: read %d bytes, %d lack", round, read, want)
					}
				}
				if _, err := b.FromPacked(spec, make([]byte, whole.Bytes()-1)); err == nil {
					t.Error("too few bytes were taken")
				}
			})
		}
	}
}

// between is a range of [0, n), sometimes empty.
func between(rng *rand.Rand, n int) tree.Range {
	ends := []int{rng.IntN(n + 1), rng.IntN(n + 1)}
	slices.Sort(ends)
	return tree.Range{Lo: ends[0], Hi: ends[1]}
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
					part, err := be.FromPacked(one, be.Extract(w, tree.Range{Lo: i * rows, Hi: (i + 1) * rows}, tree.Range{Hi: 1}))
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
