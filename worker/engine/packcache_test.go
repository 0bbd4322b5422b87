package engine_test

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	memlink "github.com/sullae/sullae/collective/link/mem"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/gguf"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/packcache"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/shard/synth"
	"github.com/sullae/sullae/worker/engine"
)

// TestPackCache: shares made of units on disk give the bits of shares that were
// read, whatever number of workers wrote them, read nothing but norms from the
// checkpoint, and survive damage.
func TestPackCache(t *testing.T) {
	golden := modeltest.Dir(t, "exaone35-12h3kv-f32-tied")
	actOrder, _ := modeltest.Quantized(t, modeltest.Tiny(t, synth.Options{Layers: 2, Hidden: 96, Heads: 12, KVHeads: 3, FFN: 160}), modeltest.Schemes[1])
	superblocks := modeltest.GGUF(t, modeltest.Tiny(t, synth.Options{Layers: 1, Hidden: 256, Heads: 12, KVHeads: 3, HeadDim: 64, FFN: 256, Tied: true}), func(name string) gguf.Type {
		return map[bool]gguf.Type{true: gguf.Q4_K, false: gguf.Q6_K}[strings.Contains(name, "c_")]
	})
	for _, c := range []struct {
		name, path string
		format     kernels.Format
	}{{"as stored", golden, kernels.AsStored}, {"q8", golden, kernels.Q8}, {"q4", golden, kernels.Q4},
		{"GPTQ act-order", actOrder, kernels.AsStored}, {"Q4_K and Q6_K", superblocks, kernels.AsStored}} {
		t.Run(c.name, func(t *testing.T) {
			ckpt, format := modeltest.Open(t, c.path), c.format
			dir := t.TempDir()
			cache, err := packcache.Open(dir, 64<<20, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			want := serveShares(t, ckpt, nil, format, []float64{1})
			first := serveShares(t, ckpt, cache, format, []float64{1, 1, 1})
			same(t, first, want)
			if first.cached != 0 {
				t.Errorf("%d bytes came from an empty cache", first.cached)
			}
			norms := norms(ckpt)
			for _, caps := range [][]float64{{1, 1}, {1}, {3, 1}, {1, 1, 1}, {1, 2, 1, 3}} {
				got := serveShares(t, ckpt, cache, format, caps)
				same(t, got, want)
				if lacking := norms * int64(len(caps)); got.read != lacking {
					t.Errorf("%v: read %d bytes, the norms are %d", caps, got.read, lacking)
				}
			}

			// A byte of every tenth unit flips.
			var files []string
			_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
				if strings.HasSuffix(path, ".pack") {
					files = append(files, path)
				}
				return nil
			})
			for i := 0; i < len(files); i += 10 {
				raw, err := os.ReadFile(files[i])
				if err != nil {
					t.Fatal(err)
				}
				raw[len(raw)-len(raw)/4] ^= 1
				if err := os.WriteFile(files[i], raw, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := serveShares(t, ckpt, cache, format, []float64{1, 1})
			same(t, got, want)
			if got.read <= 2*norms {
				t.Error("damaged units were used")
			}
			if got = serveShares(t, ckpt, cache, format, []float64{1}); got.read != norms {
				t.Errorf("after the damage was mended: read %d bytes, the norms are %d", got.read, norms)
			}
		})
	}
}

type served struct {
	tokens       uint64
	read, cached int64
}

func same(t *testing.T, got, want served) {
	t.Helper()
	if got.tokens != want.tokens {
		t.Error("other bits than a share that was read")
	}
}

// serveShares loads a model on len(caps) ranks, generates with it, and stores
// its units if there is a cache.
func serveShares(t *testing.T, ckpt *checkpoint.Checkpoint, cache *packcache.Cache, f kernels.Format, caps []float64) served {
	t.Helper()
	p, err := plan.Make(plan.UnitsOf(ckpt.Spec()), caps)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t}
	var out served
	for r, comm := range memlink.NewGroup(len(caps)) {
		b, err := cpu.New(cpu.Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		src := &counting{Source: ckpt}
		m, err := engine.Load(t.Context(), engine.LoadConfig{Backend: b, Spec: ckpt.Spec(), Plan: p, Rank: r, Source: src,
			Format: f, Cache: cache, CheckpointID: ckpt.ID()})
		if err != nil {
			t.Fatal(err)
		}
		out.read += src.bytes
		out.cached += m.BytesCached()
		if cache != nil {
			if _, err := m.Store(t.Context(), b, cache, ckpt.ID()); err != nil {
				t.Fatal(err)
			}
		}
		e, err := engine.New(engine.Config{Model: m, Backend: b, Comm: comm, Epoch: 1, Blocks: testBlocks, BlockSize: testBlockSize})
		if err != nil {
			t.Fatal(err)
		}
		c.engines = append(c.engines, e)
		defer func() { comm.Close(); e.Close(); m.Free(); b.Close() }()
	}
	q := newSeq(1, []int32{3, 1, 4, 1, 5, 9, 2, 6}, greedy)
	c.generate(q, 100, 8)
	out.tokens = q.fingerprint()
	return out
}

// norms is the size of the vectors, which every rank reads.
func norms(ckpt *checkpoint.Checkpoint) int64 {
	var n int64
	for _, w := range ckpt.Spec().Weights() {
		if w.Ref.Cols == 0 {
			info, _ := ckpt.Info(w.Ref.Name)
			n += int64(w.Ref.Rows * info.DType.Size())
		}
	}
	return n
}
