package registry

import (
	"context"
	"fmt"
)

// WatchWorkers sends all registered workers, sorted by ID, now and after each
// change. A receiver that lags gets the latest only. While etcd is away nothing
// is sent: the last list stands. Records that can't be read are left out and
// logged. The channel closes when ctx ends or the Registry is closed.
func (r *Registry) WatchWorkers(ctx context.Context) <-chan []Worker {
	return watchMembers[Worker](ctx, r, r.keys.workers())
}

// Workers reads the registered workers, sorted by ID.
func (r *Registry) Workers(ctx context.Context) ([]Worker, error) {
	return listMembers[Worker](ctx, r, r.keys.workers())
}

// WatchCoordinators is WatchWorkers for coordinators.
func (r *Registry) WatchCoordinators(ctx context.Context) <-chan []Coordinator {
	return watchMembers[Coordinator](ctx, r, r.keys.coordinators())
}

// Coordinators reads the registered coordinators, sorted by ID.
func (r *Registry) Coordinators(ctx context.Context) ([]Coordinator, error) {
	return listMembers[Coordinator](ctx, r, r.keys.coordinators())
}

func listMembers[M Member](ctx context.Context, r *Registry, prefix string) ([]M, error) {
	call, cancel := r.call(ctx, callTimeout)
	defer cancel()
	entries, _, err := r.backend.list(call, prefix)
	if err != nil {
		return nil, fmt.Errorf("registry: list %s: %w", prefix, err)
	}
	return newReader(r, decodeMember[M]).all(entries), nil
}

func watchMembers[M Member](ctx context.Context, r *Registry, prefix string) <-chan []M {
	read := newReader(r, decodeMember[M])
	return translate(ctx, r, r.follow(ctx, prefix), func(s state) ([]M, bool) { return read.all(s.entries), true })
}

// translate turns each value of in by f, dropping those for which f says so.
// Like in, it keeps only the latest for a receiver that lags.
func translate[A, B any](ctx context.Context, r *Registry, in <-chan A, f func(A) (B, bool)) <-chan B {
	out := make(chan B, 1)
	err := r.spawn(ctx, func(context.Context) {
		defer close(out)
		for a := range in { // closes with ctx
			if b, ok := f(a); ok {
				offer(out, b)
			}
		}
	})
	if err != nil {
		close(out)
	}
	return out
}

// reader decodes entries and logs each bad value once.
type reader[R any] struct {
	r      *Registry
	decode func(key string, value []byte) (R, error)
	logged map[string]int64 // key -> modRevision of the value
}

func newReader[R any](r *Registry, decode func(string, []byte) (R, error)) *reader[R] {
	return &reader[R]{r, decode, map[string]int64{}}
}

// all decodes what can be decoded.
func (d *reader[R]) all(entries []entry) []R {
	out := make([]R, 0, len(entries))
	for _, e := range entries {
		if record, ok := d.one(e); ok {
			out = append(out, record)
		}
	}
	return out
}

// one decodes an entry, or logs why it can't.
func (d *reader[R]) one(e entry) (R, bool) {
	record, err := d.decode(e.key, e.value)
	if err == nil {
		return record, true
	}
	if d.logged[e.key] != e.modRevision {
		d.logged[e.key] = e.modRevision
		d.r.log.Error("record skipped", "key", e.key, "err", err)
	}
	return record, false
}
