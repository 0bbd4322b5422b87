package collective

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sullae/sullae/collective/allreduce"
	"github.com/sullae/sullae/collective/link"
)

// Group is a Communicator over links. One goroutine per link reads ahead, so
// that a rank that sends never waits for a rank that sends, and a broken link is
// noticed at once, also between collectives. What comes over a link.Polled is taken
// by the goroutine that needs it, and read ahead when the link is full. The first
// error ends the epoch: it closes every link, and every later call returns it.
type Group struct {
	cfg   Config
	hash  uint64 // of cfg.Group
	links []link.Link
	rx    []receiver // by rank
	sum   allreduce.Summer

	done  chan struct{} // closed by the first error
	wake  chan struct{} // capacity 1: something came for whoever waits
	timer *time.Timer   // runs while blocked
	wg    sync.WaitGroup

	mu      sync.Mutex
	err     error // set before done is closed
	busy    bool  // a collective is in progress
	inboxes []inbox
	blocked blocked
	stats   Stats

	// Owned by the goroutine that runs collectives.
	seq      []uint64 // frames sent, by peer
	splits   []*allreduce.Split
	gathered [][]byte
	shadow   []float32 // a result whose destination overlaps a part
}

// NewGroup returns the communicator of rank cfg.Rank over links, by rank; the
// entry for itself is unused. The group owns the links from now on, also if an
// error is returned.
func NewGroup(cfg Config, links []link.Link) (*Group, error) {
	if err := cfg.check(links); err != nil {
		for _, l := range links {
			if l != nil {
				l.Close(link.Bye{Failed: true, Reason: err.Error()})
			}
		}
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	g := &Group{
		cfg: cfg, hash: GroupHash(cfg.Group), links: links,
		sum:     allreduce.Summer{Add: cfg.Add},
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		inboxes: make([]inbox, cfg.WorldSize),
		rx:      make([]receiver, cfg.WorldSize),
		seq:     make([]uint64, cfg.WorldSize),
		stats:   Stats{Epoch: cfg.Epoch, Rank: cfg.Rank, Peers: make([]PeerStats, cfg.WorldSize)},
	}
	g.blocked.peers = make([]bool, cfg.WorldSize)
	g.timer = time.AfterFunc(time.Hour, g.expire)
	g.timer.Stop()
	for p, l := range links {
		if p != cfg.Rank {
			g.rx[p].polled, g.stats.Peers[p].Polled = l.(link.Polled)
			g.wg.Go(func() { g.receive(p, l) })
		}
	}
	return g, nil
}

// Rank implements Communicator.
func (g *Group) Rank() int { return g.cfg.Rank }

// WorldSize implements Communicator.
func (g *Group) WorldSize() int { return g.cfg.WorldSize }

// Epoch is the epoch that the group belongs to.
func (g *Group) Epoch() uint64 { return g.cfg.Epoch }

// Done is closed when the epoch has ended for this rank, by an error or by
// Close; Err says why. A worker may watch it while it computes: a link that breaks
// closes it at once. A peer that leaves quietly between collectives does not; the
// next collective reports that.
func (g *Group) Done() <-chan struct{} { return g.done }

// Err is the error that ended the epoch, nil before.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Close implements Communicator. It returns once every link is down, which takes
// as long as a peer needs to hear the goodbye, a fraction of a second at most. Between
// collectives it is a quiet goodbye: peers that are still finishing our last one
// do so, and fail at the next one. Within a collective it is a failure to all.
func (g *Group) Close() error {
	g.mu.Lock()
	busy := g.busy
	g.mu.Unlock()
	g.end(g.errorf("%w", ErrClosed), link.Bye{Failed: busy, Reason: "closed"})
	g.wg.Wait()
	return nil
}

// fail ends the epoch because of err and returns the error that did end it.
func (g *Group) fail(err error) error {
	g.end(err, link.Bye{Failed: true, Reason: err.Error()})
	return g.Err()
}

func (g *Group) end(err error, bye link.Bye) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return
	}
	g.err = err
	g.timer.Stop()
	close(g.done)
	for p, l := range g.links {
		if p != g.cfg.Rank {
			g.wg.Go(func() { l.Close(bye) })
		}
	}
}

func (g *Group) errorf(format string, args ...any) error {
	return fmt.Errorf("group %s epoch %d rank %d: "+format,
		append([]any{g.cfg.Group, g.cfg.Epoch, g.cfg.Rank}, args...)...)
}

// begin starts a collective; the returned function must be called at its end.
func (g *Group) begin(ctx context.Context, tag Tag) (end func(), err error) {
	g.mu.Lock()
	if g.busy {
		g.mu.Unlock()
		panic("collective: two collectives at once on one communicator")
	}
	if g.err != nil {
		g.mu.Unlock()
		return nil, g.err
	}
	var gone error
	for p := range g.inboxes {
		if e := g.inboxes[p].ended; e != nil {
			gone = g.errorf("%s: %w: rank %d: %w", tag, ErrPeerLost, p, e)
		}
	}
	g.busy = true
	g.blocked.tag = tag
	g.mu.Unlock()

	stop := func() bool { return true }
	end = func() {
		stop()
		g.unblock()
		g.mu.Lock()
		g.busy = false
		g.mu.Unlock()
	}
	if gone != nil {
		end()
		return nil, g.fail(gone)
	}
	cancelled := func() {
		kind := ErrClosed
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			kind = ErrTimeout
		}
		g.fail(g.errorf("%s: %w: %s: %w", tag, kind, g.whom(), context.Cause(ctx)))
	}
	if ctx.Err() != nil {
		end()
		cancelled()
		return nil, g.Err()
	}
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, cancelled)
	}
	return end, nil
}
