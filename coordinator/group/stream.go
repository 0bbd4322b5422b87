package group

import (
	"context"
	"sync"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
)

// streamDepth is how many events wait in a stream's channel; more wait in its
// queue.
const streamDepth = 64

// stream carries a sequence's events to its reader. What does not fit into the
// channel goes through a queue, so that a slow reader never holds up a step.
type stream struct {
	seq     gateway.Sequence
	ctx     context.Context // the reader's
	out     chan gateway.Event
	release func() bool // stops the watch on ctx
	// scheduled is when its first step was planned.
	scheduled time.Time

	mu      sync.Mutex
	queue   []gateway.Event
	pumping bool // a goroutine moves the queue into out, and closes it
	ended   bool
}

func newStream(ctx context.Context, s gateway.Sequence) *stream {
	return &stream{seq: s, ctx: ctx, out: make(chan gateway.Event, streamDepth)}
}

// push hands an event on; the last one by end.
func (st *stream) push(e gateway.Event) { st.add(e, false) }
func (st *stream) end(e gateway.Event)  { st.add(e, true) }

func (st *stream) add(e gateway.Event, last bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended {
		return
	}
	st.ended = last
	if !st.pumping {
		select {
		case st.out <- e:
			if last {
				close(st.out)
			}
			return
		default:
		}
		st.pumping = true
		go st.pump()
	}
	st.queue = append(st.queue, e)
}

// pump moves the queue into the channel. It ends when the queue is empty, or with
// the reader.
func (st *stream) pump() {
	for {
		st.mu.Lock()
		batch := st.queue
		st.queue = nil
		if len(batch) == 0 {
			st.pumping = false
			if st.ended {
				close(st.out)
			}
			st.mu.Unlock()
			return
		}
		st.mu.Unlock()
		for _, e := range batch {
			select {
			case st.out <- e:
			case <-st.ctx.Done():
				st.mu.Lock()
				st.ended = true
				st.mu.Unlock()
				// The reader may be gone; leave the cause if there is room.
				select {
				case st.out <- gateway.Event{Err: context.Cause(st.ctx)}:
				default:
				}
				close(st.out)
				return
			}
		}
	}
}
