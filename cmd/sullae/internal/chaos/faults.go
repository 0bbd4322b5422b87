package chaos

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/netlab"
)

// fault is a disturbance of one process, one host or the wire, for a time.
type fault struct {
	name   string
	on     string        // whom: "worker", "coordinator", "etcd", "wire", "pair"
	most   time.Duration // longest time that it lasts; 0: a moment
	wire   bool          // needs hosts of their own
	weight int
	begin  func(c *Cluster, n *node, rng *rand.Rand)
	end    func(c *Cluster, n *node)
}

func signals(sig syscall.Signal) func(*Cluster, *node, *rand.Rand) {
	return func(_ *Cluster, n *node, _ *rand.Rand) { n.signal(sig) }
}

func resumes(_ *Cluster, n *node) { n.signal(syscall.SIGCONT) }

// down kills a process and keeps it down.
func down(_ *Cluster, n *node, _ *rand.Rand) { n.hold(true); n.signal(syscall.SIGKILL) }
func up(_ *Cluster, n *node)                 { n.hold(false) }

func cutOff(c *Cluster, n *node, _ *rand.Rand) { c.lab.Cut(n.host, true) }
func cutOn(c *Cluster, n *node)                { c.lab.Cut(n.host, false) }

// faults are all that can be done.
var faults = []fault{
	{name: "kill", on: "worker", weight: 4, begin: signals(syscall.SIGKILL)},
	{name: "kill and keep down", on: "worker", most: 8 * time.Second, weight: 2, begin: down, end: up},
	{name: "stop", on: "worker", most: 5 * time.Second, weight: 3, begin: signals(syscall.SIGSTOP), end: resumes},
	{name: "end", on: "worker", weight: 2, begin: signals(syscall.SIGTERM)},
	{name: "cut off", on: "worker", most: 6 * time.Second, wire: true, weight: 4, begin: cutOff, end: cutOn},
	{name: "kill", on: "coordinator", weight: 2, begin: signals(syscall.SIGKILL)},
	{name: "stop", on: "coordinator", most: 6 * time.Second, weight: 1, begin: signals(syscall.SIGSTOP), end: resumes},
	{name: "end", on: "coordinator", weight: 1, begin: signals(syscall.SIGTERM)},
	{name: "cut off", on: "coordinator", most: 6 * time.Second, wire: true, weight: 2, begin: cutOff, end: cutOn},
	{name: "kill and keep down", on: "etcd", most: 10 * time.Second, weight: 2, begin: down, end: up},
	{name: "stop", on: "etcd", most: 8 * time.Second, weight: 1, begin: signals(syscall.SIGSTOP), end: resumes},
	{name: "cut off", on: "etcd", most: 8 * time.Second, wire: true, weight: 1, begin: cutOff, end: cutOn},
	{name: "delay", on: "wire", most: 4 * time.Second, wire: true, weight: 2,
		begin: func(c *Cluster, _ *node, rng *rand.Rand) {
			c.lab.SetLink(netlab.Link{Delay: time.Duration(1+rng.IntN(30)) * time.Millisecond, BitsPerSecond: c.cfg.Link.BitsPerSecond})
		},
		end: func(c *Cluster, _ *node) { c.lab.SetLink(c.cfg.Link) }},
	{name: "loss", on: "wire", most: 4 * time.Second, wire: true, weight: 2,
		begin: func(c *Cluster, _ *node, rng *rand.Rand) {
			l := c.cfg.Link
			l.Loss = 0.005 + 0.03*rng.Float64()
			c.lab.SetLink(l)
		},
		end: func(c *Cluster, _ *node) { c.lab.SetLink(c.cfg.Link) }},
	{name: "cut from another worker", on: "pair", most: 4 * time.Second, wire: true, weight: 2,
		begin: func(c *Cluster, n *node, rng *rand.Rand) {
			c.lab.CutPair(n.host, c.workers[rng.IntN(len(c.workers))].host, true)
		},
		end: func(c *Cluster, n *node) {
			for _, w := range c.workers {
				c.lab.CutPair(n.host, w.host, false)
			}
		}},
}

// victims are the nodes that a fault can be done to.
func (c *Cluster) victims(on string) []*node {
	switch on {
	case "worker", "pair":
		return c.workers
	case "coordinator":
		return c.coordinators
	case "etcd", "wire":
		return []*node{c.etcd} // of the wire: a name for it
	}
	panic("chaos: no such victim: " + on)
}

// Random disturbs the cluster for a time, as the seed says, under load. At most
// two faults last at once, and never two on coordinators and etcd together: what
// no quorum can survive is no test. At the end all is mended, and the cluster must
// be whole again.
func (c *Cluster) Random(ctx context.Context, seed uint64, total time.Duration) error {
	l, err := c.newLoad(ctx, 16, c.cfg.Tokens)
	if err != nil {
		return err
	}
	judge := c.watchTruth(ctx)
	stop := l.keep(ctx, c.cfg.Streams)
	defer stop()
	before := c.resources()
	began := time.Now()
	rng := rand.New(rand.NewPCG(seed, 0))
	busy := map[*node]time.Time{} // until when
	control := time.Time{}        // until when a coordinator or etcd is disturbed
	type pending struct {
		at  time.Time
		end func()
	}
	var ends []pending
	sum := 0
	for _, f := range faults {
		sum += f.weight
	}
	settle := func(now time.Time) {
		kept := ends[:0]
		for _, p := range ends {
			if now.Before(p.at) {
				kept = append(kept, p)
			} else {
				p.end()
			}
		}
		ends = kept
	}
	count := map[string]int{}
	next := began.Add(time.Duration(rng.IntN(2000)) * time.Millisecond)
	for now := began; now.Before(began.Add(total)); now = time.Now() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
		settle(now)
		if now.Before(next) || len(ends) >= 2 {
			continue
		}
		// The draws are the same whatever the cluster's state: a seed is a script.
		next = now.Add(time.Duration(rng.IntN(4000)) * time.Millisecond)
		f := draw(rng, sum)
		all := c.victims(f.on)
		n := all[rng.IntN(len(all))]
		last := time.Duration(0)
		if f.most > 0 {
			last = time.Duration(1 + rng.Int64N(int64(f.most)))
		}
		rest := rng.Uint64()
		controls := f.on == "coordinator" || f.on == "etcd"
		if f.wire && c.lab == nil || now.Before(busy[n]) || controls && now.Before(control) {
			continue
		}
		c.say("%s: %s %s for %.1f s", f.on, f.name, n.name, last.Seconds())
		count[f.on+": "+f.name]++
		busy[n] = now.Add(last + 500*time.Millisecond)
		if controls {
			control = now.Add(last + 3*time.Second)
		}
		f.begin(c, n, rand.New(rand.NewPCG(rest, 0)))
		if f.end != nil {
			ends = append(ends, pending{now.Add(last), func() { f.end(c, n) }})
		}
	}
	c.mend()
	mended := time.Now()
	if err := c.awaitFull(ctx, time.Minute); err != nil {
		c.violate("after the chaos: %v", err)
	}
	c.measure("whole again after the last fault", time.Since(mended))
	stop()
	time.Sleep(2 * slack) // so that the last word on health is of the whole cluster
	judge()
	answered, refused, longest := l.tally(began)
	c.note("answers, all as undisturbed", "", float64(answered))
	c.note("refused (unavailable, overloaded)", "", float64(refused))
	c.measure("longest pause of a stream", longest)
	for name, n := range count {
		c.note(name, "times", float64(n))
	}
	c.note("epochs", "", float64(len(c.since(began, epochServing))))
	c.checkResources(before)
	c.checkIdle(ctx)
	if answered == 0 {
		c.violate("not one request was answered")
	}
	return nil
}

// draw takes a fault by its weight.
func draw(rng *rand.Rand, sum int) fault {
	x := rng.IntN(sum)
	for _, f := range faults {
		if x -= f.weight; x < 0 {
			return f
		}
	}
	panic("chaos: weights")
}
