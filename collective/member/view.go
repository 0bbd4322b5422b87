package member

import (
	"context"
	"sync"
	"time"
)

// rejoinEvery is how often Follow looks for seeds that are not members: a
// partition may have healed.
const rejoinEvery = 2 * time.Second

// Grace is how long a node must have been gone before a View calls it dead.
// Gossip gives a silent node up after about a second; with the grace, a link
// that is cut for less than two seconds costs nothing but time.
const Grace = 1200 * time.Millisecond

// View remembers which nodes were ever alive, so that it can tell a dead one from
// one that gossip has not reached yet. It takes the Members' events.
type View struct {
	now func() time.Time

	mu    sync.Mutex
	alive map[string]map[string]bool // name -> ids of its live incarnations
	gone  map[string]time.Time       // name -> when the last of them went, or was heard after that
}

// NewView watches m until it closes.
func NewView(m *Members) *View {
	v := newView(time.Now)
	go func() { // ends when the events do, at m's Close
		var knocks sync.WaitGroup
		defer knocks.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for e := range m.Events() {
			v.note(e)
			if e.Type == Gone {
				knocks.Go(func() { v.knock(ctx, m, e.Node) })
			}
		}
	}()
	return v
}

func newView(now func() time.Time) *View {
	return &View{now: now, alive: map[string]map[string]bool{}, gone: map[string]time.Time{}}
}

func (v *View) note(e Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.alive[e.Node.Name] == nil {
		v.alive[e.Node.Name] = map[string]bool{}
	}
	if e.Type == Gone {
		delete(v.alive[e.Node.Name], e.Node.ID)
		v.gone[e.Node.Name] = v.now()
	} else {
		v.alive[e.Node.Name][e.Node.ID] = true
	}
}

// Dead reports whether a node that was alive has had no live incarnation, and has
// not answered, for the time of Grace.
func (v *View) Dead(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	incarnations, seen := v.alive[name]
	return seen && len(incarnations) == 0 && v.now().Sub(v.gone[name]) >= Grace
}

// How a node that gossip has given up is asked whether it is there all the same.
// After a cut both sides take each other for dead, and gossip takes seconds to
// find that it was wrong.
const (
	knockEvery = 100 * time.Millisecond
	knockFor   = 10 * time.Second
)

// knock asks a node that is gone, until it is back among the living, for a while.
// One that answers is joined again.
func (v *View) knock(ctx context.Context, m *Members, n Node) {
	tick := time.NewTicker(knockEvery)
	defer tick.Stop()
	for end := time.Now().Add(knockFor); time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		v.mu.Lock()
		back := v.alive[n.Name][n.ID]
		v.mu.Unlock()
		if back {
			return
		}
		if m.answers(n) {
			v.mu.Lock()
			v.gone[n.Name] = v.now()
			v.mu.Unlock()
			_ = m.Join([]string{n.Addr}) // a failure is tried again
		}
	}
}

// Follow keeps joining the latest seeds that are no members yet, until ctx ends.
func (m *Members) Follow(ctx context.Context, seeds <-chan []string) error {
	tick := time.NewTicker(rejoinEvery)
	defer tick.Stop()
	var want []string
	for {
		select {
		case <-ctx.Done():
			return nil
		case list, ok := <-seeds:
			if !ok {
				seeds = nil
				continue
			}
			want = list
		case <-tick.C:
		}
		have := map[string]bool{}
		for _, n := range m.Alive() {
			have[n.Addr] = true
		}
		for _, addr := range want {
			if !have[addr] {
				_ = m.Join([]string{addr}) // a failure is tried again at the next tick
			}
		}
	}
}
