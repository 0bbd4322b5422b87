package engine_test

import (
	"math"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/worker/engine"
)

// TestGoldenNotices: what makes an architecture its own shows in the golden data.
// A Spec with any one member wrong is further from it than the tolerance.
func TestGoldenNotices(t *testing.T) {
	mistakes := map[string]struct {
		applies func(*model.Spec) bool
		make    func(*model.Spec)
	}{
		"window of one more": {
			func(s *model.Spec) bool { return windowed(s) != nil },
			func(s *model.Spec) { windowed(s).Window++ }},
		"no window": {
			func(s *model.Spec) bool { return windowed(s) != nil },
			func(s *model.Spec) { windowed(s).Window = 0 }},
		"window in the other layers": {
			func(s *model.Spec) bool { return windowed(s) != nil && s.Window() == 0 },
			func(s *model.Spec) {
				w := windowed(s).Window
				for i, l := range s.Layers {
					s.Layers[i].Window = w - l.Window
				}
			}},
		"rotating everywhere": {
			func(s *model.Spec) bool { return !s.Layers[len(s.Layers)-1].Rope },
			func(s *model.Spec) { s.Layers[len(s.Layers)-1].Rope = true }},
		"theta":             {always, func(s *model.Spec) { s.Rope.Theta *= 1.5 }},
		"unscaled rotation": {func(s *model.Spec) bool { return s.Rope.Llama3 != nil }, func(s *model.Spec) { s.Rope.Llama3 = nil }},
		"long factors": {
			func(s *model.Spec) bool { return s.Rope.Long != nil },
			func(s *model.Spec) { l := *s.Rope.Long; l.Short = l.Long; s.Rope.Long = &l }},
		"short factors": {
			func(s *model.Spec) bool { return s.Rope.Long != nil },
			func(s *model.Spec) { l := *s.Rope.Long; l.Long = l.Short; s.Rope.Long = &l }},
		"attention factor": {
			func(s *model.Spec) bool { return s.Rope.Long != nil },
			func(s *model.Spec) { l := *s.Rope.Long; l.Attention = 1; s.Rope.Long = &l }},
		"whole heads rotated": {
			func(s *model.Spec) bool { return s.Rope.Dim < s.HeadDim },
			func(s *model.Spec) {
				l := *s.Rope.Long
				l.Short, l.Long = append(l.Short, 1), append(l.Long, 1)
				s.Rope.Long, s.Rope.Dim = &l, s.Rope.Dim+2
			}},
		"gate":              {always, func(s *model.Spec) { s.Activation = model.SiLU + model.GELUTanh - s.Activation }},
		"attention's scale": {always, func(s *model.Spec) { s.AttnScale *= 1.1 }},
		"attention's cap":   {func(s *model.Spec) bool { return s.AttnCap > 0 }, func(s *model.Spec) { s.AttnCap = 0 }},
		"logits' cap":       {func(s *model.Spec) bool { return s.LogitCap > 0 }, func(s *model.Spec) { s.LogitCap = 0 }},
		"norms":             {func(s *model.Spec) bool { return s.NormOffset > 0 }, func(s *model.Spec) { s.NormOffset = 0 }},
		"embeddings":        {func(s *model.Spec) bool { return s.EmbedScale != 1 }, func(s *model.Spec) { s.EmbedScale = 1 }},
	}
	for _, m := range modeltest.Golden(t) {
		if !m.Tiny() {
			continue
		}
		ckpt := modeltest.Open(t, m.Dir)
		for name, mistake := range mistakes {
			if !mistake.applies(ckpt.Spec()) {
				continue
			}
			wrong := *ckpt.Spec()
			wrong.Layers = append([]model.Layer(nil), wrong.Layers...)
			mistake.make(&wrong)
			c := startSpec(t, ckpt, &wrong, "", kernels.AsStored, kernels.KVF32, 1)
			worst := 0.0
			for i, g := range m.Cases {
				q := newSeq(uint64(i+1), g.Prompt, greedy)
				p := c.part(q, len(q.Tokens))
				q.take(c.run(engine.Step{Started: []engine.NewSequence{q.NewSequence}, Sequences: []engine.SequenceStep{p}}).Sequences[0], p)
				for i, want := range append(g.TokenLogprobs, g.GreedyLogprobs[0]) {
					worst = max(worst, math.Abs(float64(append(q.prompt, q.scores...)[i].Logprob)-want))
				}
			}
			if worst < 10*tolerance {
				t.Errorf("%s: %s: off by %g only", m.Name, name, worst)
			}
		}
	}
}

func always(*model.Spec) bool { return true }

// windowed is the first layer with a window, or nil.
func windowed(s *model.Spec) *model.Layer {
	for i := range s.Layers {
		if s.Layers[i].Window > 0 {
			return &s.Layers[i]
		}
	}
	return nil
}
