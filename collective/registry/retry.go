package registry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Waits between attempts while etcd is away. The longest is short, because it
// adds to the time that the record is untrue after etcd's return.
const (
	retryMin = 50 * time.Millisecond
	retryMax = time.Second
)

// backoff is the wait before the next attempt; the zero value begins anew.
type backoff struct{ last time.Duration }

// next doubles the wait, up to retryMax, give or take a quarter, so that many
// workers do not come back in one instant.
func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, retryMin), retryMax)
	return jitter(b.last)
}

func (b *backoff) reset() { b.last = 0 }

// jitter is d, give or take a quarter.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2+1))
}

// sleep waits for d and tells whether it passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
