package registry

import (
	"context"
	"fmt"
	"math"
	"time"
)

// WriteGeneration writes a group's next generation and returns its epoch: one
// more than the largest of the group's last epoch, ended or not, and g.Epoch. A
// caller that knows of a later epoch than etcd may (etcd lost its data, workers
// did not) sets g.Epoch to it. Leader is set, CreatedUnixMs where it is 0.
//
// The write is one transaction that depends on this leadership and on the record
// that was read: ErrNotLeader, ErrConflict. After another error (etcd went away
// in between) it may have been made or not; a further call takes a further epoch.
func (l *Leadership) WriteGeneration(ctx context.Context, g Generation) (epoch uint64, err error) {
	g.Leader = l.c.id
	g.Ended = false
	if g.CreatedUnixMs == 0 {
		g.CreatedUnixMs = time.Now().UnixMilli()
	}
	return l.writeGeneration(ctx, g.Group, func(last Generation) (Generation, error) {
		known := max(last.Epoch, g.Epoch)
		if known == math.MaxUint64 {
			return g, fmt.Errorf("epoch %d has no next", known)
		}
		g.Epoch = known + 1
		return g, nil
	})
}

// EndGeneration marks the group's generation as ended if its epoch is still the
// given one, else ErrConflict; it keeps the epoch's count. A group without a
// generation is ErrNoGeneration. Guards and errors are WriteGeneration's.
func (l *Leadership) EndGeneration(ctx context.Context, group string, epoch uint64) error {
	_, err := l.writeGeneration(ctx, group, func(last Generation) (Generation, error) {
		switch {
		case last.Epoch == 0:
			return last, ErrNoGeneration
		case last.Epoch != epoch:
			return last, fmt.Errorf("%w: epoch %d, not %d", ErrConflict, last.Epoch, epoch)
		}
		last.Ended, last.Ranks, last.TokenHash, last.Leader = true, nil, "", l.c.id
		return last, nil
	})
	return err
}

// writeGeneration replaces the group's record by what next makes of it; a group
// that has none gives next a zero Generation.
func (l *Leadership) writeGeneration(ctx context.Context, group string, next func(Generation) (Generation, error)) (uint64, error) {
	if err := checkName("group", group); err != nil {
		return 0, err
	}
	r := l.c.r
	call, cancel := r.call(ctx, callTimeout)
	defer cancel()
	fail := func(err error) (uint64, error) {
		return 0, fmt.Errorf("registry: generation of group %s: %w", group, err)
	}
	key := r.keys.generation(group)
	have, err := r.backend.get(call, key)
	if err != nil {
		return fail(err)
	}
	var last Generation
	var modRevision int64
	if have != nil {
		modRevision = have.modRevision
		// To write over a record that can't be read would be to lose count.
		if last, err = decodeGeneration(group)(key, have.value); err != nil {
			return fail(fmt.Errorf("%w; if no newer release runs and no worker is at work, delete the key", err))
		}
	}
	g, err := next(last)
	if err != nil {
		return fail(err)
	}
	if err := g.validate(); err != nil {
		return fail(err)
	}
	value, err := encode(g)
	if err != nil {
		return fail(err)
	}
	if err := l.commit(call, key, modRevision, change{key: key, value: value}); err != nil {
		return fail(err)
	}
	return g.Epoch, nil
}

// ReadGeneration reads the group's current generation from etcd, as its majority
// has it now, not from a cache: what a worker compares an order with. An ended
// generation is returned as such; a group that never had one is
// ErrNoGeneration; a record that can't be read ErrMalformed or ErrNewerSchema.
func (r *Registry) ReadGeneration(ctx context.Context, group string) (Generation, error) {
	if err := checkName("group", group); err != nil {
		return Generation{}, err
	}
	call, cancel := r.call(ctx, callTimeout)
	defer cancel()
	key := r.keys.generation(group)
	e, err := r.backend.get(call, key)
	if err != nil {
		return Generation{}, fmt.Errorf("registry: read %s: %w", key, err)
	}
	if e == nil {
		return Generation{}, fmt.Errorf("registry: group %s: %w", group, ErrNoGeneration)
	}
	return decodeGeneration(group)(key, e.value)
}

// WatchGeneration sends the group's generation now, if there is one, and after
// each change, otherwise as WatchWorkers: the latest only, nothing while etcd is
// away, and nothing for a record that is deleted or can't be read.
func (r *Registry) WatchGeneration(ctx context.Context, group string) <-chan Generation {
	key := r.keys.generation(group)
	read := newReader(r, decodeGeneration(group))
	var sent int64 // modRevision of what was sent last
	return translate(ctx, r, r.follow(ctx, key), func(s state) (Generation, bool) {
		for _, e := range s.entries {
			// Other groups' names may begin with ours.
			if e.key != key || e.modRevision == sent {
				continue
			}
			sent = e.modRevision
			return read.one(e)
		}
		return Generation{}, false
	})
}
