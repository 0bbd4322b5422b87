// Package colltest is the one suite that every kind of communicator must pass,
// and the tools for writing more: sums whose right answer is known bit for bit,
// and groups whose ranks run side by side.
package colltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/kernels/tree"
)

// Sum is a tree sum with its right answer.
type Sum struct {
	Leaves int
	Shares []tree.Range
	Want   []float32
	leaves [][]float32
}

// NewSum makes leaves of n elements whose magnitudes differ so much that any
// other order of additions would show.
func NewSum(rng *rand.Rand, leaves, n int, shares []tree.Range) *Sum {
	s := &Sum{Leaves: leaves, Shares: shares}
	for range leaves {
		v := make([]float32, n)
		for i := range v {
			// Any sign and mantissa, exponents from -12 to 19.
			x := rng.Uint32()
			v[i] = math.Float32frombits(x&0x807fffff | (115+x>>23&31)<<23)
		}
		s.leaves = append(s.leaves, v)
	}
	s.Want = s.fold(tree.Range{Lo: 0, Hi: leaves})
	return s
}

// fold sums the leaves of a subtree in one place: the reference.
func (s *Sum) fold(node tree.Range) []float32 {
	at := map[int][]float32{}
	tree.Fold(node, func(r tree.Range) bool {
		if r.Len() > 1 {
			return false
		}
		at[r.Lo] = append([]float32(nil), s.leaves[r.Lo]...)
		return true
	}, func(l, r tree.Range) {
		for i, v := range at[r.Lo] {
			at[l.Lo][i] += v
		}
	})
	return at[node.Lo]
}

// Summands are rank's parts, fresh ones at each call.
func (s *Sum) Summands(rank int) collective.Summands {
	out := collective.Summands{Leaves: s.Leaves, Shares: s.Shares}
	for _, node := range tree.Maximal(s.Leaves, s.Shares[rank]) {
		out.Parts = append(out.Parts, s.fold(node))
	}
	return out
}

// Check compares a result with the right one, bit for bit.
func (s *Sum) Check(got []float32) error {
	if len(got) != len(s.Want) {
		return fmt.Errorf("%d elements, want %d", len(got), len(s.Want))
	}
	for i, w := range s.Want {
		if math.Float32bits(got[i]) != math.Float32bits(w) {
			return fmt.Errorf("element %d of %d is %v (%#x), want %v (%#x)", i, len(got),
				got[i], math.Float32bits(got[i]), w, math.Float32bits(w))
		}
	}
	return nil
}

// Shares spreads leaves over n ranks at random, uneven and often empty.
func Shares(rng *rand.Rand, leaves, n int) []tree.Range {
	cuts := make([]int, n+1)
	for i := 1; i < n; i++ {
		cuts[i] = rng.IntN(leaves + 1)
	}
	cuts[n] = leaves
	for i := range cuts { // insertion sort: a handful
		for j := i; j > 0 && cuts[j] < cuts[j-1]; j-- {
			cuts[j], cuts[j-1] = cuts[j-1], cuts[j]
		}
	}
	out := make([]tree.Range, n)
	for i := range out {
		out[i] = tree.Range{Lo: cuts[i], Hi: cuts[i+1]}
	}
	return out
}

// EvenShares spreads leaves over n ranks as evenly as they go.
func EvenShares(leaves, n int) []tree.Range {
	out := make([]tree.Range, n)
	for i := range out {
		out[i] = tree.Range{Lo: leaves * i / n, Hi: leaves * (i + 1) / n}
	}
	return out
}

// Each runs do for every rank side by side and returns their errors.
func Each[C any](comms []C, do func(rank int, c C) error) []error {
	errs := make([]error, len(comms))
	var wg sync.WaitGroup
	for r, c := range comms {
		wg.Go(func() { errs[r] = do(r, c) })
	}
	wg.Wait()
	return errs
}
