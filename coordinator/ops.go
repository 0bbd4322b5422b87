package coordinator

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/coordinator/group"
	"github.com/sullae/sullae/ops"
)

// stuckAfter is how long a group's lock may be held before this process counts
// as stuck: what it guards takes milliseconds.
const stuckAfter = 20 * time.Second

// openOps serves probes, metrics and /debug/ from here on until everything else
// has ended.
func (c *coordinator) openOps(ctx context.Context) error {
	if c.cfg.OpsAddr == "" {
		return nil
	}
	srv, err := ops.Listen(ops.Config{
		Addr: c.cfg.OpsAddr, Metrics: c.metrics, Logger: c.cfg.Logger,
		Started: func() error {
			if !c.started.Load() {
				return errors.New("starting")
			}
			return nil
		},
		Ready: func() error {
			switch {
			case !c.started.Load():
				return errors.New("starting")
			case c.draining.Load():
				return errors.New("draining")
			}
			return c.ready()
		},
		Live: ops.Stuck(stuckAfter, func() {
			if c.started.Load() {
				c.groups.Load()
			}
		}),
		Debug: map[string]func() any{
			"status":    c.whenStarted(func() any { return c.status() }),
			"group":     c.eachGroup(func(g *group.Group) any { return g.State() }),
			"scheduler": c.eachGroup((*group.Group).DebugScheduler),
			"blocks":    c.eachGroup((*group.Group).DebugBlocks),
			"routes":    c.whenStarted(func() any { return c.routes }),
		},
	})
	if err != nil {
		return err
	}
	c.opsAddr = c.reachableAddr(srv.Addr())
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(sctx) }()
	c.later(func() {
		cancel()
		if err := <-ended; err != nil {
			c.cfg.Logger.Error("ops", "err", err)
		}
	})
	return nil
}

// whenStarted is a snapshot that is empty until the parts are there.
func (c *coordinator) whenStarted(f func() any) func() any {
	return func() any {
		if !c.started.Load() {
			return nil
		}
		return f()
	}
}

// eachGroup is a snapshot of every group, by name.
func (c *coordinator) eachGroup(f func(*group.Group) any) func() any {
	return c.whenStarted(func() any {
		out := map[string]any{}
		for _, g := range c.groups.Groups() {
			out[g.Name()] = f(g)
		}
		return out
	})
}

// routes are what the APIs answer to.
type routes struct {
	HTTP []string // patterns
	GRPC []string // methods
}

func grpcMethods(s *grpc.Server) (methods []string) {
	for service, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			methods = append(methods, "/"+service+"/"+m.Name)
		}
	}
	return methods
}
