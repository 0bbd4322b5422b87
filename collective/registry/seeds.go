package registry

import "context"

// GossipSeeds yields the coordinators' gossip addresses, at each change, until
// ctx ends. Every node joins gossip through them.
func (r *Registry) GossipSeeds(ctx context.Context) <-chan []string {
	return translate(ctx, r, r.WatchCoordinators(ctx), func(list []Coordinator) ([]string, bool) {
		var addrs []string
		for _, c := range list {
			if c.GossipAddress != "" {
				addrs = append(addrs, c.GossipAddress)
			}
		}
		return addrs, true
	})
}
