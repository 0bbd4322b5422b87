//go:build linux && amd64 && !nocuda

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
)

// TestSpread: attention on the tensor cores comes to the same bits whether a warp computes
// all spans of a chunk or a block's warps one each.
func TestSpread(t *testing.T) {
	const dim, positions = 24, 330
	b := open(t, Config{})
	rng := rand.New(rand.NewPCG(9, 10))
	for _, c := range []struct {
		kv     kernels.KVType
		heads  []int // the KV head of each
		window int
		odd    float32
	}{
		{kernels.KVBF16, []int{0, 0, 0, 1, 1}, 0, 0},
		{kernels.KVF16, []int{0, 0, 1}, 130, 0},
		{kernels.KVF16, make([]int, 19), 0, float32(math.Inf(1))},
		{kernels.KVBF16, []int{0, 1}, 70, float32(math.NaN())},
	} {
		t.Run(fmt.Sprint(c.kv, len(c.heads), " heads, window ", c.window, ", ", c.odd), func(t *testing.T) {
			kvHeads := c.heads[len(c.heads)-1] + 1
			kv, err := b.NewKV(kernels.KVConfig{Layers: 1, Blocks: positions/16 + 1, BlockSize: 16, KVHeads: kvHeads, HeadDim: dim, Type: c.kv})
			if err != nil {
				t.Fatal(err)
			}
			defer kv.Free()
			buffer := func(n int, v []float32) kernels.Buffer { return uploaded(t, b, n, v) }
			values := make([]float32, positions*kvHeads*dim)
			for i := range values {
				values[i] = rng.Float32() - 0.5
			}
			keys := buffer(len(values), values)
			if c.odd != 0 {
				values[260*kvHeads*dim+3] = c.odd // after some rows and before others
			}
			blocks := make([]int32, positions/16+1)
			for i := range blocks {
				blocks[i] = int32(len(blocks) - 1 - i)
			}
			b.WriteKV(kv, 0, keys, buffer(len(values), values), []kernels.SeqRows{{N: positions, Blocks: blocks}})
			seqs := []kernels.SeqRows{{Row: 0, N: 9, Pos: 253, Blocks: blocks}, {Row: 9, N: 1, Pos: 5, Blocks: blocks}, {Row: 10, N: 1, Pos: 329, Blocks: blocks}}
			const rows = 11
			queries := make([]float32, rows*len(c.heads)*dim)
			for i := range queries {
				queries[i] = 4*rng.Float32() - 2
			}
			q, dst := buffer(len(queries), queries), buffer(len(queries), nil)
			var got [2][]float32
			for i := range got {
				b.device.processors = 1000 * i
				b.Attention(dst, q, kv, kernels.AttentionSpec{Heads: len(c.heads), HeadDim: dim, KVHead: c.heads, Scale: 0.5, Window: c.window}, seqs)
				got[i] = make([]float32, len(queries))
				if err := b.Download(got[i], dst); err != nil {
					t.Fatal(err)
				}
			}
			finite := 0
			for i, v := range got[0] {
				if math.Float32bits(v) != math.Float32bits(got[1][i]) && (v == v || got[1][i] == got[1][i]) {
					t.Fatalf("row %d, element %d: %v by a warp, %v spread", i/dim/len(c.heads), i%(dim*len(c.heads)), v, got[1][i])
				}
				if v-v == 0 && v != 0 {
					finite++
				}
			}
			if finite < len(queries)*9/10 || (c.odd != 0) != (finite < len(queries)) {
				t.Errorf("%d of %d elements are finite", finite, len(queries))
			}
		})
	}
}
