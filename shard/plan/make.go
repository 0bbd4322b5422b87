package plan

import (
	"fmt"
	"math"

	"github.com/sullae/sullae/kernels/tree"
)

// smallestCapacity is the capacity, as a part of the largest, that smaller ones
// are taken for.
const smallestCapacity = 1e-9

// Make deals a model's units to ranks by capacity: any positive numbers, of
// which only the ratios count, rank r having capacities[r]. There may be 1 to
// u.Heads ranks. Attention, MLP and vocabulary are dealt each for itself, since
// ranks wait for one another after each; the load of a rank's attention is its
// query heads and its KV heads, whose weights are of the same size, so that
// copying a KV head is paid for. See deal for what makes a plan the best.
//
// Equal capacities for a power-of-two number of ranks give the even split along
// the tree wherever the leaves allow it. The same arguments give the same plan,
// on every machine.
func Make(u Units, capacities []float64) (Plan, error) {
	if err := u.validate(); err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	if n := len(capacities); n < 1 || n > u.Heads {
		return Plan{}, fmt.Errorf("plan: %d workers; a model with %d query heads is shared by 1 to %d", n, u.Heads, u.Heads)
	}
	top := 0.0
	for rank, c := range capacities {
		if !(c > 0) || math.IsInf(c, 0) {
			return Plan{}, fmt.Errorf("plan: rank %d: capacity %g; a capacity is a positive number", rank, c)
		}
		top = max(top, c)
	}
	caps := make([]float64, len(capacities))
	for rank, c := range capacities {
		caps[rank] = max(c/top, smallestCapacity)
	}

	kvLen := func(heads tree.Range) int { return u.KVRange(Share{Heads: heads}).Len() }
	heads := deal{
		n: u.Heads, least: 1, caps: caps,
		load:   func(r tree.Range) int { return r.Len() + kvLen(r) },
		copies: kvLen,
	}
	mlp := deal{
		n: u.MLPLeaves(), caps: caps,
		load: func(r tree.Range) int { return u.FFNRange(Share{MLP: r}).Len() },
	}
	vocab := deal{
		n: u.VocabLeaves(), caps: caps,
		load: func(r tree.Range) int { return u.VocabRange(Share{Vocab: r}).Len() },
	}
	h, m, v := heads.cuts(), mlp.cuts(), vocab.cuts()
	p := Plan{Units: u, Shares: make([]Share, len(caps))}
	for r := range p.Shares {
		p.Shares[r] = Share{
			Heads: tree.Range{Lo: h[r], Hi: h[r+1]},
			MLP:   tree.Range{Lo: m[r], Hi: m[r+1]},
			Vocab: tree.Range{Lo: v[r], Hi: v[r+1]},
		}
	}
	return p, nil
}
