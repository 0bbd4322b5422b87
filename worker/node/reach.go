package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sullae/sullae/collective"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// A rank that waits for a peer asks it, past the link, whether it is there: a
// peer that computes answers, since gossip has goroutines of its own; one that is
// cut off from this rank alone, which membership does not see, does not. Where
// steps flow nobody is asked.
const (
	askEvery = 150 * time.Millisecond
	// unreachableAfter is the silence that a cut which should cost nothing stays below.
	unreachableAfter = 2 * time.Second
	// mostSilent is what one unanswered question counts for: this process itself may
	// have been stopped since the one before.
	mostSilent = 2 * askEvery
)

// reach is a rank's view of which peers answer. One goroutine uses it.
type reach struct {
	answers func(rank int) bool // asks; may take a tenth of a second
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
func (s *service) watchReach(ctx context.Context, c waiter, rank int, ids []string) {
	r := newReach(len(ids), func(p int) bool { return s.peers.Answers(ids[p]) })
	r.last = time.Now()
	all := make([]int, 0, len(ids))
	for p := range ids {
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
func (s *service) join(ctx context.Context, f Formation, ids []string) (collective.Communicator, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := newReach(len(ids), func(p int) bool { return s.peers.Answers(ids[p]) })
	r.last = time.Now()
	var all []int
	for p := range ids {
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

// peers asks other workers whether they are there.
type peers interface {
	Answers(worker string) bool
}

// Reach implements WorkerService.
func (s *service) Reach(_ context.Context, req *clusterv1.ReachRequest) (*clusterv1.ReachResponse, error) {
	return &clusterv1.ReachResponse{Answers: s.peers.Answers(req.WorkerId)}, nil
}
