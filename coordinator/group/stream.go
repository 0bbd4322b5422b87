package group

import (
	"context"
	"sync"

	"github.com/sullae/sullae/coordinator/gateway"
)

// stream carries a sequence's events to its reader through a queue of its own,
// so that a slow reader never holds up a step.
type stream struct {
	seq     gateway.Sequence
	out     chan gateway.Event
	release func() bool // stops the watch on the reader's context

	mu    sync.Mutex
	queue []gateway.Event
	ended bool
	more  chan struct{} // capacity 1
}

// newStream starts the goroutine that feeds out; it ends after the last event,
// or when ctx does.
func newStream(ctx context.Context, s gateway.Sequence) *stream {
	st := &stream{seq: s, out: make(chan gateway.Event, 16), more: make(chan struct{}, 1)}
	go st.pump(ctx)
	return st
}

// push queues an event; the last one by end.
func (st *stream) push(e gateway.Event) { st.add(e, false) }
func (st *stream) end(e gateway.Event)  { st.add(e, true) }

func (st *stream) add(e gateway.Event, last bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended {
		return
	}
	st.queue = append(st.queue, e)
	st.ended = last
	select {
	case st.more <- struct{}{}:
	default:
	}
}

func (st *stream) pump(ctx context.Context) {
	defer close(st.out)
	for {
		st.mu.Lock()
		batch, ended := st.queue, st.ended
		st.queue = nil
		st.mu.Unlock()
		for _, e := range batch {
			select {
			case st.out <- e:
			case <-ctx.Done():
				// The reader may be gone; leave the cause if there is room.
				select {
				case st.out <- gateway.Event{Err: context.Cause(ctx)}:
				default:
				}
				return
			}
		}
		if ended {
			return
		}
		select {
		case <-st.more:
		case <-ctx.Done():
			select {
			case st.out <- gateway.Event{Err: context.Cause(ctx)}:
			default:
			}
			return
		}
	}
}
