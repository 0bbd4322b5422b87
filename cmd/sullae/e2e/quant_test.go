package e2e

import (
	"reflect"
	"slices"
	"syscall"
	"testing"
)

// TestQuantizedThroughUp: the demo model's tokens and log-probabilities with
// quantized weights are the same on 1 and 3 workers, with and without assembly,
// and near those of the stored weights.
func TestQuantizedThroughUp(t *testing.T) {
	ask := func(args ...string) completion {
		p := up(t, args...)
		defer p.stop(syscall.SIGTERM)
		c, err := p.complete(map[string]any{"model": p.model, "prompt": "The capital of Korea is", "max_tokens": 8, "temperature": 0, "logprobs": 3, "ignore_eos": true, "return_token_ids": true})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	stored := ask("--workers", "1")
	for _, quant := range []string{"q8", "q4"} {
		one := ask("--quant", quant, "--workers", "1")
		if three := ask("--quant", quant, "--workers", "3", "--cpu-variant", "portable"); !reflect.DeepEqual(one.Choices[0].Logprobs, three.Choices[0].Logprobs) {
			t.Errorf("%s: 3 workers give other bits than 1", quant)
		}
		if reflect.DeepEqual(one.Choices[0].Logprobs, stored.Choices[0].Logprobs) {
			t.Errorf("%s: the bits of the stored weights", quant)
		}
		if quant == "q8" && !slices.Equal(one.Choices[0].TokenIDs[:1], stored.Choices[0].TokenIDs[:1]) {
			t.Errorf("%s: %v, stored %v", quant, one.Choices[0].TokenIDs, stored.Choices[0].TokenIDs)
		}
	}
}
