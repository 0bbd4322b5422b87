package group

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/plan"
)

// Shares follow measured speed where that makes the slowest rank's steps this much
// faster, as far as can be told, for at least Config.Rebalance; and not again
// before rebalanceRest times that. A step that was slow once, and the rounding of
// shares to whole heads, so change nothing.
const (
	worthGain     = 1.08
	rebalanceRest = 6
	paceSteps     = 100 // steps that a rank's average must have
	slowestPace   = 1.0 / 16
)

// errRebalance is an errChange: nobody failed.
var errRebalance = fmt.Errorf("%w: shares are dealt anew by measured speed", errChange)

// pace is how fast workers are, relative to each other, as their steps have shown.
// The step loop uses it alone.
type pace struct {
	hold  time.Duration      // Config.Rebalance
	known map[string]float64 // by worker; one that is not here counts as 1
	since time.Time          // since when other shares would be much better; zero: they would not
	rest  time.Time          // no change before
	steps int                // of the rank with the fewest, at the last look
	// The work of each rank under other capacities, the last that were tried:
	// measured speeds are rounded, so they seldom change.
	caps, other []float64
}

// inherit takes over what the coordinator before had found.
func (p *pace) inherit(ranks []registry.GenerationRank) {
	p.known = map[string]float64{}
	for _, r := range ranks {
		if r.Pace > 0 && !math.IsInf(r.Pace, 0) {
			p.known[r.WorkerID] = r.Pace
		}
	}
}

// of is a worker's capacity: what its operator says, else what was measured.
func (p *pace) of(w registry.Worker) float64 {
	if w.Capacity > 0 {
		return w.Capacity
	}
	if v := p.known[w.ID]; v > 0 {
		return v
	}
	return 1
}

// measured is each rank's speed, its work over the time that it took, relative to
// the median; rounded to half octaves, since nothing finer is stable. nil: not
// known yet.
func measured(work []float64, timing []Timing) []float64 {
	out := make([]float64, len(timing))
	for r, t := range timing {
		if t.steps < paceSteps || t.Compute <= 0 || work[r] <= 0 {
			return nil
		}
		out[r] = work[r] / t.Compute
	}
	middle := slices.Sorted(slices.Values(out))[len(out)/2]
	for r, v := range out {
		v = math.Exp2(math.Round(2*math.Log2(v/middle)) / 2)
		out[r] = min(max(v, slowestPace), 1/slowestPace)
	}
	return out
}

// slowest is how long the slowest rank takes over its work.
func slowest(work, speed []float64) float64 {
	t := 0.0
	for r := range work {
		t = max(t, work[r]/speed[r])
	}
	return t
}

// look is called while steps run. It reports whether the shares of the epoch have
// been much worse for a while than those that the measured speeds give; then
// these speeds are known from now on.
func (p *pace) look(now time.Time, members []registry.Worker, timing []Timing, work []float64, workOf func(caps []float64) ([]float64, error)) bool {
	if p.hold <= 0 || len(members) < 2 {
		return false
	}
	steps := timing[0].steps
	for _, t := range timing {
		steps = min(steps, t.steps)
	}
	running := steps > p.steps
	p.steps = steps
	speed := measured(work, timing)
	if speed == nil || now.Before(p.rest) {
		p.since = time.Time{}
		return false
	}
	if !running {
		return false // nothing new was learned
	}
	caps := slices.Clone(speed)
	for r, w := range members {
		if w.Capacity > 0 {
			caps[r] = w.Capacity
		}
	}
	if !slices.Equal(caps, p.caps) {
		other, err := workOf(caps)
		if err != nil {
			return false
		}
		p.caps, p.other = caps, other
	}
	if slowest(work, speed) < worthGain*slowest(p.other, speed) {
		p.since = time.Time{}
		return false
	}
	if p.since.IsZero() {
		p.since = now
	}
	if now.Sub(p.since) < p.hold {
		return false
	}
	for r, w := range members {
		p.known[w.ID] = speed[r]
	}
	p.since, p.rest, p.steps, p.caps = time.Time{}, now.Add(rebalanceRest*p.hold), 0, nil
	return true
}

// work is what each rank computes in a step, in bytes of weights: what decoding
// reads.
func (g *Group) work(p plan.Plan) []float64 {
	out := make([]float64, p.WorldSize())
	for r := range out {
		out[r] = float64(plan.PackedBytes(g.cfg.Checkpoint.Spec(), p, r, checkpoint.Types(g.cfg.Checkpoint), g.cfg.Quant))
	}
	return out
}
