package coordinator

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/forward"
)

// serving is the State of a coordinator that leads and whose group serves.
const serving = "serving"

// peers is what is known of the other coordinators.
type peers struct {
	mu     sync.Mutex
	leader string // "" while nobody leads, as far as is known
	last   string // who led last, as far as is known
	led    bool   // another one has led since this one started
	all    map[string]registry.Coordinator
	warned string // the instance of the leader that serves otherwise, as was said
}

func (p *peers) setLeader(id string, other bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leader, p.last, p.led = id, cmp.Or(id, p.last), p.led || other
}

// before is who leads, or else who led last; "" while nobody has.
func (p *peers) before() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// get is the leader's record, and whether another one has led.
func (p *peers) get() (leader registry.Coordinator, led bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[p.leader], p.led
}

// watchPeers follows the coordinators' records until ctx ends.
func (c *coordinator) watchPeers(ctx context.Context) error {
	for list := range c.reg.WatchCoordinators(ctx) {
		all := make(map[string]registry.Coordinator, len(list))
		for _, x := range list {
			all[x.ID] = x
		}
		c.peers.mu.Lock()
		c.peers.all = all
		c.peers.mu.Unlock()
		c.warnIfOther()
	}
	return nil
}

// warnIfOther says that answers would be others if this coordinator took over.
func (c *coordinator) warnIfOther() {
	here := c.record.Record().Serves
	if leader, differs := c.peers.otherwise(here); differs {
		c.cfg.Logger.Warn("the leader serves otherwise: answers would change if this coordinator took over", "leader", leader.ID, "it", leader.Serves, "here", here)
	}
}

// otherwise is the leader where it does not serve what is served here; it is told
// once.
func (p *peers) otherwise(here string) (leader registry.Coordinator, differs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	leader = p.all[p.leader]
	if leader.Serves == "" || leader.Serves == here || leader.Instance == p.warned {
		return leader, false
	}
	p.warned = leader.Instance
	return leader, true
}

// place tells a listener what to do with a new connection. address picks the
// leader's.
func (c *coordinator) place(address func(registry.Coordinator) string) func() forward.Place {
	return func() forward.Place {
		leader, led := c.peers.get()
		switch {
		case !led:
			return forward.Place{Here: true} // the first: it says what it waits for
		case c.lead.get() != nil:
			// Who takes over forms the group in a moment.
			return forward.Place{Here: c.groups.Served() || c.lead.age() > forward.Patience}
		case leader.ID == c.cfg.ID:
			return forward.Place{}
		case address(leader) == address(c.record.Record()):
			// It listens on another host's loopback, and we on ours.
			return forward.Place{Here: true}
		}
		return forward.Place{Addr: address(leader), Key: leader.ForwardKey}
	}
}

// ready is nil while requests are served: here, or by the leader that this
// coordinator passes them on to.
func (c *coordinator) ready() error {
	leader, led := c.peers.get()
	if c.lead.get() != nil || !led {
		return c.groups.Ready()
	}
	if leader.State == serving {
		return nil
	}
	if leader.ID == "" {
		return fmt.Errorf("standing by, and no coordinator leads")
	}
	return fmt.Errorf("standing by, and coordinator %s, which leads, does not serve", leader.ID)
}

// announce keeps the State of this coordinator's record: it tells those that
// stand by whether the leader serves.
func (c *coordinator) announce(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		state := ""
		if c.lead.get() != nil && c.groups.Ready() == nil {
			state = serving
		}
		if rec := c.record.Record(); rec.State != state {
			rec.State = state
			if err := c.record.Update(rec); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
