package engine_test

import (
	"context"
	"sync/atomic"
	"testing"

	memlink "github.com/sullae/sullae/collective/link/mem"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
)

// TestReshard: a rank whose share changes reads what it lacks and nothing else,
// and computes the same bits as one that read everything.
func TestReshard(t *testing.T) {
	for _, name := range []string{"exaone3-12h3kv-bf16", "exaone35-12h3kv-f32-tied", "tiny-qwen2-12h3kv-bf16-win8", "tiny-phi3-longrope-4h2kv-bf16"} {
		t.Run(name, func(t *testing.T) {
			ckpt := modeltest.Open(t, modeltest.Dir(t, name))
			prompt := []int32{3, 1, 4, 1, 5, 9, 2, 6}
			fresh := start(t, ckpt, "", 1)
			want := newSeq(1, prompt, greedy)
			fresh.generate(want, 100, 8)

			var olds []*engine.Model
			var before plan.Plan
			for _, caps := range [][]float64{{1, 1, 1}, {1, 1}, {1, 1, 1, 1}, {3, 1}, {1}, {1, 2}} {
				p, err := plan.Make(plan.UnitsOf(ckpt.Spec()), caps)
				if err != nil {
					t.Fatal(err)
				}
				c := &cluster{t: t, groups: len(ckpt.Spec().KVGroups().Windows)}
				var models []*engine.Model
				for r, comm := range memlink.NewGroup(len(caps)) {
					b, err := cpu.New(cpu.Config{Threads: 2})
					if err != nil {
						t.Fatal(err)
					}
					var old *engine.Model
					lacking := plan.WeightBytes(ckpt.Spec(), p, r, checkpoint.Types(ckpt))
					if r < len(olds) {
						old = olds[r]
						lacking = missing(ckpt, before, p, r)
						olds[r] = nil
					}
					src := &counting{Source: ckpt}
					m, err := engine.Load(t.Context(), engine.LoadConfig{Backend: b, Spec: ckpt.Spec(), Plan: p, Rank: r, Source: src, Old: old})
					if err != nil {
						t.Fatal(err)
					}
					if src.bytes > lacking || m.BytesRead() != src.bytes {
						t.Errorf("%v rank %d: read %d bytes (says %d), lacks %d of %d", caps, r, src.bytes, m.BytesRead(), lacking, m.Bytes())
					}
					e, err := engine.New(engine.Config{Model: m, Backend: b, Comm: comm, Epoch: 1, Blocks: testBlocks, BlockSize: testBlockSize})
					if err != nil {
						t.Fatal(err)
					}
					c.engines = append(c.engines, e)
					models = append(models, m)
					defer func() { comm.Close(); e.Close(); b.Close() }()
				}
				q := newSeq(1, prompt, greedy)
				c.generate(q, 100, 8)
				if q.fingerprint() != want.fingerprint() {
					t.Errorf("%v: other bits than a fresh rank", caps)
				}
				for _, m := range olds {
					if m != nil {
						m.Free()
					}
				}
				olds, before = models, p
			}
			for _, m := range olds {
				m.Free()
			}
		})
	}
}

// missing is how many bytes rank r lacks of its share of p if it has that of
// before; norms are read anew.
func missing(ckpt *checkpoint.Checkpoint, before, p plan.Plan, r int) int64 {
	var n int64
	for _, w := range ckpt.Spec().Weights() {
		info, _ := ckpt.Info(w.Ref.Name)
		now, had := p.Slice(ckpt.Spec(), r, w.Role), before.Slice(ckpt.Spec(), r, w.Role)
		size := int64(info.DType.Size())
		all := int64(now.Rows.Len()) * int64(now.Cols.Len()) * size
		if w.Ref.Cols > 0 {
			all -= int64(common(now.Rows, had.Rows)) * int64(common(now.Cols, had.Cols)) * size
		}
		n += all
	}
	return n
}

func common(a, b tree.Range) int { return max(0, min(a.Hi, b.Hi)-max(a.Lo, b.Lo)) }

// counting counts what is read.
type counting struct {
	checkpoint.Source
	bytes int64
}

func (c *counting) ReadRegion(ctx context.Context, dst []byte, name string, row, rows, col, cols int) error {
	atomic.AddInt64(&c.bytes, int64(len(dst)))
	return c.Source.ReadRegion(ctx, dst, name, row, rows, col, cols)
}
