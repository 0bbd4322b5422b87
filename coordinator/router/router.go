// Package router spreads requests over groups of workers that serve the same model
// side by side. It implements gateway.Engine over them.
//
// A sequence goes to the serving group where it is estimated to begin first
// (cost). When a group's epoch ends, what it was computing is lost there anyway, so
// its sequences go on in the groups that serve; since all compute the same bits,
// their readers see a pause and nothing else.
package router

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sullae/sullae/collective/digest"
	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/group"
)

// Router implements gateway.Engine. Its groups are added before it is used.
type Router struct {
	groups []*group.Group

	mu     sync.Mutex
	recent map[uint64]int // digest of a prompt -> the group that it went to last
	order  []uint64       // of recent, the oldest first
	turn   int            // which group is asked first, of equals
}

// remembered bounds Router.recent.
const remembered = 512

// New has no groups yet.
func New() *Router { return &Router{recent: map[uint64]int{}} }

// Add adds a group.
func (r *Router) Add(g *group.Group) { r.groups = append(r.groups, g) }

// Groups are all groups, by number.
func (r *Router) Groups() []*group.Group { return r.groups }

// Ready is nil while a group serves, else the first one's reason.
func (r *Router) Ready() error {
	err := r.groups[0].Ready()
	for _, g := range r.groups[1:] {
		if err == nil {
			break
		}
		if g.Ready() == nil {
			err = nil
		}
	}
	return err
}

// Submit implements gateway.Engine. A group that refuses for its load or because
// it does not serve leaves the sequence to the next.
func (r *Router) Submit(ctx context.Context, s gateway.Sequence) (<-chan gateway.Event, error) {
	if len(r.groups) == 1 {
		return r.groups[0].Submit(ctx, s)
	}
	hash := digest.Tokens(digest.Start, s.Prompt...)
	var first error
	for _, i := range r.rank(s.Prompt, hash) {
		events, err := r.groups[i].Submit(ctx, s)
		if err == nil {
			r.remember(hash, i)
			return events, nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, gateway.ErrOverloaded) && !errors.Is(err, gateway.ErrUnavailable) {
			break
		}
	}
	return nil, first
}

// Run drives all groups until ctx ends or one of them fails.
func (r *Router) Run(ctx context.Context) error {
	eg, ctx := errgroup.WithContext(ctx)
	for _, g := range r.groups {
		eg.Go(func() error { return g.Run(ctx) })
	}
	return eg.Wait()
}

// StandBy says who leads while this coordinator does not.
func (r *Router) StandBy(leader string) {
	for _, g := range r.groups {
		g.StandBy(leader)
	}
}

// Drain keeps a worker out of all groups, or lets it in again.
func (r *Router) Drain(worker string, out bool) {
	for _, g := range r.groups {
		g.Drain(worker, out)
	}
}

// Load is the sum over the groups.
func (r *Router) Load() group.Load {
	var sum group.Load
	for _, g := range r.groups {
		l := g.Load()
		sum.Waiting += l.Waiting
		sum.Running += l.Running
		sum.WaitingTokens += l.WaitingTokens
		sum.BlocksFree += l.BlocksFree
		sum.BlocksTotal += l.BlocksTotal
		sum.Preemptions += l.Preemptions
	}
	return sum
}

// Served tells whether any group has ever served.
func (r *Router) Served() bool {
	for _, g := range r.groups {
		if g.State().Epochs > 0 {
			return true
		}
	}
	return false
}

// Spare is Config.Spare of every group.
func (r *Router) Spare(from *group.Group) bool {
	for _, g := range r.groups {
		if g != from && g.Ready() == nil {
			return true
		}
	}
	return false
}

// Share is Config.OnServing of every group: to takes over what waits in the others,
// so much that it has as many sequences as they.
func (r *Router) Share(to *group.Group) {
	for _, from := range r.groups {
		if from == to || from.Ready() != nil {
			continue
		}
		theirs, own := from.Load(), to.Load()
		n := (theirs.Running + theirs.Waiting - own.Running - own.Waiting) / 2
		for _, m := range from.ReleaseWaiting(max(n, 0)) {
			if to.Adopt(m) == nil {
				continue
			}
			if err := from.Adopt(m); err != nil {
				m.End(err)
			}
		}
	}
}

// Move is Config.OnEpochEnd of every group: it has the others go on with from's
// sequences. Where none serves, they wait for from to form anew.
func (r *Router) Move(from *group.Group) {
	if !r.Spare(from) {
		return
	}
	for _, m := range from.Release() {
		var err error
		for _, i := range r.rank(m.Prompt(), 0) {
			if r.groups[i] == from || r.groups[i].Ready() != nil {
				continue
			}
			if err = r.groups[i].Adopt(m); err == nil {
				break
			}
		}
		if err == nil {
			continue
		}
		if err := from.Adopt(m); err != nil {
			m.End(err)
		}
	}
}
