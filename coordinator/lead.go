package coordinator

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sullae/sullae/collective/registry"
)

// leader holds this coordinator's leadership while it has it.
type leader struct {
	mu    sync.Mutex
	l     *registry.Leadership
	since time.Time
}

func (l *leader) set(x *registry.Leadership) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.l, l.since = x, time.Now()
}

// age is how long this coordinator has led.
func (l *leader) age() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.since)
}

func (l *leader) get() *registry.Leadership {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.l
}

// placement implements group.Placement over the registry.
type placement struct {
	*registry.Registry
	lead *leader
}

func (p placement) WriteGeneration(ctx context.Context, g registry.Generation) (uint64, error) {
	l := p.lead.get()
	if l == nil {
		return 0, registry.ErrNotLeader
	}
	return l.WriteGeneration(ctx, g)
}

// leadAndRun stands for election until ctx ends, and drives the group while it
// leads, until run ends. One whose leadership is lost steps down and stands again:
// its state is in its workers and clients.
func (c *coordinator) leadAndRun(ctx, run context.Context) error {
	for {
		err := c.term(ctx, run)
		c.lead.set(nil)
		if !errors.Is(err, registry.ErrNotLeader) || ctx.Err() != nil {
			return err
		}
		c.peers.setLeader("", true)
		c.cfg.Logger.Warn("stepping down: leadership in etcd was lost", "coordinator", c.cfg.ID)
	}
}

// term is one candidacy, and the leadership that follows.
func (c *coordinator) term(ctx, run context.Context) error {
	sctx, elected := context.WithCancel(ctx)
	defer elected()
	var standing sync.WaitGroup
	standing.Go(func() {
		for id := range c.reg.WatchLeader(sctx) {
			other := id != "" && id != c.cfg.ID
			c.peers.setLeader(id, other)
			if other {
				c.cfg.Logger.Info("standing by", "leader", id)
				c.warnIfOther()
				c.groups.StandBy(id)
			}
		}
	})
	standing.Go(func() { c.watchLeader(sctx) })
	l, err := c.reg.Campaign(ctx, c.cfg.ID, c.giveWay)
	elected()
	standing.Wait()
	if ctx.Err() != nil {
		<-run.Done() // what is passed on to the leader may end in order
	}
	if err != nil {
		return err
	}
	c.cfg.Logger.Info("leading", "coordinator", c.cfg.ID)
	c.lead.set(l)
	defer func() {
		rctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if now := c.lead.get(); now != nil {
			now.Resign(rctx)
		}
	}()
	run, cancel := context.WithCancelCause(run)
	defer cancel(nil)
	go func() {
		for {
			select {
			case <-c.lead.get().Lost():
			case <-run.Done():
				return
			}
			again := c.regain(run)
			if again == nil {
				cancel(registry.ErrNotLeader)
				return
			}
			c.lead.set(again)
		}
	}()
	return c.groups.Run(run)
}

// regainTimeout is how long a leader whose lease ran out tries to lead again.
const regainTimeout = 2 * time.Second

// giveWay lets the coordinator that led before etcd was away lead again, while it
// is there: its groups have gone on, and what its clients have asked for goes on.
func (c *coordinator) giveWay(ctx context.Context) {
	giveWay(ctx, c.peers.before(), c.cfg.ID, c.view.Dead)
}

func giveWay(ctx context.Context, before, self string, dead func(string) bool) {
	end := time.Now().Add(regainTimeout)
	for before != "" && before != self && !dead(before) && time.Now().Before(end) {
		if !sleepFor(ctx, 50*time.Millisecond) {
			return
		}
	}
}

// regain leads again after the lease ran out while etcd was away, if nobody else
// has led meanwhile: then the groups have gone on all the time, and go on. nil:
// another one leads, or is about to.
func (c *coordinator) regain(ctx context.Context) *registry.Leadership {
	rctx, cancel := context.WithTimeout(ctx, regainTimeout)
	defer cancel()
	go func() { // ends with rctx
		for id := range c.reg.WatchLeader(rctx) {
			if id != "" && id != c.cfg.ID {
				cancel() // the longer this one goes on, the more requests it takes that it must refuse
			}
		}
	}()
	l, err := c.reg.Campaign(rctx, c.cfg.ID, nil)
	if err != nil {
		return nil
	}
	for _, g := range c.groups.Groups() {
		gen, err := c.reg.ReadGeneration(rctx, g.Name())
		if err != nil && !errors.Is(err, registry.ErrNoGeneration) || err == nil && gen.Leader != c.cfg.ID {
			l.Resign(ctx)
			return nil
		}
	}
	if ctx.Err() != nil {
		l.Resign(context.WithoutCancel(ctx))
		return nil
	}
	c.cfg.Logger.Info("leading again after etcd was away", "coordinator", c.cfg.ID)
	return l
}
