package coordinator

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/forward"
)

// idleEnough is how long no sequence must have been there before a drain takes
// it that the last answers have been written. What is left then are streams that
// never end by themselves, such as those that watch health.
const idleEnough = 500 * time.Millisecond

// servers are what clients and workers are connected to.
type servers struct {
	web          *http.Server
	api, cluster *grpc.Server
	listeners    []*forward.Listener // web's and api's
}

// standIn wraps a listener of an API so that it takes connections for the leader.
func (c *coordinator) standIn(l net.Listener, s *servers, address func(registry.Coordinator) string) net.Listener {
	f := forward.Listen(l, c.forwardKey, c.place(address), c.cfg.Logger)
	s.listeners = append(s.listeners, f)
	return f
}

// drain takes no more requests and waits until those that are here, and those
// passed on to the leader, have ended: at most --drain-timeout. Meanwhile the
// group goes on.
func (c *coordinator) drain(s *servers) {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.DrainTimeout)
	defer cancel()
	c.cfg.Logger.Info("draining", "timeout", c.cfg.DrainTimeout)
	idle, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, l := range s.listeners { // their servers close them
		wg.Go(func() { l.Wait(ctx) })
	}
	wg.Go(func() {
		defer stop()
		s.stop(idle)
	})
	c.awaitIdle(idle)
	stop()
	wg.Wait()
}

// awaitIdle returns when no sequence has been there for a while, or with ctx.
func (c *coordinator) awaitIdle(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	busy := time.Now()
	for time.Since(busy) < idleEnough {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if load := c.groups.Load(); load.Running+load.Waiting > 0 {
				busy = now
			}
		}
	}
}

// stop ends the servers of the APIs: in order while ctx lasts, then at once.
func (s *servers) stop(ctx context.Context) {
	stopped := make(chan struct{})
	go func() { defer close(stopped); s.api.GracefulStop() }()
	if s.web.Shutdown(ctx) != nil {
		s.web.Close()
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		s.api.Stop()
		<-stopped
	}
}

// close ends everything; what has not ended in order has stopTimeout for it.
func (s *servers) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	s.stop(ctx)
	s.cluster.Stop()
	cancel()
	for _, l := range s.listeners {
		l.Close()
		l.Wait(ctx)
	}
}
