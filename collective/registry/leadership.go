package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNotLeader is returned by a write whose leadership is over: somebody else
// leads, or will.
var ErrNotLeader = errors.New("not the leader any more")

// Leadership is the right to write generations. It lasts until Resign, or until
// etcd says that its lease is gone.
type Leadership struct {
	c *contender // its lease and until are the keeper's until done

	lost     chan struct{}
	loseOnce sync.Once
	until    atomic.Int64 // UnixNano

	cancel     context.CancelFunc
	done       chan struct{} // the keeper has ended
	resignOnce sync.Once
	resignErr  error
}

// lead makes a contender that is first a leader.
func (c *contender) lead() (*Leadership, error) {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Leadership{c: c, lost: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	l.until.Store(c.until.UnixNano())
	err := c.r.spawn(ctx, func(ctx context.Context) {
		defer close(l.done)
		defer l.lose()
		l.keep(ctx)
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return l, nil
}

// keep refreshes the lease until ctx ends or etcd says that it's gone.
func (l *Leadership) keep(ctx context.Context) {
	var retry backoff
	away := outage{log: l.c.r.log, what: "leadership"}
	wait := jitter(beat(l.c.ttl))
	for sleep(ctx, wait) {
		switch err := l.c.refresh(ctx); {
		case err == nil:
			l.until.Store(l.c.until.UnixNano())
			away.over()
			retry.reset()
			wait = jitter(beat(l.c.ttl))
		case errors.Is(err, errLeaseLost):
			l.c.r.log.Warn("leadership lost", "coordinator", l.c.id, "key", l.c.key)
			return
		default:
			away.failed(ctx, err)
			wait = retry.next()
		}
	}
}

func (l *Leadership) lose() { l.loseOnce.Do(func() { close(l.lost) }) }

// Lost is closed when the leadership is certainly over: etcd said so, a write
// was refused with ErrNotLeader, Resign was called, or the Registry was closed.
// It stays open while etcd is merely away: nobody can be elected without etcd,
// and what is fenced by epochs may go on. See ValidUntil.
func (l *Leadership) Lost() <-chan struct{} { return l.lost }

// ValidUntil is the time before which nobody else can have been elected. Past it
// etcd is away, or out of our reach alone: then another coordinator may lead and
// take the workers over by a higher epoch.
func (l *Leadership) ValidUntil() time.Time { return time.Unix(0, l.until.Load()) }

// ID is the coordinator that leads.
func (l *Leadership) ID() string { return l.c.id }

// Key and Revision identify the leadership in etcd: it lasts as long as Key has
// Revision as its create revision. Every guarded write compares them. Revisions
// of later leaderships are larger.
func (l *Leadership) Key() string { return l.c.key }

// Revision is described at Key.
func (l *Leadership) Revision() int64 { return l.c.revision }

// Resign gives the leadership up, so that a standby is elected at once. It waits
// until etcd has taken it, ctx ends, or a few seconds have passed; otherwise the
// lease lapses, and the error says so. More calls return the same.
func (l *Leadership) Resign(ctx context.Context) error {
	l.resignOnce.Do(func() {
		l.cancel()
		<-l.done
		call, cancel := l.c.r.call(ctx, callTimeout)
		defer cancel()
		if err := l.c.r.backend.revoke(call, l.c.lease); err != nil {
			l.resignErr = fmt.Errorf("registry: leadership of %s stays until its lease ends: %w", l.c.id, err)
		}
	})
	return l.resignErr
}

// commit makes the changes if we still lead and the key is as it was at
// modRevision: otherwise ErrNotLeader, or ErrConflict. After any other error the
// changes may have been made or not.
func (l *Leadership) commit(ctx context.Context, key string, modRevision int64, then ...change) error {
	b := l.c.r.backend
	done, _, err := b.commit(ctx, []condition{createdAt(l.c.key, l.c.revision), modifiedAt(key, modRevision)}, then...)
	if err != nil || done {
		return err
	}
	mine, err := b.get(ctx, l.c.key)
	if err != nil {
		return err
	}
	if mine == nil || mine.createRevision != l.c.revision {
		l.lose()
		return ErrNotLeader
	}
	return ErrConflict
}
