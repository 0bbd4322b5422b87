package group

import (
	"context"
	"sync"

	"github.com/sullae/sullae/collective/registry"
)

// Roster says which worker is in which of several groups. A worker belongs to the
// group that formed with it last, until that forms without it; the others are
// free for any group. All are of one arithmetic class, since a sequence may move
// from group to group. Nil is the roster of a single group, which may use all.
type Roster struct {
	mu     sync.Mutex
	owner  map[string]string // by worker id
	class  string            // of the workers of the group that formed last; "": none has
	absent int               // groups that have not told yet whom they had before
	all    chan struct{}     // closed when none is absent
}

// NewRoster is for a number of groups.
func NewRoster(groups int) *Roster {
	return &Roster{owner: map[string]string{}, absent: groups, all: make(chan struct{})}
}

// arrive tells whom a group had before this coordinator led, so that the groups
// don't take each other's; it returns when all have told.
func (r *Roster) arrive(ctx context.Context, group string, before []registry.Worker) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	for _, w := range before {
		if r.owner[w.ID] == "" {
			r.owner[w.ID] = group
		}
	}
	if r.absent--; r.absent == 0 {
		close(r.all)
	}
	r.mu.Unlock()
	select {
	case <-r.all:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// free tells whether a group may use a worker.
func (r *Roster) free(group string, w registry.Worker) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fits(group, w)
}

// fits tells whether a worker is no other group's, and of the others' class. r.mu
// is held.
func (r *Roster) fits(group string, w registry.Worker) bool {
	if o := r.owner[w.ID]; o != "" && o != group {
		return false
	}
	return r.class == "" || w.Class == r.class || !r.others(group)
}

// others tells whether any other group has workers. r.mu is held.
func (r *Roster) others(group string) bool {
	for _, o := range r.owner {
		if o != group {
			return true
		}
	}
	return false
}

// claim makes workers a group's, and those that it had before free; false, and
// nothing, where another group was quicker.
func (r *Roster) claim(group string, workers []registry.Worker) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range workers {
		if !r.fits(group, w) {
			return false
		}
	}
	for id, o := range r.owner {
		if o == group {
			delete(r.owner, id)
		}
	}
	for _, w := range workers {
		r.owner[w.ID], r.class = group, w.Class
	}
	return true
}
