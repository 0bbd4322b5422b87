package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/collective/nodetls"
	"github.com/sullae/sullae/ops"
)

// metrics are a worker's own figures.
type metrics struct {
	registry *prometheus.Registry
	reduce   *prometheus.HistogramVec // by op
	gather   *prometheus.HistogramVec // by op
	step     *prometheus.HistogramVec // by phase
	bytes    *prometheus.CounterVec   // by peer, dir
	wait     *prometheus.CounterVec   // by peer
	links    *prometheus.GaugeVec     // by carrier
	load     prometheus.Histogram
	loaded   *prometheus.CounterVec // by source
}

// Phases of a step: the rank's own work; moving and adding what ranks share;
// waiting for a peer.
const (
	phaseCompute = "compute"
	phaseWire    = "wire"
	phaseWait    = "wait"
)

func newMetrics(version string, security *nodetls.Source) *metrics {
	m := &metrics{registry: ops.NewRegistry("worker", version)}
	fast := prometheus.ExponentialBuckets(20e-6, 2, 20)
	histogram := func(name, help, label string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{label})
	}
	m.reduce = histogram("sullae_allreduce_seconds", "Time of an all-reduce on this rank.", "op", fast)
	m.gather = histogram("sullae_allgather_seconds", "Time of an all-gather on this rank.", "op", fast)
	m.step = histogram("sullae_step_phase_seconds", "Time of a step on this rank: its own work (compute), moving and adding what ranks share (wire), waiting for a peer (wait).", "phase", prometheus.ExponentialBuckets(100e-6, 2, 20))
	for _, p := range []string{phaseCompute, phaseWire, phaseWait} {
		m.step.WithLabelValues(p)
	}
	m.bytes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sullae_collective_bytes_total", Help: "Payload exchanged with a peer in collectives."}, []string{"peer", "dir"})
	m.wait = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sullae_collective_wait_seconds_total", Help: "Time in which nothing could be done because a peer's part was missing."}, []string{"peer"})
	m.links = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sullae_collective_links", Help: "Peers by what carries their frames: the host's memory, or a gRPC stream."}, []string{"carrier"})
	m.load = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sullae_weights_load_seconds", Help: "Time to load a share of the weights.", Buckets: prometheus.ExponentialBuckets(.05, 2, 16)})
	m.loaded = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sullae_weights_loaded_bytes_total", Help: "Bytes of weights that were not in memory, by where they came from: the pack cache (cache), the worker's own folder (folder), another worker (peer), the coordinator."}, []string{"source"})
	for _, source := range []string{"cache", "folder", "peer", "coordinator"} {
		m.loaded.WithLabelValues(source)
	}
	m.registry.MustRegister(m.reduce, m.gather, m.step, m.bytes, m.wait, m.links, m.load, m.loaded)
	if security != nil {
		ops.WatchExpiry(m.registry, "node", security.NotAfter)
	}
	return m
}

// watch exports what the service is at the moment.
func (m *metrics) watch(s *service) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return f()
		}))
	}
	ofRank := func(f func(*rank) float64) func() float64 {
		return func() float64 {
			if s.cur == nil {
				return 0
			}
			return f(s.cur)
		}
	}
	gauge("sullae_worker_epoch", "Epoch that this worker is in, or prepares for; 0: none.", ofRank(func(r *rank) float64 { return float64(r.req.Epoch) }))
	gauge("sullae_worker_running", "1 while this worker runs steps.", ofRank(func(r *rank) float64 {
		if r.state == "running" {
			return 1
		}
		return 0
	}))
	gauge("sullae_worker_rank", "Its rank; -1: none.", func() float64 {
		if s.cur == nil {
			return -1
		}
		return float64(s.cur.req.Rank)
	})
	gauge("sullae_worker_last_step_age_seconds", "Time since this rank's last step ended; 0 while it has run none.", ofRank(func(r *rank) float64 {
		if r.stepped.IsZero() {
			return 0
		}
		return time.Since(r.stepped).Seconds()
	}))
	gauge("sullae_weights_load_progress", "How much of the share is loaded, 0 to 1.", ofRank(func(r *rank) float64 {
		if r.state != "loading" {
			return 1
		}
		if r.progress.BytesTotal == 0 {
			return 0
		}
		return float64(r.progress.BytesDone) / float64(r.progress.BytesTotal)
	}))
	gauge("sullae_kv_bytes", "Size of the KV pool.", ofRank(func(r *rank) float64 { return float64(r.kvBytes) }))
	gauge("sullae_weights_bytes", "Size of the weights in memory.", func() float64 {
		if s.loaded == nil {
			return 0
		}
		return float64(s.loaded.model.Bytes())
	})
}
