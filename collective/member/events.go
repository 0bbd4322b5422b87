package member

import (
	"fmt"
	"sync"

	"github.com/hashicorp/memberlist"
)

// EventType says what became of a node.
type EventType uint8

// What may become of a node.
const (
	Joined  EventType = iota + 1 // it is alive
	Gone                         // it left or died
	Updated                      // its Meta changed
)

func (t EventType) String() string {
	switch t {
	case Joined:
		return "joined"
	case Gone:
		return "gone"
	case Updated:
		return "updated"
	}
	return fmt.Sprintf("event(%d)", uint8(t))
}

// Event is a change of a node.
type Event struct {
	Type EventType
	Node Node
}

// Events tells of changes, our own joining included, until Close. A slow reader
// misses intermediate states of a node, never its last one.
func (m *Members) Events() <-chan Event { return m.events.out }

// feed passes events on without ever blocking memberlist, which calls it with
// its locks held: what is not yet read waits here, one event for each node.
type feed struct {
	out  chan Event
	stop chan struct{}
	done chan struct{}
	once sync.Once
	wake chan struct{} // capacity 1

	mu      sync.Mutex
	order   []string // node IDs with an event, oldest first
	pending map[string]Event
}

func newFeed() *feed {
	f := &feed{out: make(chan Event), stop: make(chan struct{}), done: make(chan struct{}),
		wake: make(chan struct{}, 1), pending: map[string]Event{}}
	go f.pump()
	return f
}

func (f *feed) put(t EventType, n *memberlist.Node) {
	e := Event{t, node(n)}
	f.mu.Lock()
	defer f.mu.Unlock()
	old, ok := f.pending[e.Node.ID]
	if !ok {
		f.order = append(f.order, e.Node.ID)
	} else if old.Type == Joined && t == Updated {
		e.Type = Joined // whoever has not heard of it must
	}
	f.pending[e.Node.ID] = e
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feed) take() (e Event, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.order) == 0 {
		return e, false
	}
	id := f.order[0]
	f.order = f.order[1:]
	e = f.pending[id]
	delete(f.pending, id)
	return e, true
}

func (f *feed) pump() {
	defer close(f.done)
	defer close(f.out)
	for {
		e, ok := f.take()
		if !ok {
			select {
			case <-f.wake:
				continue
			case <-f.stop:
				return
			}
		}
		select {
		case f.out <- e:
		case <-f.stop:
			return
		}
	}
}

func (f *feed) close() {
	f.once.Do(func() { close(f.stop) })
	<-f.done
}

// NotifyJoin, NotifyLeave and NotifyUpdate implement memberlist.EventDelegate.
func (f *feed) NotifyJoin(n *memberlist.Node)   { f.put(Joined, n) }
func (f *feed) NotifyLeave(n *memberlist.Node)  { f.put(Gone, n) }
func (f *feed) NotifyUpdate(n *memberlist.Node) { f.put(Updated, n) }

// meta is the memberlist.Delegate that gives out our Meta.
type meta struct {
	mu sync.Mutex
	b  []byte
}

func (m *meta) set(b []byte) error {
	if len(b) > MaxMetaBytes {
		return fmt.Errorf("meta of %d bytes: at most %d travel", len(b), MaxMetaBytes)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.b = append([]byte(nil), b...)
	return nil
}

func (m *meta) NodeMeta(int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.b
}

func (*meta) NotifyMsg([]byte)                {}
func (*meta) GetBroadcasts(int, int) [][]byte { return nil }
func (*meta) LocalState(bool) []byte          { return nil }
func (*meta) MergeRemoteState([]byte, bool)   {}
