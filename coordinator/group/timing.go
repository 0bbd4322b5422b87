package group

import (
	"slices"

	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// Timing is where a rank's steps spend their time: exponential averages over
// about the last fifty steps, in seconds.
type Timing struct {
	// Compute is the rank's own work; Wait its time in collectives: much of it is
	// waiting for the slowest rank, which itself waits least. Blocked is that part.
	Compute, Wait, Blocked float64
	BytesSent              int64   // to its peers, in this epoch
	Pace                   float64 // measured, relative to most; 0: not known
	steps                  int
}

// timingWeight is a step's weight in the averages.
const timingWeight = 0.02

func (t *Timing) note(r *clusterv1.StepResult) {
	compute, wait := float64(r.GetComputeNs())/1e9, float64(r.GetCollectiveNs())/1e9
	t.steps++
	w := max(timingWeight, 1/float64(t.steps))
	t.Compute += w * (compute - t.Compute)
	t.Wait += w * (wait - t.Wait)
	t.Blocked += w * (float64(r.GetWaitedNs())/1e9 - t.Blocked)
	t.BytesSent = r.GetBytesSent()
}

// publish copies the epoch's timing into the state.
func (g *Group) publish(e *epoch) {
	timing := slices.Clone(e.timing)
	for r, w := range e.members {
		timing[r].Pace = g.pace.known[w.ID]
	}
	g.setState(func(s *State) { s.Timing = timing })
}

// Straggler is the rank whose own work takes more than half as long again as the
// average of the others', or -1.
func (s State) Straggler() int {
	worst := -1
	for r, t := range s.Timing {
		if worst < 0 || t.Compute > s.Timing[worst].Compute {
			worst = r
		}
	}
	if len(s.Timing) < 2 {
		return -1
	}
	sum := 0.0
	for r, t := range s.Timing {
		if r != worst {
			sum += t.Compute
		}
	}
	if s.Timing[worst].Compute > 1.5*sum/float64(len(s.Timing)-1) {
		return worst
	}
	return -1
}
