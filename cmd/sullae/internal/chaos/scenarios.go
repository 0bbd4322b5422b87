package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/sullae/sullae/coordinator/status"
)

// steady runs f under load, during which no request may fail, and notes the
// longest pause that it caused under the name.
func (c *Cluster) steady(ctx context.Context, l *load, name string, f func() error) error {
	judge := c.watchTruth(ctx)
	l.mu.Lock()
	l.outcomes = nil
	l.mu.Unlock()
	stop := l.keep(ctx, c.cfg.Streams)
	began := time.Now()
	err := f()
	stop()
	judge()
	answered, refused, longest := l.tally(began)
	if refused > 0 {
		c.violate("%s: %d requests were refused, such as: %v", name, refused, l.refusal())
	}
	if answered == 0 {
		c.violate("%s: not one request was answered", name)
	}
	c.measure(name+": longest pause of a stream", longest)
	c.note(name+": answers, all as undisturbed", "", float64(answered))
	return err
}

// Rolling restarts every worker, then every coordinator, the leader last, one at a
// time.
func (c *Cluster) Rolling(ctx context.Context) error {
	l, err := c.newLoad(ctx, 16, c.cfg.Tokens)
	if err != nil {
		return err
	}
	return c.steady(ctx, l, "rolling restart", func() error {
		lead, _, err := c.leader(ctx)
		if err != nil {
			return err
		}
		order := append([]*node(nil), c.workers...)
		for _, n := range c.coordinators {
			if n != lead {
				order = append(order, n)
			}
		}
		for _, n := range append(order, lead) {
			began, pid := time.Now(), n.pid()
			n.end(syscall.SIGTERM, 30*time.Second)
			for end := time.Now().Add(time.Minute); n.pid() == 0 || n.pid() == pid; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					return fmt.Errorf("%s does not start again", n.name)
				}
			}
			if err := c.awaitFull(ctx, time.Minute); err != nil {
				return fmt.Errorf("after the restart of %s: %w", n.name, err)
			}
			c.measure("rolling restart: one process", time.Since(began))
			c.say("%s restarted, whole again after %.1f s", n.name, time.Since(began).Seconds())
		}
		return nil
	})
}

// Elastic has the last worker leave and come back, times times.
func (c *Cluster) Elastic(ctx context.Context, times int) error {
	l, err := c.newLoad(ctx, 16, c.cfg.Tokens)
	if err != nil {
		return err
	}
	size := func(want int) func(status.Cluster) bool {
		return func(s status.Cluster) bool { return s.Group.Phase == "serving" && s.Group.WorldSize == want }
	}
	last := c.workers[len(c.workers)-1]
	for range times {
		for _, step := range []struct {
			name string
			size int
			do   func()
		}{
			{fmt.Sprintf("from %d to %d workers", c.cfg.Workers, c.cfg.Workers-1), c.cfg.Workers - 1, func() { last.hold(true); last.end(syscall.SIGTERM, 30*time.Second) }},
			{fmt.Sprintf("from %d to %d workers", c.cfg.Workers-1, c.cfg.Workers), c.cfg.Workers, func() { last.hold(false) }},
		} {
			began := time.Now()
			if err := c.steady(ctx, l, step.name, func() error {
				step.do()
				return c.await(ctx, time.Minute, step.name, size(step.size))
			}); err != nil {
				return err
			}
			// What a worker has or leaves is no matter for the coordinator.
			read, peers := c.loaded(began)
			c.note(step.name+": bytes loaded from the coordinator", "MB", float64(read)/1e6)
			c.note(step.name+": bytes loaded from peers", "MB", float64(peers)/1e6)
			if peers < read {
				c.violate("%s: %d bytes were loaded from the coordinator, %d from peers that had them", step.name, read, peers)
			}
			told := int64(0)
			if _, s, err := c.leader(ctx); err == nil {
				for _, w := range s.Workers {
					told += w.LoadedFrom["peer"]
				}
			}
			if told != peers {
				c.violate("%s: %d bytes were loaded from peers, the status says %d", step.name, peers, told)
			}
		}
	}
	return nil
}

// EtcdAway keeps etcd down for a time, and loses a worker meanwhile. A frozen etcd
// is stopped, not ended: when it goes on all leases have run out.
func (c *Cluster) EtcdAway(ctx context.Context, away time.Duration, frozen bool) error {
	l, err := c.newLoad(ctx, 16, c.cfg.Tokens)
	if err != nil {
		return err
	}
	pids := map[*node]int{}
	victim := c.workers[0]
	for _, n := range c.nodes {
		if n != victim && n != c.etcd {
			pids[n] = n.pid()
		}
	}
	return c.steady(ctx, l, "etcd away", func() error {
		began := time.Now()
		if frozen {
			c.etcd.signal(syscall.SIGSTOP)
		} else {
			c.etcd.hold(true)
			c.etcd.signal(syscall.SIGKILL)
		}
		if err := pause(ctx, away/4); err != nil {
			return err
		}
		killed := time.Now()
		victim.hold(true)
		victim.signal(syscall.SIGKILL)
		if err := c.await(ctx, 20*time.Second, "a group without the worker that was killed", func(s status.Cluster) bool {
			for _, w := range s.Workers {
				if w.ID == victim.name && w.Rank >= 0 {
					return false
				}
			}
			return s.Group.Phase == "serving"
		}); err != nil {
			return err
		}
		c.measure("etcd away: a killed worker is replaced after", time.Since(killed))
		if err := pause(ctx, away-time.Since(began)); err != nil {
			return err
		}
		back := time.Now()
		c.etcd.hold(false)
		c.etcd.signal(syscall.SIGCONT)
		for end := back.Add(20 * time.Second); len(c.since(back, epochRecorded)) == 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				return fmt.Errorf("the epoch is not recorded 20 s after etcd was started")
			}
		}
		c.measure("etcd away: the record is true after etcd's start", c.since(back, epochRecorded)[0].Time.Sub(back))
		for n, pid := range pids {
			if n.pid() != pid {
				c.violate("%s had pid %d and has %d: it did not outlive etcd's absence", n.name, pid, n.pid())
			}
		}
		victim.hold(false)
		return c.awaitFull(ctx, time.Minute)
	})
}

// Blips cuts links for a moment: each must cost time and nothing else.
func (c *Cluster) Blips(ctx context.Context, cut time.Duration, times int) error {
	if c.lab == nil {
		return fmt.Errorf("nothing can be cut between loopback addresses")
	}
	l, err := c.newLoad(ctx, 16, c.cfg.Tokens)
	if err != nil {
		return err
	}
	lead, before, err := c.leader(ctx)
	if err != nil {
		return err
	}
	a, b := c.worker(before.Workers[0].ID), c.worker(before.Workers[1].ID)
	for range times {
		for _, x := range []struct {
			name string
			set  func(cut bool)
		}{
			{"between two workers", func(cut bool) { c.lab.CutPair(a.host, b.host, cut) }},
			{"between coordinator and worker", func(cut bool) { c.lab.CutPair(lead.host, b.host, cut) }},
			{"of a worker's host", func(cut bool) { c.lab.Cut(b.host, cut) }},
			{"of the coordinator's host", func(cut bool) { c.lab.Cut(lead.host, cut) }},
		} {
			name := fmt.Sprintf("cut of %v %s", cut, x.name)
			if err := c.steady(ctx, l, name, func() error {
				if err := pause(ctx, time.Second); err != nil {
					return err
				}
				x.set(true)
				time.Sleep(cut)
				x.set(false)
				return pause(ctx, 3*time.Second)
			}); err != nil {
				return err
			}
			if _, after, err := c.leader(ctx); err != nil || after.Group.Epoch != before.Group.Epoch {
				c.violate("%s: epoch %d became %d (%v)", name, before.Group.Epoch, after.Group.Epoch, err)
				before = after
			}
		}
	}
	return nil
}

// Calm disturbs nothing: for a time requests with prompts of promptTokens tokens
// are computed at full CPU, and nobody may be taken for dead. Shares may be dealt
// anew where other work on the machine slows some workers more than others.
func (c *Cluster) Calm(ctx context.Context, total time.Duration, promptTokens, streams int) error {
	judge := c.watchTruth(ctx)
	began := time.Now()
	longest, prompts := time.Duration(0), 0
	done := make(chan time.Duration, streams)
	ask := func(i int) {
		_, o := c.ask(ctx, longPrompt(i, promptTokens), nil)
		if o.err != nil && ctx.Err() == nil {
			c.violate("a long prompt: %v", o.err)
		}
		if o.err != nil {
			time.Sleep(time.Second)
		}
		if len(o.deltas) > 0 {
			done <- o.deltas[0].Sub(o.began)
		} else {
			done <- 0
		}
	}
	for i := range streams {
		go ask(i)
	}
	for running, i := streams, streams; running > 0; {
		d := <-done
		longest, prompts = max(longest, d), prompts+1
		if running--; time.Since(began) < total && ctx.Err() == nil {
			go ask(i)
			i, running = i+1, running+1
		}
	}
	judge()
	c.measure("calm: time", time.Since(began))
	c.measure("calm: longest time to a first token", longest)
	c.note("calm: prompts", "", float64(prompts))
	dealt := 0
	for _, e := range c.since(began, epochEnded, epochEnds) {
		if strings.Contains(e.Because, "by measured speed") {
			dealt++
		} else {
			c.violate("epoch %d ended though nothing was disturbed: %s%s", e.Epoch, e.Err, e.Because)
		}
	}
	c.note("calm: shares dealt anew by measured speed", "", float64(dealt))
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Slow has one worker run half of the time: it must be named, its share shrink,
// and grow back when it is well again.
func (c *Cluster) Slow(ctx context.Context) error {
	l, err := c.newLoad(ctx, 16, c.cfg.Tokens)
	if err != nil {
		return err
	}
	return c.steady(ctx, l, "slow worker", func() error {
		_, s, err := c.leader(ctx)
		if err != nil {
			return err
		}
		id := s.Workers[s.Group.WorldSize-1].ID
		victim := c.worker(id)
		share := func(s status.Cluster) (columns, equal int, named bool) {
			for _, w := range s.Workers {
				if w.ID == id {
					columns, named = w.FFN[1]-w.FFN[0], w.Straggler
				}
				if w.Rank >= 0 {
					equal += w.FFN[1] - w.FFN[0]
				}
			}
			return columns, equal / max(1, s.Group.WorldSize), named
		}
		before, _, _ := share(s)
		stop := make(chan struct{})
		slowed := make(chan struct{})
		go func() {
			defer close(slowed)
			for {
				for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
					victim.signal(sig)
					time.Sleep(5 * time.Millisecond)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
		at := time.Now()
		named := c.await(ctx, time.Minute, "the slow worker is named", func(s status.Cluster) bool { _, _, n := share(s); return n })
		c.measure("slow worker: named after", time.Since(at))
		smaller := c.await(ctx, 2*time.Minute, "the slow worker's share shrinks", func(s status.Cluster) bool {
			columns, _, _ := share(s)
			return columns < before && s.Group.Phase == "serving"
		})
		c.measure("slow worker: share follows after", time.Since(at))
		if _, s, err := c.leader(ctx); err == nil {
			columns, equal, _ := share(s)
			c.note("slow worker: its share of an equal one", "", float64(columns)/float64(equal))
		}
		close(stop)
		<-slowed
		at = time.Now()
		larger := c.await(ctx, 4*time.Minute, "its share grows back", func(s status.Cluster) bool {
			columns, _, _ := share(s)
			return columns >= before && s.Group.Phase == "serving"
		})
		c.measure("slow worker: share is back after", time.Since(at))
		return errors.Join(named, smaller, larger)
	})
}
