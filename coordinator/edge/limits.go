package edge

import (
	"sync"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
)

// quota is a key's use, against its limits. It lives as long as the process, so
// that a file read again gives nobody a fresh minute.
type quota struct {
	name string

	mu       sync.Mutex
	limits   Limits
	requests bucket
	tokens   bucket
	running  int
}

// bucket holds what may be used at once: a minute's worth at most, filled
// evenly. It may be in debt, since what an answer takes is known when it is made.
type bucket struct {
	level float64
	since time.Time
}

// fill brings the bucket to now.
func (b *bucket) fill(now time.Time, perMinute int) {
	limit := float64(perMinute)
	if b.since.IsZero() {
		b.level = limit
	} else if d := now.Sub(b.since); d > 0 {
		b.level += limit * d.Minutes()
	}
	b.level, b.since = min(b.level, limit), now
}

// wait is how long until need is there; need is at most a minute's worth.
func (b *bucket) wait(need float64, perMinute int) time.Duration {
	lack := min(need, float64(perMinute)) - b.level
	if lack <= 1e-9 {
		return 0
	}
	return time.Duration(lack / float64(perMinute) * float64(time.Minute))
}

// Begin implements gateway.Quota.
func (q *quota) Begin(now time.Time, promptTokens int) (gateway.Usage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.limits
	over := func(limit string, value int, wait time.Duration) error {
		return &gateway.RetryError{Err: &gateway.QuotaError{Caller: q.name, Limit: limit, Value: value}, After: wait}
	}
	if l.Concurrent > 0 && q.running >= l.Concurrent {
		return nil, over("concurrent requests", l.Concurrent, time.Second)
	}
	if n := l.RequestsPerMinute; n > 0 {
		q.requests.fill(now, n)
		if w := q.requests.wait(1, n); w > 0 {
			return nil, over("requests per minute", n, w)
		}
	}
	if n := l.TokensPerMinute; n > 0 {
		q.tokens.fill(now, n)
		// A prompt larger than a minute's worth takes all of it, and a debt.
		if w := q.tokens.wait(float64(promptTokens), n); w > 0 {
			return nil, over("tokens per minute", n, w)
		}
	}
	q.running++
	q.requests.level--
	q.tokens.level -= float64(promptTokens)
	return &usage{q: q}, nil
}

// usage is a request under way.
type usage struct {
	q    *quota
	once sync.Once
}

// Generated implements gateway.Usage.
func (u *usage) Generated(n int) {
	u.q.mu.Lock()
	u.q.tokens.level -= float64(n)
	u.q.mu.Unlock()
}

// End implements gateway.Usage.
func (u *usage) End() {
	u.once.Do(func() {
		u.q.mu.Lock()
		u.q.running--
		u.q.mu.Unlock()
	})
}
