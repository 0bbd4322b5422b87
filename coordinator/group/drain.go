package group

import (
	"maps"
	"slices"

	"github.com/sullae/sullae/collective/registry"
)

// Drain keeps a worker out of the group from now on, or lets it in again. The
// group forms anew without it, and its requests go on.
func (g *Group) Drain(worker string, out bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if out {
		g.drain[worker] = true
	} else {
		delete(g.drain, worker)
	}
}

// inheritDrained keeps out whom the leader before did.
func (g *Group) inheritDrained(before registry.Generation) {
	if before.Epoch == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.drain)
	for _, id := range before.Drained {
		g.drain[id] = true
	}
}

// Drained are the workers that operators keep out.
func (g *Group) Drained() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.drain))
}

// takeDrained copies what operators have asked for.
func (w *watcher) takeDrained(g *Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(w.drained)
	for id := range g.drain {
		w.drained[id] = true
	}
}
