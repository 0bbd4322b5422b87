package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// resyncEvery is how often a watcher reads its keys again although the watch
// lives. It is for the one case that a watch can't tell: an etcd that lost its
// data, whose revisions begin again below the one that is watched.
const resyncEvery = 3 * time.Second

// state is what a prefix held at a revision: entries sorted by key.
type state struct {
	entries  []entry
	revision int64
}

// follow sends the whole state of a prefix now and after each change; a
// receiver that lags gets the latest only. It survives all that etcd does:
// while etcd is away nothing is sent. The channel closes when ctx ends or the
// Registry is closed.
func (r *Registry) follow(ctx context.Context, prefix string) <-chan state {
	out := make(chan state, 1)
	f := &follower{r: r, prefix: prefix, out: out, outage: outage{log: r.log, what: "watch of " + prefix}}
	err := r.spawn(ctx, func(ctx context.Context) {
		defer close(out)
		for ctx.Err() == nil {
			f.run(ctx)
		}
	})
	if err != nil {
		close(out)
	}
	return out
}

type follower struct {
	r       *Registry
	prefix  string
	out     chan state
	known   map[string]entry // nil until first read
	at      int64            // revision of known
	outage  outage
	backoff backoff
}

// run reads the prefix and applies changes until the watch breaks.
func (f *follower) run(ctx context.Context) {
	if !f.resync(ctx) {
		sleep(ctx, f.backoff.next())
		return
	}
	f.backoff.reset()
	ctx, cancel := context.WithCancel(ctx)
	changes := f.r.backend.watch(ctx, f.prefix, f.at+1)
	// The watch's goroutine ends before the next one starts.
	defer func() {
		cancel()
		for range changes {
		}
	}()
	tick := time.NewTicker(resyncEvery)
	defer tick.Stop()
	for {
		select {
		case events, ok := <-changes:
			if !ok {
				// A watch that breaks at once must not spin.
				sleep(ctx, f.backoff.next())
				return
			}
			f.apply(events)
		case <-tick.C:
			before := f.at
			f.resync(ctx)
			if f.at < before {
				f.r.log.Warn("etcd's history went back, data was lost or restored", "key", f.prefix, "from", before, "to", f.at)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// resync reads the whole prefix, and sends it where it differs from what is known.
func (f *follower) resync(ctx context.Context) bool {
	call, cancel := f.r.call(ctx, min(callTimeout, resyncEvery))
	defer cancel()
	entries, revision, err := f.r.backend.list(call, f.prefix)
	if err != nil {
		f.outage.failed(ctx, err)
		return false
	}
	f.outage.over()
	now := make(map[string]entry, len(entries))
	for _, e := range entries {
		now[e.key] = e
	}
	same := f.known != nil && revision >= f.at && maps.EqualFunc(f.known, now, func(a, b entry) bool {
		return a.modRevision == b.modRevision && a.createRevision == b.createRevision
	})
	f.known, f.at = now, revision
	if !same {
		f.send()
	}
	return true
}

// apply takes changes in; those from before the last resync are known already.
func (f *follower) apply(events []event) {
	changed := false
	for _, e := range events {
		if e.modRevision <= f.at {
			continue
		}
		changed = true
		if e.deleted {
			delete(f.known, e.key)
		} else {
			f.known[e.key] = e.entry
		}
	}
	if changed {
		f.at = events[len(events)-1].modRevision
		f.send()
	}
}

// send replaces what the receiver has not taken yet.
func (f *follower) send() {
	s := state{entries: slices.SortedFunc(maps.Values(f.known), func(a, b entry) int {
		return strings.Compare(a.key, b.key)
	}), revision: f.at}
	offer(f.out, s)
}

// offer puts v in a channel of capacity 1 in place of an older value. The
// channel has no other sender.
func offer[T any](ch chan T, v T) {
	select {
	case <-ch:
	default:
	}
	ch <- v
}
