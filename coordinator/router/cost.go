package router

import (
	"cmp"
	"slices"

	"github.com/sullae/sullae/coordinator/group"
)

// sequenceCost is what a sequence that runs or waits delays a newcomer by, in
// tokens of a prompt: a row in each of the steps that the prompt takes, and a place
// of --max-seqs.
const sequenceCost = 16

// cost estimates what a group has to compute before a prompt's first token, in
// tokens: what waits before it, and what of the prompt is not in its cache. A
// prompt that went there lately is there, or is being computed.
func cost(l group.Load, prompt, cached int) int {
	return l.WaitingTokens + sequenceCost*(l.Running+l.Waiting) + prompt - cached
}

// rank orders the groups for a prompt: those that serve by cost, then the others,
// where it would wait.
func (r *Router) rank(prompt []int32, hash uint64) []int {
	r.mu.Lock()
	recent, known := r.recent[hash]
	r.turn++
	turn := r.turn
	r.mu.Unlock()
	n := len(r.groups)
	costs, order := make([]int, n), make([]int, n)
	serving := make([]bool, n)
	for k := range n {
		i := (turn + k) % n
		order[k] = i
		g := r.groups[i]
		cached := g.Cached(prompt)
		if known && recent == i {
			cached = len(prompt)
		}
		costs[i], serving[i] = cost(g.Load(), len(prompt), cached), g.Ready() == nil
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if serving[a] != serving[b] {
			if serving[a] {
				return -1
			}
			return 1
		}
		return cmp.Compare(costs[a], costs[b])
	})
	return order
}

func (r *Router) remember(hash uint64, group int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.recent[hash]; !ok {
		r.order = append(r.order, hash)
		if len(r.order) > remembered {
			delete(r.recent, r.order[0])
			r.order = r.order[1:]
		}
	}
	r.recent[hash] = group
}
