package rpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
)

// heartbeatHeader is set by clients that want to hear from a stream while it has
// nothing to say: an empty message each heartbeatEvery of silence. It tells a
// long prompt from a coordinator that hangs. The answer's header says that they
// come.
const (
	heartbeatHeader = "x-sullae-heartbeat"
	heartbeatEvery  = 500 * time.Millisecond
)

// heart sends the messages of a stream, one at a time, and fills its silence.
type heart struct {
	setHeader func(metadata.MD) error
	header    metadata.MD

	mu   sync.Mutex
	last time.Time // when something was sent, or the stream began
	sent bool      // something was
	stop chan struct{}
	wg   sync.WaitGroup
}

// newHeart beats by calling empty, if the client of ctx wants that. Headers go out
// with the first message, and not before, so that a call which fails early can be
// retried by the client's gRPC. close ends it.
func newHeart(ctx context.Context, header metadata.MD, setHeader func(metadata.MD) error, empty func() error) *heart {
	h := &heart{setHeader: setHeader, header: header, last: time.Now(), stop: make(chan struct{})}
	if len(metadata.ValueFromIncomingContext(ctx, heartbeatHeader)) == 0 {
		return h
	}
	h.header.Set(heartbeatHeader, "1")
	h.wg.Go(func() {
		tick := time.NewTicker(heartbeatEvery / 2)
		defer tick.Stop()
		for {
			select {
			case <-h.stop:
				return
			case <-tick.C:
			}
			h.mu.Lock()
			var err error
			if time.Since(h.last) >= heartbeatEvery {
				err = h.put(empty)
			}
			h.mu.Unlock()
			if err != nil {
				return // the stream has ended; its own send says so
			}
		}
	})
	return h
}

// send is f while no heartbeat is sent.
func (h *heart) send(f func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.put(f)
}

// put sends by f. mu is held.
func (h *heart) put(f func() error) error {
	if !h.sent {
		h.sent = true
		if err := h.setHeader(h.header); err != nil {
			return err
		}
	}
	h.last = time.Now()
	return f()
}

func (h *heart) close() {
	close(h.stop)
	h.wg.Wait()
}
