package runner

import (
	"context"
	"sync"
	"time"
)

// startLimit is the concurrency that a Limit begins with.
const startLimit = 8

// ceilingPoll is how often a Limit at its ceiling asks for it again.
const ceilingPoll = 50 * time.Millisecond

// Limit is how many requests may be under way at once. It finds the server's
// capacity as TCP finds a network's: it doubles per round until the server
// refuses the first request, then halves, and from there on grows by one per
// round. It is safe for concurrent use; several runs may share it.
type Limit struct {
	// Ceiling, if set, lowers the maximum for as long as it says so.
	Ceiling func() int

	mu      sync.Mutex
	max     int
	limit   float64
	steady  bool // a first refusal has been
	round   int  // counts refusals: those of one round count once
	running int
	notYet  time.Time     // the server asked for peace until then
	changed chan struct{} // closed when something ends
}

// NewLimit is a limit of at most n.
func NewLimit(n int) *Limit {
	return &Limit{max: n, limit: float64(min(n, startLimit)), changed: make(chan struct{})}
}

// Running is how many requests are under way.
func (l *Limit) Running() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

// acquire waits until one more request may go. The ticket tells its round.
func (l *Limit) acquire(ctx context.Context) (ticket int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		ceiling := l.max
		if l.Ceiling != nil {
			ceiling = min(ceiling, l.Ceiling())
		}
		l.mu.Lock()
		wait := time.Until(l.notYet)
		if wait <= 0 && l.running < min(int(l.limit), ceiling) {
			l.running++
			defer l.mu.Unlock()
			return l.round, nil
		}
		changed := l.changed
		l.mu.Unlock()
		if wait <= 0 && ceiling < l.max {
			wait = ceilingPoll // nobody tells when the ceiling rises
		}
		if err := pause(ctx, wait, changed); err != nil {
			return 0, err
		}
	}
}

// pause waits for d (0: for ever), a change or the context's end.
func pause(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-after:
	}
	return nil
}

// release ends a request; answered raises the limit.
func (l *Limit) release(answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if answered {
		grow := 1.0
		if l.steady {
			grow /= l.limit
		}
		l.limit = min(l.limit+grow, float64(l.max))
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// refused lowers the limit and begins nothing for a while.
func (l *Limit) refused(ticket int, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(after); until.After(l.notYet) {
		l.notYet = until
	}
	if ticket == l.round {
		l.round++
		l.steady = true
		l.limit = max(1, l.limit/2)
	}
}
