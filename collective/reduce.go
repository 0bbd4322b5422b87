package collective

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"github.com/sullae/sullae/collective/allreduce"
)

// AllReduce implements Communicator. A wrong argument (shares that do not cover
// the leaves, a part of another length) is an error that ends the epoch too, for
// the other ranks wait for this one.
func (g *Group) AllReduce(ctx context.Context, tag Tag, s Summands, dst []float32) error {
	end, err := g.begin(ctx, tag)
	if err != nil {
		return err
	}
	defer end()
	t0 := time.Now()
	plan, err := g.plan(s, len(dst))
	if err != nil {
		return g.fail(g.errorf("%s: %w", tag, err))
	}
	out := dst
	if overlaps(dst, s.Parts) {
		if cap(g.shadow) < len(dst) {
			g.shadow = make([]float32, len(dst))
		}
		out = g.shadow[:len(dst)]
	}
	r := newReduction(g, tag, plan, s.Parts, out)
	defer r.release()
	if err := r.run(); err != nil {
		return err
	}
	if len(dst) > 0 && &out[0] != &dst[0] {
		copy(dst, out)
	}
	g.finished(&g.stats.AllReduces, t0)
	return nil
}

// plan finds or makes the plan of a sum.
func (g *Group) plan(s Summands, n int) (allreduce.Plan, error) {
	var split *allreduce.Split
	for _, sp := range g.splits {
		if sp.Same(s.Leaves, s.Shares) {
			split = sp
		}
	}
	if split == nil {
		if len(s.Shares) != g.cfg.WorldSize {
			return allreduce.Plan{}, fmt.Errorf("%d shares for %d ranks", len(s.Shares), g.cfg.WorldSize)
		}
		var err error
		if split, err = allreduce.NewSplit(s.Leaves, s.Shares); err != nil {
			return allreduce.Plan{}, err
		}
		if len(g.splits) == 8 { // attention and MLP take two
			g.splits = g.splits[1:]
		}
		g.splits = append(g.splits, split)
	}
	if want := len(split.Nodes[g.cfg.Rank]); len(s.Parts) != want {
		return allreduce.Plan{}, fmt.Errorf("%d parts where the share %v of %d leaves has %d subtrees",
			len(s.Parts), s.Shares[g.cfg.Rank], s.Leaves, want)
	}
	for i, p := range s.Parts {
		if len(p) != n {
			return allreduce.Plan{}, fmt.Errorf("part %d has %d elements, the result %d", i, len(p), n)
		}
	}
	return split.Plan(n, g.cfg.options()), nil
}

func overlaps(dst []float32, parts [][]float32) bool {
	at := func(s []float32) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(s))) }
	for _, p := range parts {
		if len(dst) > 0 && at(p) < at(dst)+4*uintptr(len(dst)) && at(dst) < at(p)+4*uintptr(len(p)) {
			return true
		}
	}
	return false
}
