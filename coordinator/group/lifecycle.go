package group

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lifecycle counts formations of the group and what ended them.
type lifecycle struct {
	stages *prometheus.HistogramVec
	ended  *prometheus.CounterVec
}

// Stages of a formation: waiting for workers, loading, linking up, and all from
// an epoch's end to the next one's first step.
const (
	stageWait  = "wait"
	stageLoad  = "load"
	stageLink  = "link"
	stageTotal = "total"
)

func newLifecycle(reg prometheus.Registerer, labels prometheus.Labels) lifecycle {
	l := lifecycle{
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sullae_reform_seconds", Help: "Time of a stage in which the group forms.", ConstLabels: labels,
			Buckets: prometheus.ExponentialBuckets(.01, 2, 16),
		}, []string{"stage"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sullae_epochs_ended_total", Help: "Epochs that ended, or did not form, by cause.", ConstLabels: labels,
		}, []string{"cause"}),
	}
	for _, s := range []string{stageWait, stageLoad, stageLink, stageTotal} {
		l.stages.WithLabelValues(s)
	}
	for _, c := range []string{causeChange, causeLost, causeRank, causeOther} {
		l.ended.WithLabelValues(c)
	}
	reg.MustRegister(l.stages, l.ended)
	return l
}

// Causes of an epoch's end: workers come or go in order, a worker was lost, a rank
// reported an error, anything else.
const (
	causeChange = "change"
	causeLost   = "worker_lost"
	causeRank   = "rank_error"
	causeOther  = "other"
)

// stage notes how long a stage took.
func (m *Metrics) stage(name string, began time.Time) {
	if m != nil && !began.IsZero() {
		m.life.stages.WithLabelValues(name).Observe(time.Since(began).Seconds())
	}
}

// over notes what ended an epoch.
func (m *Metrics) over(ctx context.Context, err error) {
	if m == nil || ctx.Err() != nil {
		return
	}
	cause := causeOther
	var re *rankError
	switch {
	case errors.Is(err, errChange):
		cause = causeChange
	case errors.As(err, &re) && re.lost:
		cause = causeLost
	case errors.As(err, &re):
		cause = causeRank
	}
	m.life.ended.WithLabelValues(cause).Inc()
}
