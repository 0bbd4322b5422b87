package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/sullae/sullae/collective"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// A rank that waits for a peer asks its host, past the link, for a connection: that
// of a peer that computes, or gets no CPU, answers; one that is cut off from this rank
// alone, which membership does not see, does not. Where steps flow nobody is asked.
const (
	askEvery  = 100 * time.Millisecond
	askWithin = 200 * time.Millisecond
	// unreachableAfter is the silence that a cut which should cost nothing stays below.
	unreachableAfter = 2 * time.Second
	// mostSilent is what one unanswered question counts for: this process itself may
	// have been stopped since the one before.
	mostSilent = askEvery + askWithin
)

// reach is a rank's view of which peers answer. One goroutine uses it.
type reach struct {
	answers func(rank int) bool // asks; takes askWithin at most
	silent  []time.Duration     // by rank: how long it has not answered while it was waited for
	known   []bool              // by rank: it has answered in this epoch
	last    time.Time           // of the last look
}

func newReach(ranks int, answers func(rank int) bool) *reach {
	return &reach{answers: answers, silent: make([]time.Duration, ranks), known: make([]bool, ranks)}
}

// look asks the peers that are waited for, at the same time, and returns one that
// has been silent for too long, or nil. A peer that never answered is not judged:
// its host may not let such questions through.
func (r *reach) look(now time.Time, waiting []int) *collective.Unreachable {
	passed := min(now.Sub(r.last), mostSilent)
	r.last = now
	due := make([]bool, len(r.silent))
	answered := make([]bool, len(r.silent))
	var wg sync.WaitGroup
	for _, p := range waiting {
		due[p] = true
		wg.Go(func() { answered[p] = r.answers(p) })
	}
	wg.Wait()
	var lost *collective.Unreachable
	for p := range r.silent {
		switch {
		case answered[p]:
			r.known[p], r.silent[p] = true, 0
		case !due[p]:
			r.silent[p] = 0
		default:
			if r.silent[p] += passed; r.known[p] && r.silent[p] >= unreachableAfter {
				lost = &collective.Unreachable{Rank: p, Why: fmt.Sprintf("it is due, and has not answered this worker for %.1f s", r.silent[p].Seconds())}
			}
		}
	}
	return lost
}

// waiter is a communicator that tells whom it waits for.
type waiter interface {
	Waiting() []int
	Lose(*collective.Unreachable)
}

// watchReach ends the epoch when a peer that is waited for cannot be reached,
// until ctx ends. Peers are known to answer, or not, from its first look on.
func watchReach(ctx context.Context, c waiter, rank int, addrs []string) {
	r := newReach(len(addrs), func(p int) bool { return answers(ctx, addrs[p]) })
	r.last = time.Now()
	var all []int
	for p := range addrs {
		if p != rank {
			all = append(all, p)
		}
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for unknown := true; ; {
		select {
		case now := <-tick.C:
			waiting := c.Waiting()
			if unknown && len(waiting) == 0 {
				waiting = all
			}
			if lost := r.look(now, waiting); lost != nil {
				c.Lose(lost)
				return
			}
			unknown = false
			for _, p := range all {
				unknown = unknown || !r.known[p] && r.silent[p] < unreachableAfter
			}
		case <-ctx.Done():
			return
		}
	}
}

// join links the ranks up, and gives up early where a peer does not answer.
func (s *service) join(ctx context.Context, f Formation) (collective.Communicator, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := newReach(len(f.Peers), func(p int) bool { return answers(ctx, f.Peers[p]) })
	r.last = time.Now()
	var all []int
	for p := range f.Peers {
		if r.known[p] = true; p != f.Rank {
			all = append(all, p)
		}
	}
	go func() { // ends with ctx
		tick := time.NewTicker(askEvery)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				if lost := r.look(now, all); lost != nil {
					cancel(lost)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return s.links.Join(ctx, f)
}

// answers reports whether a host answers at a worker's address: takes a connection,
// or refuses it.
func answers(ctx context.Context, addr string) bool {
	dial := net.Dialer{Timeout: askWithin}
	conn, err := dial.DialContext(ctx, "tcp", addr)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	conn.Close()
	return true
}

// Reach implements WorkerService.
func (s *service) Reach(ctx context.Context, req *clusterv1.ReachRequest) (*clusterv1.ReachResponse, error) {
	return &clusterv1.ReachResponse{Answers: answers(ctx, req.Address)}, nil
}
