package allreduce

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels/tree"
)

// shares cuts leaves at the given places.
func shares(leaves int, cuts ...int) (out []tree.Range) {
	lo := 0
	for _, c := range append(cuts, leaves) {
		out = append(out, tree.Range{Lo: lo, Hi: c})
		lo = c
	}
	return out
}

// symbol runs a program on expressions instead of numbers, so that the order of
// additions is seen and not just felt.
func (p *Program) symbol(names []string) string {
	reg := append(append([]string(nil), names...), make([]string, p.Scratch+1)...)
	for _, s := range p.Steps {
		reg[s.Out] = "(" + reg[s.Left] + "+" + reg[s.Right] + ")"
	}
	if len(p.Steps) == 0 {
		return reg[0]
	}
	return reg[p.Operands]
}

// reference is the expression of the tree over a node, by definition.
func reference(node tree.Range) string {
	if node.Len() == 1 {
		return fmt.Sprint(node.Lo)
	}
	mid := node.Lo + tree.Split(node.Len())
	return "(" + reference(tree.Range{Lo: node.Lo, Hi: mid}) + "+" + reference(tree.Range{Lo: mid, Hi: node.Hi}) + ")"
}

// TestPrograms: for all ways to share up to 9 leaves among 3 ranks, the program
// adds exactly as the tree does.
func TestPrograms(t *testing.T) {
	for leaves := 1; leaves <= 9; leaves++ {
		for a := 0; a <= leaves; a++ {
			for b := a; b <= leaves; b++ {
				s, err := NewSplit(leaves, shares(leaves, a, b))
				if err != nil {
					t.Fatal(err)
				}
				var names []string
				for _, nodes := range s.Nodes {
					for _, n := range nodes {
						names = append(names, reference(n))
					}
				}
				if got, want := s.symbol(names), reference(tree.Range{Lo: 0, Hi: leaves}); got != want {
					t.Fatalf("%d leaves cut at %d, %d: %s, want %s", leaves, a, b, got, want)
				}
			}
		}
	}
}

// TestRanksInAnyOrder: shares need not ascend with the ranks.
func TestRanksInAnyOrder(t *testing.T) {
	s, err := NewSplit(5, []tree.Range{{Lo: 3, Hi: 5}, {Lo: 9, Hi: 9}, {Lo: 0, Hi: 3}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.symbol([]string{"3", "4", "(0+1)", "2"}); got != "(((0+1)+(2+3))+4)" {
		t.Error(got)
	}
}

func TestBadShares(t *testing.T) {
	for _, s := range [][]tree.Range{
		nil, {{Lo: 0, Hi: 3}}, {{Lo: 0, Hi: 5}}, {{Lo: 0, Hi: 3}, {Lo: 2, Hi: 4}},
		{{Lo: 0, Hi: 2}, {Lo: 3, Hi: 4}}, {{Lo: -1, Hi: 4}}, {{Lo: 0, Hi: 4}, {Lo: 0, Hi: 4}}, {{}, {}},
		{{Lo: 0, Hi: 2}, {Lo: 0, Hi: 2}},
	} {
		if _, err := NewSplit(4, s); err == nil || !strings.HasPrefix(err.Error(), "allreduce: ") {
			t.Errorf("%v: %v", s, err)
		}
	}
	if _, err := NewSplit(0, shares(0)); err == nil {
		t.Error("no leaves are no error")
	}
}

// TestChunks: the slices cover every element once, and so do their chunks, which
// fit into frames.
func TestChunks(t *testing.T) {
	for _, world := range []int{1, 2, 3, 7} {
		for _, n := range []int{0, 1, 15, 16, 17, 100, 1000, 65536} {
			for _, table := range []Table{OneHop, TwoHops} {
				s, _ := NewSplit(world, shares(world, ints(world)...))
				p := s.Plan(n, Options{Table: table, ChunkBytes: 256})
				next := 0
				for r := range world {
					sl := p.Slice(r)
					if p.Hops == 2 && sl.Lo != next || p.Hops == 1 && sl != (Span{0, n}) {
						t.Fatalf("%d ranks, %d elements: rank %d has %v", world, n, r, sl)
					}
					next = sl.Hi
					at := sl.Lo
					for i := range p.Chunks(sl) {
						c := p.Chunk(sl, i)
						if c.Lo != at || c.Len() < 0 || 4*c.Len() > 256 {
							t.Fatalf("chunk %d of %v is %v", i, sl, c)
						}
						at = c.Hi
					}
					if at != sl.Hi {
						t.Fatalf("the chunks of %v end at %d", sl, at)
					}
				}
				if next != n {
					t.Fatalf("the slices of %d end at %d", n, next)
				}
			}
		}
	}
}

func ints(n int) (out []int) {
	for i := 1; i < n; i++ {
		out = append(out, i)
	}
	return out
}

func TestTable(t *testing.T) {
	table := Table{{2, 1000}, {4, 100}}
	for _, c := range []struct{ world, bytes, want int }{
		{1, 1 << 30, 1}, {2, 1000, 1}, {2, 1001, 2}, {3, 1001, 2}, {4, 100, 1}, {4, 101, 2}, {8, 101, 2},
	} {
		if got := table.Hops(c.world, c.bytes); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	s, _ := NewSplit(8, shares(8, 4))
	one, two := s.Plan(64, Options{Table: OneHop}), s.Plan(64, Options{Table: TwoHops})
	if one.Layout == two.Layout || one.Layout == s.Plan(64, Options{Table: OneHop, ChunkBytes: 64}).Layout {
		t.Error("plans that differ look alike")
	}
}

// TestPieces adds and copies out of pieces cut at every place, at every offset of
// the buffer, so that floats straddle and lie unaligned.
func TestPieces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const n = 21
	values, left := make([]float32, n), make([]float32, n)
	for i := range values {
		values[i], left[i] = rng.Float32(), rng.Float32()
	}
	var s Summer
	p := Program{Operands: 2, Steps: []Step{{Out: 2, Left: 0, Right: 1}}}
	for skip := range 9 {
		wire := make([]byte, skip+4*n)
		PutFloats(wire[skip:], values)
		for i, v := range values {
			if binary.LittleEndian.Uint32(wire[skip+4*i:]) != math.Float32bits(v) {
				t.Fatal("the wire is not little-endian")
			}
		}
		for size := 1; size <= len(wire); size++ {
			var pieces [][]byte
			for b := wire; len(b) > 0; {
				k := min(len(b), 1+rng.IntN(size))
				pieces, b = append(pieces, b[:k]), b[k:]
				if rng.IntN(4) == 0 {
					pieces = append(pieces, nil)
				}
			}
			dst := make([]float32, n)
			s.Run(&p, dst, []Operand{{Floats: left}, {Pieces: pieces, Skip: skip}})
			for i := range dst {
				if dst[i] != left[i]+values[i] {
					t.Fatalf("skip %d size %d: element %d", skip, size, i)
				}
			}
			s.Run(&p, dst, []Operand{{Pieces: pieces, Skip: skip}, {Pieces: pieces, Skip: skip}})
			for i := range dst {
				if dst[i] != values[i]+values[i] {
					t.Fatalf("skip %d size %d: element %d doubled", skip, size, i)
				}
			}
		}
	}
}

func TestAddGo(t *testing.T) {
	for n := range 40 {
		a, b, dst := make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range a {
			a[i], b[i] = float32(i)/3, float32(i*i)/7
		}
		AddGo(dst, a, b)
		for i := range a {
			if dst[i] != a[i]+b[i] {
				t.Fatal(n, i)
			}
		}
		AddGo(a, a, b)
		for i := range a {
			if a[i] != dst[i] {
				t.Fatal(n, i)
			}
		}
	}
}

func BenchmarkAddGo(b *testing.B) {
	x, y := make([]float32, 65536), make([]float32, 65536)
	b.SetBytes(4 * 65536)
	for b.Loop() {
		AddGo(x, x, y)
	}
}
