package registry

import (
	"context"
	"sort"
	"strings"
	"time"
)

// memoryBackend is the backend of a Registry on a Memory.
type memoryBackend struct {
	m    *Memory
	back chan struct{} // nil, or closed when it isn't cut off any more; guarded by m.mu
}

// reach locks the store's mu once the store can be reached. Where ctx ends first
// it fails, and mu is not held.
func (b *memoryBackend) reach(ctx context.Context) error {
	for {
		b.m.mu.Lock()
		back := b.m.back
		if back == nil {
			back = b.back
		}
		if back == nil && ctx.Err() == nil {
			return nil
		}
		b.m.mu.Unlock()
		select {
		case <-back: // never while it is nil: then ctx has ended
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *memoryBackend) close() error { return nil }

func (b *memoryBackend) get(ctx context.Context, key string) (*entry, error) {
	if err := b.reach(ctx); err != nil {
		return nil, err
	}
	defer b.m.mu.Unlock()
	if e, ok := b.m.entries[key]; ok {
		return &e, nil
	}
	return nil, nil
}

func (b *memoryBackend) list(ctx context.Context, prefix string) ([]entry, int64, error) {
	if err := b.reach(ctx); err != nil {
		return nil, 0, err
	}
	defer b.m.mu.Unlock()
	return b.m.below(prefix), b.m.revision, nil
}

func (b *memoryBackend) watch(ctx context.Context, prefix string, from int64) <-chan []event {
	out := make(chan []event)
	go func() {
		defer close(out)
		for next := from; ; {
			if b.reach(ctx) != nil {
				return
			}
			changed, revision := b.m.changed, b.m.revision
			compacted := next <= b.m.compacted
			events := b.m.since(next, prefix)
			b.m.mu.Unlock()
			if compacted {
				return
			}
			next = max(next, revision+1)
			if len(events) > 0 {
				select {
				case out <- events:
				case <-ctx.Done():
					return
				}
				continue // changed may be of a change that we have not read
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// since lists the changes below prefix from a revision on. mu is held.
func (m *Memory) since(from int64, prefix string) []event {
	i := sort.Search(len(m.history), func(i int) bool { return m.history[i].modRevision >= from })
	var out []event
	for _, e := range m.history[i:] {
		if strings.HasPrefix(e.key, prefix) {
			out = append(out, e)
		}
	}
	return out
}

func (b *memoryBackend) commit(ctx context.Context, when []condition, then ...change) (bool, int64, error) {
	if err := b.reach(ctx); err != nil {
		return false, 0, err
	}
	defer b.m.mu.Unlock()
	for _, c := range when {
		e := b.m.entries[c.key]
		if c.created && e.createRevision != c.revision || !c.created && e.modRevision != c.revision {
			return false, b.m.revision, nil
		}
	}
	for _, c := range then {
		if c.lease != 0 && b.m.leases[c.lease] == nil {
			return false, 0, errLeaseLost
		}
	}
	b.m.apply(then...)
	return true, b.m.revision, nil
}

func (b *memoryBackend) grant(ctx context.Context, ttl time.Duration) (leaseID, time.Duration, error) {
	if err := b.reach(ctx); err != nil {
		return 0, 0, err
	}
	defer b.m.mu.Unlock()
	b.m.lastLease++ // never one twice, even after Wipe
	id := b.m.lastLease
	b.m.leases[id] = &memoryLease{ttl, time.Now().Add(ttl), time.AfterFunc(ttl, func() { b.m.expire(id) })}
	return id, ttl, nil
}

func (b *memoryBackend) refresh(ctx context.Context, id leaseID) error {
	_, err := b.lease(ctx, id, (*memoryLease).extend)
	return err
}

func (b *memoryBackend) remaining(ctx context.Context, id leaseID) (time.Duration, error) {
	return b.lease(ctx, id, func(*memoryLease) {})
}

// lease does something to a lease and returns the time left to it.
func (b *memoryBackend) lease(ctx context.Context, id leaseID, do func(*memoryLease)) (time.Duration, error) {
	if err := b.reach(ctx); err != nil {
		return 0, err
	}
	defer b.m.mu.Unlock()
	l := b.m.leases[id]
	if l == nil {
		return 0, errLeaseLost
	}
	do(l)
	return time.Until(l.deadline), nil
}

func (b *memoryBackend) revoke(ctx context.Context, id leaseID) error {
	if err := b.reach(ctx); err != nil {
		return err
	}
	defer b.m.mu.Unlock()
	if b.m.leases[id] != nil {
		b.m.drop(id)
	}
	return nil
}
