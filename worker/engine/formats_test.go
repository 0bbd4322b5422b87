package engine_test

import (
	"fmt"
	"testing"

	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/gguf"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/synth"
)

// bits is the fingerprint of a sequence on a model, and checks that it is the same
// on other numbers of ranks, even and uneven.
func bits(t *testing.T, ckpt *checkpoint.Checkpoint, prompt []int32, shares ...[]float64) uint64 {
	t.Helper()
	var first uint64
	for i, caps := range append([][]float64{{1}}, shares...) {
		q := newSeq(1, prompt, greedy)
		start(t, ckpt, "", caps...).generate(q, []int{1000, 3, 17}[i%3], 8)
		if i == 0 {
			first = q.fingerprint()
		} else if q.fingerprint() != first {
			t.Errorf("capacities %v: other bits than one rank", caps)
		}
	}
	return first
}

// TestGGUFSameBits: a golden model as a GGUF file, its values kept, gives the bits
// of its folder, on any number of ranks.
func TestGGUFSameBits(t *testing.T) {
	for _, m := range modeltest.Golden(t) {
		t.Run(m.Name, func(t *testing.T) {
			folder := modeltest.Open(t, m.Dir)
			if s := folder.Spec(); s.Architecture == "Qwen2ForCausalLM" && s.Layers[len(s.Layers)-1].Window > 0 {
				t.Skip("GGUF has no place for Qwen's window")
			}
			d := folder.Spec().DType.String()
			typ := map[string]gguf.Type{"F32": gguf.F32, "F16": gguf.F16, "BF16": gguf.BF16}[d]
			file := modeltest.Open(t, modeltest.GGUF(t, m.Dir, func(string) gguf.Type { return typ }))
			prompt := m.Cases[len(m.Cases)-1].Prompt
			prompt = prompt[:min(len(prompt), 70)] // past the golden windows
			if got, want := bits(t, file, prompt, []float64{5, 1, 2}), bits(t, folder, prompt); got != want {
				t.Errorf("other bits than the safetensors folder; config of the file:\n%s", file.Config())
			}
		})
	}
}

// TestGGUFTypes: quantized files of every type give the bits of a folder that has
// their values in float32, on any number of ranks.
func TestGGUFTypes(t *testing.T) {
	base := modeltest.Tiny(t, synth.Options{Layers: 2, Hidden: 256, Heads: 4, KVHeads: 2, HeadDim: 64, FFN: 512, Vocab: 300, Tied: true})
	prompt := []int32{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}
	for typ := range modeltest.GGMLTypes {
		t.Run(fmt.Sprint(typ), func(t *testing.T) {
			path := modeltest.GGUF(t, base, func(string) gguf.Type { return typ })
			file, plain := modeltest.Open(t, path), modeltest.Open(t, modeltest.Plain(t, path))
			if got, want := bits(t, file, prompt, []float64{1, 1, 1}, []float64{1, 3}), bits(t, plain, prompt); got != want {
				t.Error("other bits than the same values in float32")
			}
		})
	}
}

// TestQuantizedFolders: folders of every quantization give the bits of one that has
// their values in float32, on any number of ranks, with assembly and without.
func TestQuantizedFolders(t *testing.T) {
	base := modeltest.Tiny(t, synth.Options{Layers: 2, Hidden: 128, Heads: 4, KVHeads: 2, HeadDim: 32, FFN: 320, Vocab: 300})
	prompt := []int32{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}
	for _, s := range modeltest.Schemes {
		t.Run(s.Name, func(t *testing.T) {
			quantized, plain := modeltest.Quantized(t, base, s)
			folder := modeltest.Open(t, quantized)
			if got, want := bits(t, folder, prompt, []float64{1, 1, 1}, []float64{1, 3}), bits(t, modeltest.Open(t, plain), prompt); got != want {
				t.Error("other bits than the same values in float32")
			}
		})
	}
}
