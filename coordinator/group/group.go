// Package group drives one group of workers: it forms epochs, runs the
// scheduler's steps on the ranks, and hands tokens to the sequences' readers.
// It implements gateway.Engine.
//
// A group lives through many epochs. When one ends (a rank is lost, a stream
// breaks) its sequences go back to the queue, the next epoch forms from the
// workers that are left, and they are computed again; since the arithmetic is
// the same bit for bit, their readers see a pause and nothing else.
package group

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/draft"
	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/sched"
	"github.com/sullae/sullae/shard/plan"
)

// Group implements gateway.Engine.
type Group struct {
	cfg    Config
	units  plan.Units
	nextID atomic.Uint64
	wake   chan struct{} // capacity 1: the scheduler has something new
	last   formed        // Run's own: the epoch that it began last
	pace   pace          // likewise
	away   atomic.Bool   // the last epoch could not be recorded yet: etcd is away

	began time.Time

	mu      sync.Mutex
	sched   *sched.Scheduler
	seqs    map[uint64]*stream
	state   State
	rate    float64 // rows computed per second, an average over the last steps
	prefill pacer
	speed   speed
	streams int             // rows of streams in the last step
	drain   map[string]bool // workers that an operator wants gone
	closed  error           // why no more is taken: Run has ended
}

// State is a snapshot of a group for status and readiness.
type State struct {
	Phase    string // "standby", "waiting", "loading", "serving", "closed"
	Reason   string // why it is not serving
	Epoch    uint64
	Step     uint64
	Plan     plan.Plan
	Members  []registry.Worker // by rank
	Epochs   int               // formed since start
	KVTokens int               // positions of the KV pool
	Timing   []Timing          // by rank
}

// attentionSpan is the number of positions that attention sums before it merges
// (package kernels); blocks must not straddle two spans.
const attentionSpan = 256

// New checks the configuration; Run brings the group to life.
func New(cfg Config) (*Group, error) {
	spec := cfg.Checkpoint.Spec()
	units := plan.UnitsOf(spec)
	if cfg.Workers < 0 || cfg.Workers > spec.Heads {
		return nil, fmt.Errorf("--workers %d: %s has %d query heads, so 1 to %d workers can share it (0: all that there are)", cfg.Workers, cfg.Model, spec.Heads, spec.Heads)
	}
	if cfg.BlockSize < 1 || attentionSpan%cfg.BlockSize != 0 {
		return nil, fmt.Errorf("--block-size %d: must divide %d, such as 16", cfg.BlockSize, attentionSpan)
	}
	if cfg.KVTokens != 0 && cfg.KVTokens < cfg.BlockSize {
		return nil, fmt.Errorf("--kv-tokens %d: less than one block of %d positions", cfg.KVTokens, cfg.BlockSize)
	}
	if most := math.MaxInt32 / len(spec.KVGroups().Windows) * cfg.BlockSize; cfg.KVTokens > most {
		return nil, fmt.Errorf("--kv-tokens %d: at most %d", cfg.KVTokens, most)
	}
	if cfg.Workers == 0 {
		cfg.anyNumber, cfg.Workers = true, spec.Heads
	}
	cfg.MinWorkers = max(1, min(cfg.MinWorkers, cfg.Workers))
	g := &Group{cfg: cfg, units: units, wake: make(chan struct{}, 1), began: time.Now(), seqs: map[uint64]*stream{}, drain: map[string]bool{}}
	kv := spec.KVGroups()
	g.prefill.limit = cfg.MaxPrefillChunk
	g.sched = sched.New(sched.Config{
		MaxBatchedTokens: cfg.MaxBatchedTokens, MaxSeqs: cfg.MaxSeqs, MaxModelLen: spec.MaxPositions,
		Blocks: 1, BlockSize: cfg.BlockSize, // until an epoch's workers have room for more
		Windows: kv.Windows, LongAfter: spec.Rope.LongAfter(),
		PrefixCache: !cfg.NoPrefixCache, MaxPrefillChunk: cfg.MaxPrefillChunk,
		MaxWaiting: cfg.MaxWaiting, MaxWaitingTokens: cfg.MaxWaitingTokens, Depth: pipelineDepth,
		Watch: cfg.Metrics.blocks(), Arrivals: cfg.Arrivals,
		Draft: func(_ uint64, tokens []int32, limit int) []int32 { return draft.Lookup(tokens, limit) },
	})
	g.state = State{Phase: "waiting", Reason: "waiting for workers"}
	return g, nil
}

// Name is the group's: "0", "1", ...
func (g *Group) Name() string { return g.cfg.Name }

// Ready implements gateway.Engine.
func (g *Group) Ready() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Phase == "serving" {
		return nil
	}
	return fmt.Errorf("%w: %s", gateway.ErrUnavailable, g.state.Reason)
}

// State is a snapshot.
func (g *Group) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

func (g *Group) setState(f func(*State)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.state)
}

// pipelineDepth is how many steps are planned and sent ahead of their results:
// while the ranks run one, the next is on its way.
const pipelineDepth = 2

// StandBy says who leads while this coordinator does not.
func (g *Group) StandBy(leader string) {
	g.setState(func(s *State) {
		s.Phase, s.Reason = "standby", "standing by: coordinator "+leader+" leads"
	})
}

// Run forms epochs and drives them until ctx ends or this coordinator no longer
// leads. All sequences have ended when it returns; it may be called again.
func (g *Group) Run(ctx context.Context) error {
	g.setState(func(s *State) {
		g.closed = nil
		*s = State{Phase: "waiting", Reason: "waiting for workers"}
	})
	err := g.run(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.Phase, g.state.Reason = "closed", "the coordinator is shutting down"
	if errors.Is(err, registry.ErrNotLeader) {
		g.state.Phase, g.state.Reason = "standby", "another coordinator leads now"
	}
	g.closed = fmt.Errorf("%w: %s", gateway.ErrUnavailable, g.state.Reason)
	for id, st := range g.seqs {
		g.sched.Abort(id)
		delete(g.seqs, id)
		st.release()
		st.end(gateway.Event{Err: g.closed})
	}
	return err
}

func (g *Group) run(ctx context.Context) error {
	watch := newWatcher(ctx, g.cfg)
	watch.away = g.away.Load
	if g.cfg.Spare != nil {
		watch.others = func() bool { return g.cfg.Spare(g) }
	}
	g.pace.hold = g.cfg.Rebalance
	before := watch.inherit(ctx, g.cfg)
	g.pace.inherit(before.Ranks)
	g.inheritDrained(before)
	if err := g.cfg.Roster.arrive(ctx, g.cfg.Name, watch.last); err != nil {
		return err
	}
	pause := time.Duration(0)
	var ended time.Time // the epoch before
	for {
		waiting := time.Now()
		workers, err := watch.await(ctx, func() { watch.takeDrained(g) }, func(reason string) {
			g.setState(func(s *State) { s.Phase, s.Reason = "waiting", reason })
		}, g.State().Epochs > 0)
		if err != nil {
			return err
		}
		g.cfg.Metrics.stage(stageWait, waiting)
		if !g.cfg.Roster.claim(g.cfg.Name, workers) {
			continue // another group was quicker
		}
		started := time.Now()
		watch.last = workers
		e, err := g.form(ctx, workers, watch.workers, watch.holders(workers))
		if err == nil {
			g.cfg.Metrics.stage(stageTotal, ended)
			if g.cfg.OnServing != nil {
				g.cfg.OnServing(g)
			}
			err = g.serve(ctx, e, watch)
			ended = time.Now()
			e.close()
			g.mu.Lock()
			g.sched.Reset()
			g.state.Phase, g.state.Reason = "waiting", "forming the group anew after a failure"
			g.mu.Unlock()
			if g.cfg.OnEpochEnd != nil && ctx.Err() == nil {
				g.cfg.OnEpochEnd(g)
			}
		}
		g.cfg.Metrics.over(ctx, err)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		g.ended(err)
		if errors.Is(err, registry.ErrNotLeader) {
			return err
		}
		var re *rankError
		if errors.As(err, &re) && re.sequence != 0 {
			g.abort(re.sequence, fmt.Errorf("the sequence cannot be computed: %w", re.err))
			continue
		}
		if errors.As(err, &re) && re.fatal && g.State().Epochs == 0 && len(workers) >= g.cfg.Workers {
			// It never worked and won't by itself: say so instead of trying on.
			return err
		}
		if errors.Is(err, errChange) {
			g.cfg.Logger.Info("epoch ends", "because", err)
			continue
		}
		g.cfg.Logger.Warn("epoch ended", "err", err)
		g.setState(func(s *State) { s.Phase, s.Reason = "waiting", "forming the group anew: "+err.Error() })
		watch.suspect(err)
		// A group that fails at once, again and again, is retried ever slower.
		if time.Since(started) > 5*time.Second {
			pause = 0
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(max(2*pause, 50*time.Millisecond), 2*time.Second)
	}
}
