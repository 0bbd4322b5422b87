package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrDuplicate is of an ID that another live process holds.
var ErrDuplicate = errors.New("id in use by another process")

// Registration keeps one member's record in etcd. It never gives up: a lost
// lease, a deleted key or an etcd that comes back empty only means that the
// record is written again, under a fresh lease.
type Registration[M Member] struct {
	r   *Registry
	key string

	mu   sync.Mutex
	want M

	kick   chan struct{} // capacity 1: want has changed
	cancel context.CancelFunc
	done   chan struct{} // the keeper has ended

	// The keeper's own, until done.
	lease   leaseID
	granted time.Duration
	written bool // this process has had the key

	registered atomic.Bool
	closeOnce  sync.Once
	closeErr   error
}

// RegisterWorker writes the worker's record under a lease and keeps it there
// until Close. It waits for etcd until ctx ends, and for what is left of the
// lease of a process that held the ID and died: at most that lease's time. If
// the holder turns out to be alive the error is ErrDuplicate and names it.
func (r *Registry) RegisterWorker(ctx context.Context, w Worker) (*Registration[Worker], error) {
	return register(ctx, r, r.keys.worker(w.ID), w)
}

// RegisterCoordinator is RegisterWorker for a coordinator.
func (r *Registry) RegisterCoordinator(ctx context.Context, c Coordinator) (*Registration[Coordinator], error) {
	return register(ctx, r, r.keys.coordinator(c.ID), c)
}

func register[M Member](ctx context.Context, r *Registry, key string, m M) (*Registration[M], error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	keep, cancel := context.WithCancel(context.Background())
	g := &Registration[M]{
		r: r, key: key, want: withInstance(m, newInstance()),
		kick: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}),
	}
	ctx, stop := r.within(ctx)
	defer stop()
	err := g.claim(ctx)
	if err == nil {
		err = r.spawn(keep, func(ctx context.Context) {
			defer close(g.done)
			g.keep(ctx)
		})
	}
	if err != nil {
		cancel()
		close(g.done)
		g.revoke(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("registry: register %s: %w", m.describe(), err)
	}
	return g, nil
}

// claim writes the record for the first time.
func (g *Registration[M]) claim(ctx context.Context) error {
	var retry backoff
	away := outage{log: g.r.log, what: "registration of " + g.key}
	var rival rival
	for {
		err := g.reconcile(ctx)
		var held heldError
		switch {
		case err == nil:
			away.over()
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case refused(err), errors.Is(err, ErrNewerSchema):
			return err
		case errors.As(err, &held):
			away.over()
			if err := rival.check(ctx, g.r, held.entry); err != nil {
				return fmt.Errorf("%w: %s: stop it, or start this one with another id", ErrDuplicate, held.by)
			}
		default:
			away.failed(ctx, err)
		}
		sleep(ctx, retry.next())
	}
}

// keep refreshes the lease and the record until ctx ends.
func (g *Registration[M]) keep(ctx context.Context) {
	var retry backoff
	away := outage{log: g.r.log, what: "registration of " + g.key}
	wait := jitter(beat(g.granted))
	rival := "" // who holds our key, as logged
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-g.kick:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		err := g.reconcile(ctx)
		var held heldError
		switch {
		case err == nil:
			away.over()
			retry.reset()
			rival = ""
			wait = jitter(beat(g.granted))
			continue
		case errors.As(err, &held):
			if rival != held.by {
				rival = held.by
				g.r.log.Error("id taken by another process, trying on", "key", g.key, "by", rival)
			}
		default:
			away.failed(ctx, err)
		}
		g.registered.Store(false)
		wait = retry.next()
	}
}

// Update replaces the record; ID and Instance stay. It returns at once: the
// keeper writes the latest record as soon as etcd takes it.
func (g *Registration[M]) Update(m M) error {
	if err := m.validate(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.id() != g.want.id() {
		return fmt.Errorf("registry: update of %q with the record of %q", g.want.id(), m.id())
	}
	g.want = withInstance(m, g.want.instance())
	select {
	case g.kick <- struct{}{}:
	default:
	}
	return nil
}

// Record is the record as it should be in etcd.
func (g *Registration[M]) Record() M {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.want
}

// Registered tells whether etcd held a record under our lease when last asked.
func (g *Registration[M]) Registered() bool { return g.registered.Load() }

// Close takes the record out of etcd. It waits until etcd has done so, ctx
// ends, or a few seconds have passed; a record that could not be taken out
// lapses with its lease, and the error says so. More calls return the same.
func (g *Registration[M]) Close(ctx context.Context) error {
	g.closeOnce.Do(func() {
		g.cancel()
		<-g.done
		g.registered.Store(false)
		if err := g.revoke(ctx); err != nil {
			g.closeErr = fmt.Errorf("registry: %s stays until its lease ends: %w", g.key, err)
		}
	})
	return g.closeErr
}

func (g *Registration[M]) revoke(ctx context.Context) error {
	if g.lease == 0 {
		return nil
	}
	call, cancel := g.r.call(ctx, callTimeout)
	defer cancel()
	return g.r.backend.revoke(call, g.lease)
}
