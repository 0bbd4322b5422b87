package plan

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/model"
)

// TestSlicesReassemble: the ranks' slices of every weight cover each of its
// elements: once where it is cut, in every rank where it is copied.
func TestSlicesReassemble(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, s := range []*model.Spec{
		spec(t, 64, 1, 12, 3, 8, 240, 640, false),
		spec(t, 64, 1, 6, 6, 16, 288, 768, true),
		spec(t, 64, 1, 8, 4, 8, 161, 4618, false),
		spec(t, 64, 1, 8, 1, 8, 1030, 33, false),
	} {
		for ranks := 1; ranks <= s.Heads; ranks++ {
			for try := range 4 {
				caps := ones(ranks)
				for i := range caps {
					if try > 0 {
						caps[i] = 0.05 + rnd.Float64()
					}
				}
				p := mustMake(t, UnitsOf(s), caps)
				for _, w := range s.Weights() {
					checkCover(t, s, p, w)
				}
			}
		}
	}
}

func checkCover(t *testing.T, s *model.Spec, p Plan, w model.Weight) {
	t.Helper()
	rows, cols := w.Ref.Rows, w.Ref.Cols
	if cols == 0 {
		rows, cols = 1, rows
	}
	// Cuts are along whole rows or whole columns, so counting one column and
	// one row counts all.
	byRow, byCol := make([]int, rows), make([]int, cols)
	for rank := range p.Shares {
		sl := p.Slice(s, rank, w.Role)
		if sl.Rows.Empty() || sl.Cols.Empty() {
			continue
		}
		if sl.Rows.Len() != rows && sl.Cols.Len() != cols {
			t.Fatalf("%v: slice %+v is cut both ways", w.Role, sl)
		}
		for r := sl.Rows.Lo; r < sl.Rows.Hi; r++ {
			byRow[r]++
		}
		for c := sl.Cols.Lo; c < sl.Cols.Hi; c++ {
			byCol[c]++
		}
	}
	once := func(what string, counts []int, copies bool) {
		for i, n := range counts {
			if n < 1 || n > 1 && !copies {
				t.Fatalf("%d ranks: %v: %s %d of %d is in %d slices", p.WorldSize(), w.Role, what, i, len(counts), n)
			}
		}
	}
	switch w.Role {
	case model.O, model.Down:
		once("column", byCol, false)
	case model.K, model.V: // copied where a group is split
		once("row", byRow, true)
	case model.FinalNorm, model.AttnNorm, model.MLPNorm:
		once("column", byCol, true)
		if byCol[0] != p.WorldSize() {
			t.Fatalf("%v is in %d of %d ranks", w.Role, byCol[0], p.WorldSize())
		}
	default:
		once("row", byRow, false)
	}
}

// TestKVRange: every query head of a rank finds its KV head on the rank.
func TestKVRange(t *testing.T) {
	s := spec(t, 64, 1, 12, 3, 8, 240, 640, false)
	for ranks := 1; ranks <= 12; ranks++ {
		p := mustMake(t, UnitsOf(s), ones(ranks))
		for _, share := range p.Shares {
			kv := p.Units.KVRange(share)
			for h := share.Heads.Lo; h < share.Heads.Hi; h++ {
				if g := h / 4; g < kv.Lo || g >= kv.Hi {
					t.Errorf("%d ranks: head %d reads KV head %d, outside %v", ranks, h, g, kv)
				}
			}
		}
	}
}

// TestSizes: the parts of EXAONE 3.0 7.8B, added up by hand.
func TestSizes(t *testing.T) {
	s := exaone30(t)
	const layer = 2*(4096*4096*2+1024*4096*2+3*14336*4096) + 4*2*4096
	const whole int64 = 32*layer + 2*2*102400*4096 + 4*4096
	p := mustMake(t, UnitsOf(s), ones(1))
	if got := WeightBytes(s, p, 0, nil); got != whole {
		t.Errorf("one rank: %d bytes, want %d", got, whole)
	}
	if got := KVBytesPerToken(s, p, 0, kernels.KVF32); got != 32*2*8*128*4 {
		t.Errorf("KV: %d", got)
	}
	const norms = 4 * 4096 * 65
	p = mustMake(t, UnitsOf(s), ones(2))
	if got, want := WeightBytes(s, p, 1, nil), (whole-norms)/2+norms; got != want {
		t.Errorf("half: %d bytes, want %d", got, want)
	}
	p = mustMake(t, UnitsOf(s), ones(32))
	if got := KVBytesPerToken(s, p, 31, kernels.KVF32); got != 32*2*1*128*4 {
		t.Errorf("KV of a copied head: %d", got)
	}
	if got := KVBytesPerToken(s, p, 31, kernels.KVQ8); got != 32*2*1*(128+4) {
		t.Errorf("KV of a copied head in 8 bits: %d", got)
	}
}

func TestTable(t *testing.T) {
	s := exaone30(t)
	table := TableOf(s, mustMake(t, UnitsOf(s), []float64{4, 2, 1}), nil, kernels.KVF32)
	want := strings.TrimLeft(`
  rank  heads  KV heads          FFN    vocabulary    weights  KV / 1,000 tokens
     0   0-18       0-4       0-8511       0-57599   8.61 GiB            156 MiB
     1  19-27       4-6   8512-12543   57600-87999   4.17 GiB          93.75 MiB
     2  28-31         7  12544-14335  88000-102399   1.85 GiB          31.25 MiB
   sum                                              14.63 GiB            281 MiB
`, "\n")
	if got := table.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestPackedBytes: a leaf's last group counts whole, so small heads and FFN
// units pay for what they lack, and ranks hold as much as one would.
func TestPackedBytes(t *testing.T) {
	for _, c := range []struct {
		s         *model.Spec
		o, gate   int64 // groups of one row of the matrix
		downUnits int64
	}{
		{spec(t, 2048, 1, 16, 4, 128, 7168, 4096, false), 64, 64, 224},
		{spec(t, 64, 1, 8, 4, 8, 160, 512, false), 8, 2, 20}, // heads of 8, units of 8
		{spec(t, 64, 1, 8, 4, 40, 48, 512, false), 16, 2, 6}, // heads of 32 + 8
	} {
		s := c.s
		norms, table := int64(3*s.Hidden*4), int64(s.Vocab*s.Hidden*2)
		row := c.gate // groups of a row of Hidden
		qkv := int64((s.Heads+2*s.KVHeads)*s.HeadDim) * row
		groups := qkv + int64(s.Hidden)*(c.o+c.downUnits) + int64(2*s.FFN+s.Vocab)*row
		for f, size := range map[kernels.Format]int64{kernels.Q8: 34, kernels.Q4: 18} {
			if got, want := PackedBytes(s, mustMake(t, UnitsOf(s), ones(1)), 0, nil, f), norms+table+groups*size; got != want {
				t.Errorf("%v, hidden %d: %d bytes, want %d", f, s.Hidden, got, want)
			}
			p, sum := mustMake(t, UnitsOf(s), ones(4)), int64(0)
			for rank := range p.Shares {
				sum += PackedBytes(s, p, rank, nil, f) - norms
			}
			if want := table + groups*size; sum != want {
				t.Errorf("%v, hidden %d: 4 ranks hold %d bytes, want %d", f, s.Hidden, sum, want)
			}
		}
	}
}
