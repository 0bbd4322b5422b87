package engine_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/modeltest"
)

// TestQuantized: with quantized weights too a sequence has the same bits on 1, 2,
// 3, 4 ranks, even and uneven, in any chunks, with assembly and without. The
// golden models' heads of 8 and 16 values are shorter than a group, and so are
// their FFN's units.
func TestQuantized(t *testing.T) {
	for _, m := range modeltest.Golden(t) {
		for _, format := range []kernels.Format{kernels.Q8, kernels.Q4} {
			t.Run(fmt.Sprint(m.Name, "/", format), func(t *testing.T) {
				ckpt := modeltest.Open(t, m.Dir)
				g := m.Cases[0]
				var want uint64
				for i, caps := range [][]float64{{1}, {1, 1}, {1, 1, 1}, {1, 1, 1, 1}, {1, 3}, {5, 1, 2}, {1}} {
					variant := ""
					if i == 6 {
						variant = "portable"
					}
					c := startAs(t, ckpt, variant, format, caps...)
					q := newSeq(1, g.Prompt, greedy)
					c.generate(q, []int{1000, 3, 17}[i%3], 8)
					if i == 0 {
						want = q.fingerprint()
						far(t, format, g, q)
					} else if q.fingerprint() != want {
						t.Errorf("capacities %v, variant %q: other bits than one rank", caps, variant)
					}
				}
			})
		}
	}
}

// far checks that quantizing stays as near the reference as its steps are small:
// random weights have no structure that would hide a mistake.
func far(t *testing.T, format kernels.Format, g modeltest.Case, q *seq) {
	t.Helper()
	limit := map[kernels.Format]float64{kernels.Q8: 0.05, kernels.Q4: 0.6}[format]
	for i, want := range g.TokenLogprobs {
		if got := float64(q.prompt[i].Logprob); math.Abs(got-want) > limit {
			t.Errorf("prompt token %d: log-probability %g, reference %g", i+1, got, want)
		}
	}
}
