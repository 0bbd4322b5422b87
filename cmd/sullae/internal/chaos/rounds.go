package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sullae/sullae/coordinator/status"
)

// loss is one way to lose a process in the middle of answers.
type loss struct {
	name  string
	of    string // "worker", "coordinator", "pair"
	spare bool   // another worker stands ready
	fault string // of faults
}

// losses are what Rounds goes through, in turn: those with only in their name.
func (c *Cluster) losses(only string) (out []loss) {
	var all []loss
	for _, fault := range []string{"kill", "stop", "cut off"} {
		all = append(all, loss{fault + ", with a spare", "worker", true, fault},
			loss{fault + ", without a spare", "worker", false, fault},
			loss{fault + ", the coordinator", "coordinator", true, fault})
	}
	const apart = "cut from another worker"
	all = append(all, loss{apart + ", with a spare", "pair", true, apart}, loss{apart + ", without a spare", "pair", false, apart})
	for _, x := range all {
		if strings.Contains(x.name, only) && (c.lab != nil || !x.does().wire) {
			out = append(out, x)
		}
	}
	return out
}

// noticedWithin is when the loss of a worker, or of the way between two, must be
// noticed.
const noticedWithin = 3 * time.Second

// does finds what a loss does. A worker that is killed stays down, so that its
// own return does not make up for it.
func (x loss) does() fault {
	for _, f := range faults {
		if f.on == x.of && (f.name == x.fault || x.fault == "kill" && f.name == "kill and keep down") && (x.of != "worker" || f.name != "kill") {
			return f
		}
	}
	panic("chaos: no fault: " + x.name)
}

// Rounds loses a process n times while 16 streams run: each way in turn. No stream
// may fail or differ, and the others keep their processes.
func (c *Cluster) Rounds(ctx context.Context, n int, seed uint64, only string) error {
	all := c.losses(only)
	if len(all) == 0 {
		return fmt.Errorf("no way to lose a process has %q in its name", only)
	}
	l, err := c.newLoad(ctx, 16, 3*c.cfg.Tokens/2)
	if err != nil {
		return err
	}
	judge := c.watchTruth(ctx)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		if err := c.round(ctx, l, all[i%len(all)], rng); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	time.Sleep(2 * slack)
	judge()
	c.checkIdle(ctx)
	return nil
}

// deposed is how long a leader that was away may take to hear that another leads.
const deposed = 5 * time.Second

// round is one of them.
func (c *Cluster) round(ctx context.Context, l *load, x loss, rng *rand.Rand) error {
	spare, err := c.setSpare(ctx, x.spare)
	if err != nil {
		return err
	}
	lead, s, err := c.leader(ctx)
	if err != nil {
		return err
	}
	f := x.does()
	victim := lead
	if x.of != "coordinator" {
		ranks := rng.Perm(s.Group.WorldSize)
		victim = c.worker(s.Workers[ranks[0]].ID)
		if x.of == "pair" { // both are of the group
			other := c.worker(s.Workers[ranks[1]].ID)
			f.begin = func(c *Cluster, n *node, _ *rand.Rand) { c.lab.CutPair(n.host, other.host, true) }
		}
	}
	pids := map[*node]int{}
	for _, m := range c.nodes {
		if m != victim && m != spare {
			pids[m] = m.pid()
		}
	}
	from := len(l.outcomes)

	// All streams are in the middle of their answers when it happens.
	var streams sync.WaitGroup
	var flowing atomic.Int32
	for i := range l.questions {
		streams.Go(func() {
			deltas := 0
			o := l.ask(ctx, i, func() {
				if deltas++; deltas == 5 {
					flowing.Add(1)
				}
			})
			if o.err != nil && ctx.Err() == nil {
				c.violate("%s: stream %d fails: %v", x.name, i, o.err)
			}
		})
	}
	for end := time.Now().Add(time.Minute); flowing.Load() < int32(len(l.questions)); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d streams flow after a minute", flowing.Load(), len(l.questions))
		}
	}
	at := time.Now()
	f.begin(c, victim, rng)
	streams.Wait()
	paused := time.Duration(0)
	for _, o := range l.outcomes[from:] {
		paused = max(paused, o.pause(at))
	}
	for m, pid := range pids {
		if m.pid() != pid {
			c.violate("%s of %s: %s had pid %d and has %d", x.name, victim.name, m.name, pid, m.pid())
		}
	}
	noticed := c.since(at, epochEnded, epochEnds, leading)
	if len(noticed) == 0 {
		c.violate("%s of %s: nobody noticed", x.name, victim.name)
	} else {
		after := noticed[0].Time.Sub(at)
		c.measure(x.name+": noticed", after)
		if x.of != "coordinator" && after > noticedWithin {
			c.violate("%s of %s: noticed after %.1f s", x.name, victim.name, after.Seconds())
		}
	}
	c.measure(x.name+": longest pause", paused)
	read, peers := c.loaded(at)
	c.note(x.name+": bytes loaded from the coordinator", "MB", float64(read)/1e6)
	c.note(x.name+": bytes loaded from peers", "MB", float64(peers)/1e6)
	if x.of == "coordinator" || x.spare {
		// Speed is back with the first epoch that has all ranks.
		for _, e := range c.since(at, epochServing) {
			if e.Workers == c.cfg.Workers {
				c.measure(x.name+": to full speed", e.Time.Sub(at))
				break
			}
		}
	}
	mended := time.Now()
	if f.end != nil {
		f.end(c, victim)
	}
	if x.of == "coordinator" {
		// It hears within a few seconds that it was deposed, ends, and comes back.
		if err := pause(ctx, deposed); err != nil {
			return err
		}
	}
	if err := c.awaitFull(ctx, time.Minute); err != nil {
		return err
	}
	if x.of != "coordinator" && !x.spare {
		c.measure(x.name+": to full speed once it is back", time.Since(mended))
	}
	c.say("%s: %s: noticed %.2f s, pause %.2f s, %.1f MB loaded from the coordinator, %.1f MB from peers", x.name, victim.name, first(noticed).Sub(at).Seconds(), paused.Seconds(), float64(read)/1e6, float64(peers)/1e6)
	return nil
}

func first(e []event) time.Time {
	if len(e) == 0 {
		return time.Time{}
	}
	return e[0].Time
}

// setSpare brings the cluster into a state with one worker more than it needs, or
// with none, and returns that worker.
func (c *Cluster) setSpare(ctx context.Context, want bool) (spare *node, err error) {
	for _, n := range c.workers {
		n.hold(false)
	}
	if err := c.awaitFull(ctx, time.Minute); err != nil {
		return nil, err
	}
	_, s, err := c.leader(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range s.Workers {
		if w.Rank < 0 {
			spare = c.worker(w.ID)
		}
	}
	if spare == nil {
		return nil, fmt.Errorf("no worker is spare")
	}
	if want {
		return spare, nil
	}
	spare.hold(true)
	spare.end(syscall.SIGTERM, 20*time.Second)
	return spare, c.await(ctx, time.Minute, "the spare is gone", func(s status.Cluster) bool {
		return len(s.Workers) == c.cfg.Workers && s.Group.Phase == "serving"
	})
}
