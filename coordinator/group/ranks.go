package group

import (
	"cmp"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// rankCollector exports what the coordinator knows of each rank.
type rankCollector struct {
	g                          *Group
	compute, collective, score *prometheus.Desc
	pace                       *prometheus.Desc
}

func newRankCollector(g *Group, constant prometheus.Labels) *rankCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"rank", "worker"}, constant)
	}
	return &rankCollector{g: g,
		compute:    desc("sullae_rank_compute_seconds", "A rank's own work in a step, averaged over the last ones."),
		collective: desc("sullae_rank_collective_seconds", "A rank's time in collectives in a step, averaged over the last ones: waiting for the slowest, mostly."),
		score:      desc("sullae_straggler_score", "A rank's own work in a step, relative to the other ranks' average: 1 is like them, 2 twice as long."),
		pace:       desc("sullae_rank_pace", "The measured speed of a rank's worker, relative to most, by which its share is dealt; 1 where it was not measured."),
	}
}

// Describe implements prometheus.Collector.
func (c *rankCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.compute
	out <- c.collective
	out <- c.score
	out <- c.pace
}

// Collect implements prometheus.Collector.
func (c *rankCollector) Collect(out chan<- prometheus.Metric) {
	s := c.g.State()
	for r, m := range s.Members {
		if r >= len(s.Timing) {
			return
		}
		t := s.Timing[r]
		send := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, strconv.Itoa(r), m.ID)
		}
		send(c.compute, t.Compute)
		send(c.collective, t.Wait)
		send(c.score, s.StragglerScore(r))
		send(c.pace, cmp.Or(t.Pace, 1))
	}
}

// StragglerScore is a rank's own work in a step relative to the others' average;
// 1 where there are no others.
func (s State) StragglerScore(rank int) float64 {
	sum := 0.0
	for r, t := range s.Timing {
		if r != rank {
			sum += t.Compute
		}
	}
	if sum <= 0 {
		return 1
	}
	return s.Timing[rank].Compute * float64(len(s.Timing)-1) / sum
}
