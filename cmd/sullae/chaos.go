package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/chaos"
	"github.com/sullae/sullae/cmd/sullae/internal/netlab"
	"github.com/sullae/sullae/coordinator/embedetcd"
)

// chaosCmd is `sullae chaos`.
type chaosCmd struct {
	Random   chaosRandomCmd   `cmd:"" help:"Disturb anything at any time, as a seed says."`
	Rounds   chaosRoundsCmd   `cmd:"" help:"Lose a process while 16 streams run, each way in turn."`
	Rolling  chaosRollingCmd  `cmd:"" help:"Restart every worker and coordinator, one at a time."`
	Elastic  chaosElasticCmd  `cmd:"" help:"Have a worker leave and come back."`
	EtcdAway chaosEtcdAwayCmd `cmd:"" help:"Stop etcd for a while, and kill a worker meanwhile."`
	Blips    chaosBlipsCmd    `cmd:"" help:"Cut links for a moment: that must cost time and nothing else."`
	Slow     chaosSlowCmd     `cmd:"" help:"Have a worker run half of the time: its share follows."`
	Calm     chaosCalmCmd     `cmd:"" help:"Disturb nothing, at full CPU with long prompts: nobody may be taken for dead."`
	Etcd     chaosEtcdCmd     `cmd:"" hidden:"" help:"Be the etcd of a cluster under test."`
}

// Help is shown below the flags.
func (chaosCmd) Help() string {
	return `Starts a cluster of this very program on this machine, disturbs it under load, compares every answer with the
undisturbed run's, and prints figures. As root on Linux every process has a host of its own (a network namespace),
and the wire between them delays, loses and is cut; otherwise they share loopback. The exit status is 0 where every
promise was kept.`
}

// chaosFlags are common to all kinds of chaos.
type chaosFlags struct {
	Threads  int          `env:"-" default:"1" help:"Compute threads of each worker (${default})."`
	Model    string       `env:"-" default:"demo" placeholder:"DIR" help:"What is served (${default})."`
	Delay    durationFlag `env:"-" default:"100us" help:"Of the wire between hosts, one way (${default})."`
	Mbit     float64      `env:"-" default:"10000" help:"Of the wire, from each host (${default})."`
	Loopback bool         `env:"-" help:"No hosts of their own, even as root."`
	Logs     string       `env:"-" placeholder:"DIR" help:"Keep the processes' logs here; default: only if a promise is broken."`
}

// run starts a cluster, has disturb disturb it, and reports.
func (f chaosFlags) run(ctx context.Context, workers, spares, coordinators int, disturb func(*chaos.Cluster) error) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	dir := f.Logs
	if dir == "" {
		if dir, err = os.MkdirTemp("", "sullae-chaos-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--logs: %w", err)
	}
	c, err := chaos.Start(ctx, chaos.Config{Binary: exe, Dir: dir, Workers: workers, Spares: spares, Coordinators: coordinators,
		Threads: f.Threads, Model: f.Model, Link: netlab.Link{Delay: f.Delay, BitsPerSecond: f.Mbit * 1e6}, Loopback: f.Loopback, Out: os.Stderr})
	if err != nil {
		return fmt.Errorf("%w (logs: %s)", err, dir)
	}
	err = disturb(c)
	c.Close()
	r := c.Report()
	fmt.Print(r.Table)
	if err == nil && len(r.Violations) > 0 {
		err = fmt.Errorf("%d promises broken; the first: %s", len(r.Violations), r.Violations[0])
	}
	if err != nil {
		return fmt.Errorf("%w (logs: %s)", err, dir)
	}
	fmt.Println("every promise was kept")
	if f.Logs == "" {
		return os.RemoveAll(dir)
	}
	return nil
}

// chaosRandomCmd is `sullae chaos random`.
type chaosRandomCmd struct {
	For  durationFlag `env:"-" default:"1m" help:"How long (${default})."`
	Seed uint64       `env:"-" default:"1" help:"What happens, and when (${default})."`
	chaosFlags
}

// Run disturbs.
func (c *chaosRandomCmd) Run(ctx context.Context) error {
	return c.run(ctx, 3, 1, 2, func(cl *chaos.Cluster) error { return cl.Random(ctx, c.Seed, c.For) })
}

// chaosRoundsCmd is `sullae chaos rounds`.
type chaosRoundsCmd struct {
	Rounds int    `env:"-" default:"20" help:"How many (${default})."`
	Seed   uint64 `env:"-" default:"1" help:"Which worker is lost (${default})."`
	Only   string `env:"-" placeholder:"TEXT" help:"Only the ways with this in their name, such as 'stop' or 'coordinator'."`
	chaosFlags
}

// Run disturbs.
func (c *chaosRoundsCmd) Run(ctx context.Context) error {
	return c.run(ctx, 4, 1, 2, func(cl *chaos.Cluster) error { return cl.Rounds(ctx, c.Rounds, c.Seed, c.Only) })
}

// chaosRollingCmd is `sullae chaos rolling`.
type chaosRollingCmd struct{ chaosFlags }

// Run disturbs.
func (c *chaosRollingCmd) Run(ctx context.Context) error {
	return c.run(ctx, 3, 0, 2, func(cl *chaos.Cluster) error { return cl.Rolling(ctx) })
}

// chaosElasticCmd is `sullae chaos elastic`.
type chaosElasticCmd struct {
	Times int `env:"-" default:"5" help:"How often (${default})."`
	chaosFlags
}

// Run disturbs.
func (c *chaosElasticCmd) Run(ctx context.Context) error {
	return c.run(ctx, 3, 0, 1, func(cl *chaos.Cluster) error { return cl.Elastic(ctx, c.Times) })
}

// chaosEtcdAwayCmd is `sullae chaos etcd-away`.
type chaosEtcdAwayCmd struct {
	For    durationFlag `env:"-" default:"120s" help:"How long (${default})."`
	Frozen bool         `env:"-" help:"Stop it by SIGSTOP, so that all leases have run out when it goes on."`
	chaosFlags
}

// Run disturbs.
func (c *chaosEtcdAwayCmd) Run(ctx context.Context) error {
	return c.run(ctx, 3, 0, 2, func(cl *chaos.Cluster) error { return cl.EtcdAway(ctx, c.For, c.Frozen) })
}

// chaosBlipsCmd is `sullae chaos blips`.
type chaosBlipsCmd struct {
	Cut   durationFlag `env:"-" default:"1800ms" help:"How long a cut lasts (${default})."`
	Times int          `env:"-" default:"3" help:"How often each link is cut (${default})."`
	chaosFlags
}

// Run disturbs.
func (c *chaosBlipsCmd) Run(ctx context.Context) error {
	return c.run(ctx, 3, 0, 2, func(cl *chaos.Cluster) error { return cl.Blips(ctx, c.Cut, c.Times) })
}

// chaosSlowCmd is `sullae chaos slow`.
type chaosSlowCmd struct{ chaosFlags }

// Run disturbs.
func (c *chaosSlowCmd) Run(ctx context.Context) error {
	return c.run(ctx, 3, 0, 1, func(cl *chaos.Cluster) error { return cl.Slow(ctx) })
}

// chaosCalmCmd is `sullae chaos calm`.
type chaosCalmCmd struct {
	For          durationFlag `env:"-" default:"10m" help:"How long (${default})."`
	PromptTokens int          `env:"-" default:"1900" help:"Length of the prompts (${default})."`
	Streams      int          `env:"-" default:"2" help:"Requests at once (${default})."`
	chaosFlags
}

// Run does not disturb.
func (c *chaosCalmCmd) Run(ctx context.Context) error {
	return c.run(ctx, 3, 0, 1, func(cl *chaos.Cluster) error { return cl.Calm(ctx, c.For, c.PromptTokens, c.Streams) })
}

// chaosEtcdCmd is an etcd in a process of its own.
type chaosEtcdCmd struct {
	Listen string `env:"-" required:"" help:"Where clients connect."`
	Dir    string `env:"-" required:"" help:"Its data."`
}

// etcdPatience is how long an address may be taken by a connection that is ending.
const etcdPatience = 10 * time.Second

// Run serves until the context ends.
func (c *chaosEtcdCmd) Run(ctx context.Context) error {
	end := time.Now().Add(etcdPatience)
	for {
		srv, err := embedetcd.Start(ctx, embedetcd.Config{Dir: c.Dir, ClientAddr: c.Listen})
		if err == nil {
			<-ctx.Done()
			srv.Close()
			return nil
		}
		if time.Now().After(end) || errors.Is(err, context.Canceled) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}
