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
	gone  map[string]time.Time       // name -> when its last one went
}

// NewView watches m until it closes.
func NewView(m *Members) *View {
	v := newView(time.Now)
	go func() { // ends when the events do, at m's Close
		for e := range m.Events() {
			v.note(e)
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

// Dead reports whether a node that was alive has had no live incarnation for the
// time of Grace.
func (v *View) Dead(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	incarnations, seen := v.alive[name]
	return seen && len(incarnations) == 0 && v.now().Sub(v.gone[name]) >= Grace
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
