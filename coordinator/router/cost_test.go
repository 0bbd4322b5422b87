package router

import (
	"testing"

	"github.com/sullae/sullae/coordinator/group"
)

// TestCost: the cache counts for as much as it spares, and no more.
func TestCost(t *testing.T) {
	idle, busy := group.Load{}, group.Load{Running: 8, Waiting: 2, WaitingTokens: 500}
	for _, c := range []struct {
		name               string
		prompt             int
		cachedIdle, cached int
		busy               bool
	}{
		{"nothing cached: the idle one", 100, 0, 0, false},
		{"a little cached: still the idle one", 1000, 0, 300, false},
		{"much cached: worth the queue", 2000, 0, 1900, true},
		{"as much cached on both: the idle one", 2000, 1900, 1900, false},
	} {
		if got := cost(busy, c.prompt, c.cached) < cost(idle, c.prompt, c.cachedIdle); got != c.busy {
			t.Errorf("%s: the busy one is chosen: %v", c.name, got)
		}
	}
}

// TestRemembered: the memory of prompts is bounded, and the latest are kept.
func TestRemembered(t *testing.T) {
	r := New()
	for i := range uint64(3 * remembered) {
		r.remember(i, 1)
	}
	if len(r.recent) != remembered || len(r.order) != remembered {
		t.Errorf("%d prompts are remembered, in %d places", len(r.recent), len(r.order))
	}
	if _, ok := r.recent[3*remembered-1]; !ok {
		t.Error("the latest is forgotten")
	}
}
