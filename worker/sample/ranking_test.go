package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSorted: many tokens, sorted by digits, come in the order of any others, in whatever
// order they were taken.
func TestSorted(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	odd := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), -math.MaxFloat32, math.MaxFloat32, 1e-45, -1e-45}
	for _, ordered := range []bool{true, false} {
		logits := randomLogits(rng, 3*manyTokens, 3)
		for range manyTokens {
			logits[rng.IntN(len(logits))] = odd[rng.IntN(len(odd))]
		}
		var want []candidate
		for i, x := range logits {
			want = append(want, candidate{int32(i), x, x})
		}
		var r ranking
		r.reset(len(logits))
		cut := 0
		if !ordered {
			cut = manyTokens + 5
		}
		r.take(int32(cut), logits[cut:], logits[cut:])
		r.take(0, logits[:cut], logits[:cut])
		slices.SortFunc(want, func(a, b candidate) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		for i, c := range r.sorted() {
			if c.id != want[i].id {
				t.Fatalf("in order %v: place %d is %v, want %v", ordered, i, c, want[i])
			}
		}
	}
}
