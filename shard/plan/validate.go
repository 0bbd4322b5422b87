package plan

import (
	"fmt"

	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/model"
)

// Validate reports whether a plan, perhaps from another process, is whole:
// every head, MLP leaf and vocabulary block in exactly one share, in rank
// order, and a head for every rank.
func (p Plan) Validate() error {
	if err := p.Units.validate(); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if n := len(p.Shares); n < 1 || n > p.Units.Heads {
		return fmt.Errorf("plan: %d ranks for %d query heads", n, p.Units.Heads)
	}
	var at Share // its Hi are where the next share must begin
	next := func(rank int, what string, got tree.Range, at *tree.Range, n, least int) error {
		if got.Lo != at.Hi || got.Hi < got.Lo+least || got.Hi > n {
			return fmt.Errorf("plan: rank %d: %s [%d, %d) after %d of %d", rank, what, got.Lo, got.Hi, at.Hi, n)
		}
		if rank == len(p.Shares)-1 && got.Hi != n {
			return fmt.Errorf("plan: %s [%d, %d) belong to no rank", what, got.Hi, n)
		}
		*at = got
		return nil
	}
	for rank, s := range p.Shares {
		if err := next(rank, "query heads", s.Heads, &at.Heads, p.Units.Heads, 1); err != nil {
			return err
		}
		if err := next(rank, "MLP leaves", s.MLP, &at.MLP, p.Units.MLPLeaves(), 0); err != nil {
			return err
		}
		if err := next(rank, "vocabulary blocks", s.Vocab, &at.Vocab, p.Units.VocabLeaves(), 0); err != nil {
			return err
		}
	}
	return nil
}

// Fits reports whether the plan is whole and is one of this model.
func (p Plan) Fits(s *model.Spec) error {
	if want := UnitsOf(s); p.Units != want {
		return fmt.Errorf("plan: cut as %+v, but the model is cut as %+v", p.Units, want)
	}
	return p.Validate()
}

// validate refuses units that no model has.
func (u Units) validate() error {
	const most = 1 << 30
	for _, n := range []int{u.Heads, u.KVHeads, u.FFN, u.MLPUnit, u.Vocab, u.VocabUnit} {
		if n < 1 || n > most {
			return fmt.Errorf("units %+v: every number must be in [1, %d]", u, most)
		}
	}
	if u.Heads%u.KVHeads != 0 {
		return fmt.Errorf("units %+v: the KV heads do not divide the query heads", u)
	}
	return nil
}
