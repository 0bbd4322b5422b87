package group

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/registry"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// How it is found out that two workers reach each other again: one of them asks
// the other, and must be answered a few times in a row.
const (
	reachEvery   = 500 * time.Millisecond
	reachTimeout = time.Second
	reachTimes   = 3
)

// rift is between two workers that cannot reach each other, while both reach this
// coordinator: they cannot be in one epoch until they do.
type rift struct {
	out, kept registry.Worker // out is left out where kept is there
	healed    atomic.Bool
	forget    context.CancelFunc
}

// part notes that a worker and others cannot reach each other.
func (w *watcher) part(out string, others []string) {
	for _, kept := range others {
		i := slices.IndexFunc(w.workers, func(x registry.Worker) bool { return x.ID == out })
		j := slices.IndexFunc(w.workers, func(x registry.Worker) bool { return x.ID == kept })
		if i < 0 || j < 0 {
			continue
		}
		r := &rift{out: w.workers[i], kept: w.workers[j]}
		ctx, cancel := context.WithCancel(w.ctx)
		r.forget = cancel
		w.rifts = append(w.rifts, r)
		go func() { // ends with ctx at the latest
			defer cancel()
			if w.heals(ctx, r.kept, r.out) {
				r.healed.Store(true)
			}
		}()
	}
}

// together is list without those whom a rift parts from another one of it.
func (w *watcher) together(list []registry.Worker) []registry.Worker {
	there := func(x registry.Worker) bool {
		return slices.ContainsFunc(w.workers, func(y registry.Worker) bool { return y.ID == x.ID && y.Instance == x.Instance })
	}
	w.rifts = slices.DeleteFunc(w.rifts, func(r *rift) bool {
		over := r.healed.Load() || !there(r.out) || !there(r.kept) // a new process is asked anew
		if over {
			r.forget()
		}
		return over
	})
	for _, r := range w.rifts {
		at := func(x registry.Worker) int {
			return slices.IndexFunc(list, func(y registry.Worker) bool { return y.ID == x.ID })
		}
		if i := at(r.out); i >= 0 && at(r.kept) >= 0 {
			list = slices.Delete(slices.Clone(list), i, i+1)
		}
	}
	return list
}

// parted reports whether a worker is left out because of a rift.
func (w *watcher) parted(id string) bool {
	return slices.ContainsFunc(w.rifts, func(r *rift) bool { return r.out.ID == id })
}

// awaitReach asks one worker whether another answers it, until it does (true) or
// ctx ends.
func awaitReach(ctx context.Context, from, to registry.Worker, dial []grpc.DialOption) bool {
	conn, err := grpc.NewClient("passthrough:///"+from.Address, dial...)
	if err != nil {
		return true // it fails at once where it is needed
	}
	defer conn.Close()
	for answers := 0; answers < reachTimes; {
		if pauseFor(ctx, reachEvery) != nil {
			return false
		}
		rctx, cancel := context.WithTimeout(ctx, reachTimeout)
		res, err := clusterv1.NewWorkerServiceClient(conn).Reach(rctx, &clusterv1.ReachRequest{Address: to.Address})
		cancel()
		switch {
		case status.Code(err) == codes.Unimplemented:
			return true // of an older version: it is tried
		case res.GetAnswers():
			answers++
		default:
			answers = 0
		}
	}
	return true
}
