package modeltest

import (
	"math"
	"slices"
	"testing"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/synth"
)

// TestGolden holds the golden data to its own description, and the embeddings
// read by package checkpoint to the reference's.
func TestGolden(t *testing.T) {
	models := Golden(t)
	if len(models) != 14 && *folder == "" {
		t.Fatalf("%d golden models", len(models))
	}
	for _, m := range models {
		c := Open(t, m.Dir)
		spec := c.Spec()
		if len(m.Cases) == 0 {
			t.Errorf("%s: no cases", m.Name)
		}
		for _, k := range m.Cases {
			if len(k.LastLogits) != spec.Vocab || len(k.Argmax) != len(k.Prompt) || len(k.Greedy) != 32 ||
				len(k.TokenLogprobs) != len(k.Prompt)-1 || len(k.Top10) != 10 {
				t.Errorf("%s: case %s is not whole", m.Name, k.ID)
			}
			if k.Top10[0].ID != k.Argmax[len(k.Argmax)-1] || k.Greedy[0] != k.Top10[0].ID {
				t.Errorf("%s: case %s contradicts itself", m.Name, k.ID)
			}
			if k.Trace == nil {
				continue
			}
			info, err := c.Info(spec.Tensor(model.Embed, 0).Name)
			if err != nil {
				t.Fatal(err)
			}
			raw := make([]byte, spec.Hidden*info.DType.Size())
			last := k.Prompt[len(k.Prompt)-1]
			if err := c.ReadRegion(t.Context(), raw, info.Name, int(last), 1, 0, spec.Hidden); err != nil {
				t.Fatal(err)
			}
			row := make([]float32, spec.Hidden)
			tensor.Widen(row, raw, info.DType)
			for i, want := range k.Trace["embed"] {
				if math.Abs(float64(row[i]*spec.EmbedScale)-want) > 1e-6*math.Abs(want) {
					t.Fatalf("%s: case %s: embedding[%d] is %g, want %g", m.Name, k.ID, i, row[i]*spec.EmbedScale, want)
				}
			}
		}
	}
}

func TestE2E(t *testing.T) {
	dir, cases := E2E(t)
	spec := Open(t, dir).Spec()
	if len(cases) != 10 || !slices.Equal(spec.EOS, []int32{361}) {
		t.Fatalf("%d cases, EOS %v", len(cases), spec.EOS)
	}
	for _, k := range cases {
		if (k.Kind == "chat") != (k.Messages != nil) || len(k.PromptIDs) == 0 || k.Text == "" {
			t.Errorf("case %s is not whole", k.Name)
		}
	}
}

func TestTiny(t *testing.T) {
	c := Open(t, Tiny(t, synth.Options{Layers: 3, Heads: 12, KVHeads: 3, HeadDim: 8, Tied: true}))
	if s := c.Spec(); len(s.Layers) != 3 || s.Heads != 12 || s.KVHeads != 3 || !s.Tied {
		t.Errorf("got %+v", s)
	}
}
