//go:build linux && amd64 && !nocuda

package cuda

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// TestFused: ops that are done in one pass leave the bits of each done by itself, in
// every buffer that they write.
func TestFused(t *testing.T) {
	const rows, heads, kvHeads, dim, ffn = 5, 6, 2, 16, 70
	const c = heads * dim
	b := open(t, Config{})
	rng := rand.New(rand.NewPCG(3, 4))
	floats := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = rng.Float32()*4 - 2
		}
		return v
	}
	pack := func(out, k int, f kernels.Format) kernels.Weight {
		raw := make([]byte, 2*out*k)
		for i, v := range floats(out * k) {
			put(raw[2*i:], math.Float32frombits(math.Float32bits(v)&^0xffff), tensor.BF16)
		}
		w, err := b.Pack(kernels.WeightSpec{Name: "w", Out: out, K: k, DType: tensor.BF16, Format: f}, stored{raw, 2 * k})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Free)
		return w
	}
	const half = dim / 2
	table := &kernels.RopeTable{Half: half, Cos: floats(40 * half), Sin: floats(40 * half)}
	pos := []int32{3, 4, 5, 30, 31}
	seqs := []kernels.SeqRows{{Row: 0, N: 3, Pos: 3, Blocks: []int32{2}}, {Row: 3, N: 2, Pos: 30, Blocks: []int32{0, 1}}}
	for _, format := range []kernels.Format{kernels.AsStored, kernels.Q8} {
		for _, kvType := range []kernels.KVType{kernels.KVBF16, kernels.KVQ8} {
			q, k, v := pack(heads*dim, c, format), pack(kvHeads*dim, c, format), pack(kvHeads*dim, c, format)
			gate, up, down := pack(ffn, c, format), pack(ffn, c, format), pack(c, ffn, format)
			in := [][]float32{floats(rows * c), floats(rows * c), floats(c)}
			run := func(between func()) [][]float32 {
				kv, err := b.NewKV(kernels.KVConfig{Layers: 1, Blocks: 3, BlockSize: 16, KVHeads: kvHeads, HeadDim: dim, Type: kvType})
				if err != nil {
					t.Fatal(err)
				}
				defer kv.Free()
				alloc := func(n int, v []float32) kernels.Buffer { return uploaded(t, b, n, v) }
				x, total, norm := alloc(rows*c, in[0]), alloc(rows*c, in[1]), alloc(c, in[2])
				h, qs, attn := alloc(rows*c, nil), alloc(rows*heads*dim, nil), alloc(rows*heads*dim, nil)
				ks, vs := alloc(rows*kvHeads*dim, nil), alloc(rows*kvHeads*dim, nil)
				g, u, d := alloc(rows*ffn, nil), alloc(rows*ffn, nil), alloc(rows*c, nil)
				// Positions before those of the step.
				before := []kernels.SeqRows{{N: 5, Blocks: []int32{2}}, {N: 5, Pos: 15, Blocks: []int32{0, 1}}, {N: 5, Blocks: []int32{0}},
					{N: 5, Pos: 20, Blocks: []int32{0, 1}}, {N: 5, Pos: 25, Blocks: []int32{0, 1}}, {N: 5, Pos: 5, Blocks: []int32{0}}, {N: 5, Pos: 10, Blocks: []int32{0}}}
				for _, s := range before {
					b.WriteKV(kv, 0, total.Slice(0, rows*kvHeads*dim), x.Slice(0, rows*kvHeads*dim), []kernels.SeqRows{s})
				}
				for _, op := range []func(){
					func() { b.Add(x, total) },
					func() { b.RMSNorm(h, x, norm, rows, 1e-5) },
					func() {
						b.MatMuls(h, rows, kernels.Product{Dst: qs, W: q}, kernels.Product{Dst: ks, W: k}, kernels.Product{Dst: vs, W: v})
					},
					func() { b.Rope(qs, heads, dim, pos, table) },
					func() { b.Rope(ks, kvHeads, dim, pos, table) },
					func() { b.WriteKV(kv, 0, ks, vs, seqs) },
					func() {
						b.Attention(attn, qs, kv, kernels.AttentionSpec{Heads: heads, HeadDim: dim, KVHead: []int{0, 0, 0, 1, 1, 1}, Scale: 0.25}, seqs)
					},
					func() { b.MatMuls(attn, rows, kernels.Product{Dst: g, W: gate}, kernels.Product{Dst: u, W: up}) },
					func() { b.SiLUMul(g, g, u) },
					func() { b.MatMul(d, g, down, rows) },
					func() { b.Add(x, d) },
					func() { b.RMSNorm(x, x, norm, rows, 1e-5) },
					func() { b.GELUMul(g, g, u) },
				} {
					op()
					between()
				}
				var out [][]float32
				for _, m := range []kernels.Buffer{x, h, qs, ks, vs, attn, g, u, d} {
					got := make([]float32, m.Len())
					if err := b.Download(got, m); err != nil {
						t.Fatal(err)
					}
					out = append(out, got)
				}
				return out
			}
			fused, alone := run(func() {}), run(b.settle)
			for i := range alone {
				for j := range alone[i] {
					if math.Float32bits(fused[i][j]) != math.Float32bits(alone[i][j]) || alone[i][j] != alone[i][j] {
						t.Fatalf("%v, %v: buffer %d, element %d: %v, alone %v", format, kvType, i, j, fused[i][j], alone[i][j])
					}
				}
			}
		}
	}
}
