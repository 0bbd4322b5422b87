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
				g := caseOf(t, m, 16)
				var want uint64
				for i, caps := range [][]float64{{1}, {1, 1}, {1, 1, 1}, {1, 1, 1, 1}, {1, 3}, {5, 1, 2}, {1}} {
					if len(caps) > ckpt.Spec().Heads {
						continue
					}
					variant := ""
					if i == 6 {
						variant = "portable"
					}
					c := startAs(t, ckpt, variant, format, kernels.KVF32, caps...)
					q := newSeq(1, g.Prompt, greedy)
					c.generate(q, []int{1000, 3, 17}[i%3], 8)
					if i == 0 {
						want = q.fingerprint()
						near(t, map[kernels.Format]float64{kernels.Q8: 0.3, kernels.Q4: 2}[format], g, q)
					} else if q.fingerprint() != want {
						t.Errorf("capacities %v, variant %q: other bits than one rank", caps, variant)
					}
				}
			})
		}
	}
}

// TestKVTypes: so has one whose keys and values are kept in fewer bits.
func TestKVTypes(t *testing.T) {
	for _, m := range modeltest.Golden(t) {
		for kv, limit := range map[kernels.KVType]float64{kernels.KVF16: 0.006, kernels.KVBF16: 0.05, kernels.KVQ8: 0.1} {
			t.Run(fmt.Sprint(m.Name, "/", kv), func(t *testing.T) {
				ckpt := modeltest.Open(t, m.Dir)
				g := caseOf(t, m, 16)
				var want uint64
				for i, caps := range [][]float64{{1}, {1, 1, 1}, {1, 3}, {1}} {
					if len(caps) > ckpt.Spec().Heads {
						continue
					}
					variant := ""
					if i == 3 {
						variant = "portable"
					}
					c := startAs(t, ckpt, variant, kernels.AsStored, kv, caps...)
					q := newSeq(1, g.Prompt, greedy)
					c.generate(q, []int{1000, 3, 17}[i%3], 8)
					if i == 0 {
						want = q.fingerprint()
						near(t, limit, g, q)
					} else if q.fingerprint() != want {
						t.Errorf("capacities %v, variant %q: other bits than one rank", caps, variant)
					}
				}
			})
		}
	}
}

// caseOf is the shortest of a golden model's cases that scores n tokens or more.
func caseOf(t *testing.T, m modeltest.Model, n int) modeltest.Case {
	t.Helper()
	var best *modeltest.Case
	for i, c := range m.Cases {
		if len(c.TokenLogprobs) >= n && (best == nil || len(c.TokenLogprobs) < len(best.TokenLogprobs)) {
			best = &m.Cases[i]
		}
	}
	if best == nil {
		t.Fatalf("%s: no case scores %d tokens", m.Name, n)
	}
	return *best
}

// near checks that the prompt's log-probabilities are on average within limit of
// the reference's. Random weights have logits so far apart that a small step moves
// them much; a mistake moves them by their own spread, 3 or more.
func near(t *testing.T, limit float64, g modeltest.Case, q *seq) {
	t.Helper()
	sum := 0.0
	for i, want := range g.TokenLogprobs {
		sum += math.Abs(float64(q.prompt[i].Logprob) - want)
	}
	mean := sum / float64(len(g.TokenLogprobs))
	t.Logf("log-probabilities of %d tokens differ by %.5f on average", len(g.TokenLogprobs), mean)
	if !(mean <= limit) {
		t.Errorf("at most %g was expected", limit)
	}
}
