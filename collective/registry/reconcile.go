package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// heldError says that the key is another process's.
type heldError struct {
	entry entry
	by    string
}

func (e heldError) Error() string { return "held by " + e.by }

// reconcile makes etcd hold the wanted record under a live lease of ours. Each
// of its calls may fail or be lost; doing it all again is always right.
func (g *Registration[M]) reconcile(ctx context.Context) error {
	if err := g.renew(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	want := g.want
	g.mu.Unlock()
	value, err := encode(want)
	if err != nil {
		return err
	}
	call, cancel := g.r.call(ctx, g.callTimeout())
	defer cancel()
	have, err := g.r.backend.get(call, g.key)
	if err != nil {
		return err
	}
	guard := absent(g.key)
	if have != nil {
		if have.lease == g.lease && bytes.Equal(have.value, value) {
			g.registered.Store(true)
			return nil
		}
		if err := g.mayTake(*have, want.instance()); err != nil {
			return err
		}
		guard = modifiedAt(g.key, have.modRevision)
	} else if g.written {
		g.r.log.Warn("record was gone, writing it again", "key", g.key)
	}
	done, _, err := g.r.backend.commit(call, []condition{guard}, change{key: g.key, value: value, lease: g.lease})
	if err == nil && !done {
		err = errors.New("the record changed meanwhile")
	}
	if errors.Is(err, errLeaseLost) {
		g.lease = 0
	}
	if err != nil {
		return err
	}
	g.written = true
	g.registered.Store(true)
	return nil
}

// renew refreshes the lease, or makes one.
func (g *Registration[M]) renew(ctx context.Context) error {
	call, cancel := g.r.call(ctx, g.callTimeout())
	defer cancel()
	if g.lease != 0 {
		err := g.r.backend.refresh(call, g.lease)
		if !errors.Is(err, errLeaseLost) {
			return err
		}
		g.r.log.Warn("lease lost, registering again with a fresh one", "key", g.key)
		g.lease = 0
		g.registered.Store(false)
	}
	lease, granted, err := g.r.backend.grant(call, g.r.ttl)
	if err != nil {
		return err
	}
	g.lease, g.granted = lease, granted
	return nil
}

// mayTake tells whether an existing value may be overwritten: one of ours, also
// under a lease whose grant we never heard of, or one that no process keeps.
func (g *Registration[M]) mayTake(have entry, instance string) error {
	if have.lease == 0 || have.lease == g.lease {
		return nil
	}
	holder, err := decodeMember[M](g.key, have.value)
	switch {
	case err != nil:
		return heldError{have, fmt.Sprintf("an unknown process (%v)", err)}
	case holder.instance() == instance:
		return nil
	}
	return heldError{have, holder.describe()}
}

func (g *Registration[M]) callTimeout() time.Duration {
	if g.granted == 0 {
		return min(callTimeout, beat(g.r.ttl))
	}
	return min(callTimeout, beat(g.granted))
}
