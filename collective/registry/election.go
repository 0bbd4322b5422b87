package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNoLeader is returned by Leader while nobody leads.
var ErrNoLeader = errors.New("no coordinator leads")

// candidate is the value of a key below leader/.
type candidate struct {
	ID string `json:"id"`
}

func (c candidate) validate() error { return checkName("coordinator id", c.ID) }

// Campaign waits until the coordinator leads, or until ctx ends. It outlasts
// etcd's absences and the loss of its own lease, after which it queues anew: when
// lapsed, where it isn't nil, returns.
//
// The election is etcd's usual one, with its layout of keys (one per candidate,
// named by its lease; the oldest leads). clientv3/concurrency.Election is not
// used because it takes itself for elected when its own key lapsed while it
// waited, and because it waits without bound for an etcd that is away.
func (r *Registry) Campaign(ctx context.Context, coordinatorID string, lapsed func(context.Context)) (*Leadership, error) {
	if err := (candidate{coordinatorID}).validate(); err != nil {
		return nil, err
	}
	ctx, cancel := r.within(ctx)
	defer cancel()
	states := r.follow(ctx, r.keys.candidates())
	defer func() {
		cancel()
		for range states {
		}
	}()
	var retry backoff
	away := outage{log: r.log, what: "election"}
	for {
		c := &contender{r: r, id: coordinatorID}
		err := c.stand(ctx)
		if err == nil {
			away.over()
			retry.reset()
			err = c.wait(ctx, states)
		}
		if err == nil {
			var l *Leadership
			if l, err = c.lead(); err == nil {
				return l, nil
			}
		}
		c.withdraw()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("registry: campaign of %s: %w", coordinatorID, context.Cause(ctx))
		}
		if refused(err) {
			return nil, fmt.Errorf("registry: campaign of %s: %w", coordinatorID, err)
		}
		if errors.Is(err, errLeaseLost) {
			r.log.Warn("candidacy lapsed, queueing anew", "coordinator", coordinatorID)
			if lapsed != nil {
				lapsed(ctx)
			}
		} else {
			away.failed(ctx, err)
		}
		sleep(ctx, retry.next())
	}
}

// contender is one key in the queue.
type contender struct {
	r        *Registry
	id       string
	lease    leaseID
	ttl      time.Duration // of the lease
	key      string
	revision int64     // at which the key was created
	until    time.Time // the lease can't end before
}

// stand puts our key in the queue.
func (c *contender) stand(ctx context.Context) error {
	value, err := encode(candidate{c.id})
	if err != nil {
		return err
	}
	call, cancel := c.r.call(ctx, min(callTimeout, beat(c.r.ttl)))
	defer cancel()
	asked := time.Now()
	if c.lease, c.ttl, err = c.r.backend.grant(call, c.r.ttl); err != nil {
		return err
	}
	c.until = asked.Add(c.ttl)
	c.key = c.r.keys.candidate(c.lease)
	done, revision, err := c.r.backend.commit(call, []condition{absent(c.key)}, change{key: c.key, value: value, lease: c.lease})
	if err == nil && !done {
		err = fmt.Errorf("%s exists", c.key)
	}
	c.revision = revision
	return err
}

// refresh renews the lease and makes sure that our key is still there:
// errLeaseLost if it certainly isn't, whoever took it away.
func (c *contender) refresh(ctx context.Context) error {
	call, cancel := c.r.call(ctx, min(callTimeout, beat(c.ttl)))
	defer cancel()
	asked := time.Now()
	if err := c.r.backend.refresh(call, c.lease); err != nil {
		return err
	}
	e, err := c.r.backend.get(call, c.key)
	if err != nil {
		return err
	}
	if e == nil || e.createRevision != c.revision {
		return errLeaseLost
	}
	c.until = asked.Add(c.ttl)
	return nil
}

// wait returns nil when our key is the oldest, confirmed with etcd at that
// moment; errLeaseLost when it is gone.
func (c *contender) wait(ctx context.Context, states <-chan state) error {
	var retry backoff
	next := time.NewTimer(jitter(beat(c.ttl)))
	defer next.Stop()
	first := false
	for {
		select {
		case s, ok := <-states:
			if !ok {
				return ctx.Err()
			}
			if s.revision < c.revision {
				continue // from before we stood
			}
			if first = c.first(s.entries); !first {
				continue
			}
			next.Reset(0)
		case <-next.C:
			err := c.refresh(ctx)
			switch {
			case err == nil && first:
				return nil
			case errors.Is(err, errLeaseLost), ctx.Err() != nil:
				return err
			case err != nil:
				next.Reset(retry.next())
			default:
				retry.reset()
				next.Reset(jitter(beat(c.ttl)))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// first tells whether our key is the oldest of all.
func (c *contender) first(entries []entry) bool {
	mine := false
	for _, e := range entries {
		if e.createRevision < c.revision {
			return false
		}
		mine = mine || e.key == c.key && e.createRevision == c.revision
	}
	return mine
}

// withdraw takes the key out of the queue, as well as it can in a short time;
// otherwise it lapses.
func (c *contender) withdraw() error {
	if c.lease == 0 {
		return nil
	}
	call, cancel := c.r.call(context.Background(), min(callTimeout, beat(c.ttl)))
	defer cancel()
	return c.r.backend.revoke(call, c.lease)
}

// Leader is the ID of the coordinator that leads; ErrNoLeader if none does.
func (r *Registry) Leader(ctx context.Context) (string, error) {
	call, cancel := r.call(ctx, callTimeout)
	defer cancel()
	entries, _, err := r.backend.list(call, r.keys.candidates())
	if err != nil {
		return "", fmt.Errorf("registry: leader: %w", err)
	}
	id := oldestID(newReader(r, decode[candidate]), entries)
	if id == "" {
		return "", fmt.Errorf("registry: %w", ErrNoLeader)
	}
	return id, nil
}

// WatchLeader sends the ID of the coordinator that leads, "" for none, now and
// after each change; otherwise it is as WatchWorkers.
func (r *Registry) WatchLeader(ctx context.Context) <-chan string {
	read := newReader(r, decode[candidate])
	last := "\x00" // no ID
	return translate(ctx, r, r.follow(ctx, r.keys.candidates()), func(s state) (string, bool) {
		id := oldestID(read, s.entries)
		changed := id != last
		last = id
		return id, changed
	})
}

// oldest is the candidate that stood first, nil for none.
func oldest(entries []entry) *entry {
	var first *entry
	for i, e := range entries {
		if first == nil || e.createRevision < first.createRevision {
			first = &entries[i]
		}
	}
	return first
}

// oldestID is its ID, "" for none.
func oldestID(read *reader[candidate], entries []entry) string {
	first := oldest(entries)
	if first == nil {
		return ""
	}
	c, _ := read.one(*first)
	return c.ID
}
