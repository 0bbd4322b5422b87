package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sullae/sullae/collective/registry"
)

// cluster is some coordinators that campaign and write, and the disturber of
// their peace.
type cluster struct {
	t      *testing.T
	memory *registry.Memory
	mu     sync.Mutex
	leads  []*registry.Leadership // all that there ever were
	epochs []uint64               // in the order in which writes returned
}

// elected checks that nobody else is sure to lead.
func (c *cluster) elected(l *registry.Leadership) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.leads {
		select {
		case <-other.Lost():
		default:
			if time.Now().Before(other.ValidUntil()) {
				c.t.Errorf("%s elected while %s is sure to lead", l.ID(), other.ID())
			}
		}
		if other.Revision() >= l.Revision() {
			c.t.Errorf("%s leads at %d, after %s at %d", l.ID(), l.Revision(), other.ID(), other.Revision())
		}
	}
	c.leads = append(c.leads, l)
}

// coordinate leads and writes, again and again, until ctx ends.
func (c *cluster) coordinate(ctx context.Context, r *registry.Registry, id string, rnd *rand.Rand) {
	for ctx.Err() == nil {
		l, err := r.Campaign(ctx, id, nil)
		if err != nil {
			if ctx.Err() == nil {
				c.t.Errorf("campaign: %v", err)
			}
			return
		}
		c.elected(l)
		for range 1 + rnd.IntN(20) {
			call, cancel := context.WithTimeout(ctx, time.Second)
			epoch, err := l.WriteGeneration(call, generation("g"))
			cancel()
			if err == nil {
				c.mu.Lock()
				c.epochs = append(c.epochs, epoch)
				c.mu.Unlock()
			}
			if errors.Is(err, registry.ErrConflict) {
				c.t.Error("two leaders' writes met")
			}
			select {
			case <-l.Lost():
				continue // what was lost must stay refused
			case <-time.After(time.Duration(rnd.IntN(3000)) * time.Millisecond):
			case <-ctx.Done():
			}
		}
		if rnd.IntN(2) == 0 {
			call, cancel := context.WithTimeout(ctx, time.Second)
			l.Resign(call)
			cancel()
		} else {
			select {
			case <-l.Lost():
			case <-time.After(time.Minute):
				l.Resign(ctx)
			}
		}
	}
}

// TestManyCoordinators disturbs coordinators for half an hour: the store goes away,
// single ones are cut off. No two are sure to lead at a time, and the epochs grow.
func TestManyCoordinators(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { manyCoordinators(t, seed) })
		})
	}
}

func manyCoordinators(t *testing.T, seed uint64) {
	c := &cluster{t: t, memory: registry.NewMemory()}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var rs []*registry.Registry
	for i := range 4 {
		r, err := c.memory.Open(registry.Config{})
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
		wg.Go(func() { c.coordinate(ctx, r, fmt.Sprintf("c%d", i), rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	watch := follow(rs[0].WatchGeneration(ctx, "g"))
	rnd := rand.New(rand.NewPCG(seed, 99))
	for ctx.Err() == nil {
		pause := time.Duration(rnd.IntN(30_000)) * time.Millisecond
		switch r := rs[rnd.IntN(len(rs))]; rnd.IntN(4) {
		case 0:
			c.memory.SetAway(true)
			time.Sleep(pause)
			c.memory.SetAway(false)
		case 1, 2:
			c.memory.CutOff(r, true)
			time.Sleep(pause)
			c.memory.CutOff(r, false)
		case 3:
			c.memory.Compact()
		}
		time.Sleep(pause)
	}
	wg.Wait()
	last, _, _ := watch.get()
	var before uint64
	for _, e := range c.epochs {
		if e <= before {
			t.Errorf("epoch %d after %d", e, before)
		}
		before = e
	}
	if len(c.leads) < 10 || before < 50 {
		t.Errorf("only %d leaders, %d epochs: nothing was tested", len(c.leads), before)
	}
	if last.Epoch < before {
		t.Errorf("the watch ends at epoch %d of %d", last.Epoch, before)
	}
	for _, r := range rs {
		r.Close()
	}
}

// A worker that is cut off alone is gone for the others, and comes back.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memoryStore{t, registry.NewMemory()}
		b := newBench(t, m)
		watch := follow(b.process().WatchWorkers(b.ctx))
		p := b.process()
		b.register(p, "w1")
		b.soon("registered", seen(watch, "w1"))
		m.CutOff(p, true)
		b.within(2*b.ttl(), "gone", seen(watch, ""))
		m.CutOff(p, false)
		b.soon("back", seen(watch, "w1"))
	})
}
