package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// rivalMargin is added to the time after which a record that is still there must
// be refreshed by somebody: etcd counts whole seconds and deletes in batches.
const rivalMargin = 2 * time.Second

var errAlive = errors.New("the lease is being refreshed")

// rival watches the lease of another holder of our key, to tell a process that
// is alive, which refreshes it, from one that died and left it to lapse.
type rival struct {
	lease     leaseID
	remaining time.Duration
	deadline  time.Time
}

// check is called from time to time while the key is held; errAlive is final.
func (v *rival) check(ctx context.Context, r *Registry, held entry) error {
	call, cancel := r.call(ctx, callTimeout)
	defer cancel()
	left, err := r.backend.remaining(call, held.lease)
	if err != nil {
		return nil // lapsed meanwhile, or etcd is away: ask again
	}
	switch {
	case v.lease == 0:
		r.log.Info("id is held by an earlier registration, waiting for its lease to end", "key", held.key, "for", left)
		v.deadline = time.Now().Add(left + rivalMargin)
	case v.lease != held.lease, left > v.remaining, time.Now().After(v.deadline):
		return errAlive
	}
	v.lease, v.remaining = held.lease, left
	return nil
}

// newInstance names one registration by one process.
func newInstance() string { return rand.Text() }
