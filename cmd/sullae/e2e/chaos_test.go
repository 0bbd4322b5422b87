package e2e

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/chaos"
	"github.com/sullae/sullae/cmd/sullae/internal/netlab"
)

// Flags of the chaos run; `make chaos` makes it long.
var (
	chaosTime = flag.Duration("chaos", 12*time.Second, "how long TestChaos disturbs the cluster")
	chaosSeed = flag.Uint64("chaos-seed", 1, "what TestChaos does, and when")
)

// disturbed starts a cluster on hosts of its own, or on loopback where none can be
// made, has f disturb it, and fails if a promise was broken.
func disturbed(t *testing.T, workers, spares int, f func(context.Context, *chaos.Cluster) error) {
	t.Helper()
	c, err := chaos.Start(t.Context(), chaos.Config{Binary: sullae, Dir: t.TempDir(), Workers: workers, Spares: spares, Coordinators: 2, Threads: 1,
		Streams: 2, Tokens: 60, Model: "demo", Link: netlab.Link{Delay: 100 * time.Microsecond, BitsPerSecond: 10e9}, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := f(t.Context(), c); err != nil {
		t.Error(err)
	}
	c.Close()
	r := c.Report()
	for _, v := range r.Violations {
		t.Error(v)
	}
	t.Log("\n" + r.Table)
}

// TestChaos kills, stops, cuts off, delays and restarts any process of a cluster
// (workers, coordinators, etcd) at random moments of a seed while requests run.
func TestChaos(t *testing.T) {
	long(t)
	disturbed(t, 3, 1, func(ctx context.Context, c *chaos.Cluster) error { return c.Random(ctx, *chaosSeed, *chaosTime) })
}

// TestBlips: a link that is cut for less than the grace costs time and nothing
// else.
func TestBlips(t *testing.T) {
	long(t)
	l, err := netlab.New(1)
	if err != nil {
		t.Skip(err)
	}
	l.Close()
	disturbed(t, 2, 0, func(ctx context.Context, c *chaos.Cluster) error { return c.Blips(ctx, 1500*time.Millisecond, 1) })
}

// TestRollingRestart restarts every worker and coordinator, one at a time: no
// request fails.
func TestRollingRestart(t *testing.T) {
	long(t)
	disturbed(t, 2, 0, func(ctx context.Context, c *chaos.Cluster) error { return c.Rolling(ctx) })
}
