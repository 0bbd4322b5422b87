package measure

import (
	"os"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/shard/synth"
)

// TestModel: every figure asked for is there and is of a size that can be.
func TestModel(t *testing.T) {
	for _, o := range []synth.Options{
		{Preset: "tiny"},
		{Preset: "gemma-2-9b", Layers: 2, Hidden: 64, Heads: 4, KVHeads: 2, FFN: 160, Vocab: 512, MaxPositions: 8192},
	} {
		t.Run(o.Preset, func(t *testing.T) { testModel(t, o) })
	}
}

func testModel(t *testing.T, o synth.Options) {
	src, err := synth.NewSource(o)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	rep, err := Model(t.Context(), ModelConfig{
		Spec: src.Spec(), Source: src, Formats: []kernels.Format{kernels.AsStored, kernels.Q8, kernels.Q4},
		Backend: cpu.Config{Threads: 2}, Prompt: 40, Decode: 3, Context: 20, Batches: []int{1, 3}, Repeat: 2,
		OnResult: func(ModelResult) { told++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Results) != 9 || told != 9 || rep.Threads != 2 || len(rep.Weights) != 3 {
		t.Fatalf("%+v", rep)
	}
	for _, r := range rep.Results {
		if !(r.TokensPerSecond > 0) || r.BestTokensPerSecond < r.TokensPerSecond || !(r.Read > 0) || !(r.Compute > 0) || !(r.Limits.Read > 0) {
			t.Errorf("%+v", r)
		}
	}
	if !(rep.Weights["q4"] < rep.Weights["q8"] && rep.Weights["q8"] < 2*rep.Weights["none"]) {
		t.Errorf("weights: %v", rep.Weights)
	}
}

// BenchmarkModel is for profiles: SULLAE_BENCH_QUANT names the format.
func BenchmarkModel(b *testing.B) {
	f, err := kernels.ParseFormat(os.Getenv("SULLAE_BENCH_QUANT"))
	if err != nil {
		b.Fatal(err)
	}
	src, err := synth.NewSource(synth.Options{Preset: "exaone-1b", Layers: 2})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, err := Model(b.Context(), ModelConfig{
			Spec: src.Spec(), Source: src, Formats: []kernels.Format{f},
			Prompt: 512, Decode: 200, Context: 128, Batches: []int{32}, Repeat: 1,
			OnResult: func(r ModelResult) { b.Logf("%+v", r) },
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
