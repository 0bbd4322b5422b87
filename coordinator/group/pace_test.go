package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/shard/plan"
)

// paced simulates a group whose workers have speeds, over the real plans: looks
// every 200 ms for a while. It returns the FFN columns of each rank at the end,
// and how often shares were dealt anew.
type paced struct {
	p       pace
	units   plan.Units
	members []registry.Worker
	now     time.Time
	noise   float64
	rng     *rand.Rand
	dealt   int
}

func newPaced(workers int) *paced {
	s := &paced{units: plan.Units{Heads: 8, KVHeads: 4, FFN: 448, MLPUnit: 14, Vocab: 1792, VocabUnit: 28},
		now: time.Unix(0, 0), rng: rand.New(rand.NewPCG(1, 2))}
	s.p.hold = 10 * time.Second
	s.p.inherit(nil)
	for i := range workers {
		s.members = append(s.members, registry.Worker{ID: fmt.Sprint("w", i)})
	}
	return s
}

func (s *paced) work(p plan.Plan) []float64 {
	out := make([]float64, p.WorldSize())
	for r, sh := range p.Shares {
		out[r] = float64(64*(sh.Heads.Len()+s.units.KVRange(sh).Len()) + 3*s.units.FFNRange(sh).Len() + s.units.VocabRange(sh).Len()/3)
	}
	return out
}

func (s *paced) run(t *testing.T, d time.Duration, speed ...float64) (ffn []int) {
	t.Helper()
	for end := s.now.Add(d); s.now.Before(end); {
		caps := make([]float64, len(s.members))
		for r, w := range s.members {
			caps[r] = s.p.of(w)
		}
		p, err := plan.Make(s.units, caps)
		if err != nil {
			t.Fatal(err)
		}
		ffn = ffn[:0]
		for _, sh := range p.Shares {
			ffn = append(ffn, s.units.FFNRange(sh).Len())
		}
		work, timing := s.work(p), make([]Timing, len(s.members))
		for s.now.Before(end) {
			s.now = s.now.Add(200 * time.Millisecond)
			for r := range timing {
				// Part of a step is the same whatever the share.
				took := (40 + work[r]) / speed[r] * (1 + s.noise*(2*s.rng.Float64()-1))
				timing[r].steps += 30
				timing[r].Compute += 0.3 * (took - timing[r].Compute)
			}
			if s.p.look(s.now, s.members, timing, work, func(caps []float64) ([]float64, error) {
				p, err := plan.Make(s.units, caps)
				return s.work(p), err
			}) {
				s.dealt++
				break
			}
		}
	}
	return ffn
}

// TestPace: a worker half as fast gets half the units, once, and the whole when
// it is as fast as the others again.
func TestPace(t *testing.T) {
	s := newPaced(3)
	if ffn := s.run(t, 5*time.Minute, 1, 1, 1); s.dealt != 0 {
		t.Errorf("three equal workers: %v, dealt anew %d times", ffn, s.dealt)
	}
	ffn := s.run(t, 5*time.Minute, 1, 0.5, 1)
	if ratio := float64(ffn[1]) / float64(ffn[0]); s.dealt != 1 || ratio < 0.4 || ratio > 0.6 {
		t.Errorf("one half as fast: FFN columns %v, dealt anew %d times", ffn, s.dealt)
	}
	ffn = s.run(t, 5*time.Minute, 1, 1, 1)
	if !slices.Equal(ffn, newPaced(3).run(t, time.Second, 1, 1, 1)) || s.dealt > 3 {
		t.Errorf("equal again: %v, dealt anew %d times", ffn, s.dealt)
	}
}

// TestPaceSteady: noise, short slowness and the rounding to whole heads change
// nothing, for any number of workers.
func TestPaceSteady(t *testing.T) {
	for n := 2; n <= 8; n++ {
		s := newPaced(n)
		s.noise = 0.3
		speed := slices.Repeat([]float64{1}, n)
		s.run(t, 10*time.Minute, speed...)
		speed[0] = 0.3
		s.run(t, 4*time.Second, speed...) // a moment
		speed[0] = 1
		s.run(t, 10*time.Minute, speed...)
		if s.dealt != 0 {
			t.Errorf("%d equal workers: dealt anew %d times", n, s.dealt)
		}
	}
}

// TestPaceOverride: what an operator says is not measured away, and what a
// coordinator has found the next one knows.
func TestPaceOverride(t *testing.T) {
	s := newPaced(2)
	s.members[0].Capacity, s.members[1].Capacity = 1, 1
	s.run(t, 5*time.Minute, 1, 0.25)
	if s.dealt != 0 {
		t.Errorf("capacities were given, and shares dealt anew %d times", s.dealt)
	}
	var p pace
	p.inherit([]registry.GenerationRank{{WorkerID: "a", Pace: 0.5}, {WorkerID: "b"}})
	for id, want := range map[string]float64{"a": 0.5, "b": 1, "c": 1} {
		if got := p.of(registry.Worker{ID: id}); got != want {
			t.Errorf("%s has pace %v, want %v", id, got, want)
		}
	}
}
