package coordinator

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/ops"
)

// registerMetrics exports what this process knows of itself and of the cluster;
// the groups are there.
func (c *coordinator) registerMetrics(reg *prometheus.Registry) {
	gauge := func(name, help string, f func() bool) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return number(f()) }))
	}
	gauge("sullae_leader", "1 while this coordinator leads.", func() bool { return c.lead.get() != nil })
	gauge("sullae_etcd_up", "1 while etcd answers.", c.etcdUp.Load)
	reg.MustRegister(workerCollector{c, prometheus.NewDesc("sullae_workers", "Workers that are registered, by state.", []string{"state"}, nil),
		prometheus.NewDesc("sullae_workers_refused", "Registered workers that cannot join, by reason.", []string{"reason"}, nil)})
	if s := c.cfg.NodeTLS; s != nil {
		ops.WatchExpiry(reg, "node", s.NotAfter)
	}
	c.router.register(reg, c)
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// workerCollector counts workers by state: "rank", "spare", "draining", "dead",
// "refused"; and those by the reason.
type workerCollector struct {
	c             *coordinator
	desc, refused *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (w workerCollector) Describe(out chan<- *prometheus.Desc) { out <- w.desc; out <- w.refused }

// Collect implements prometheus.Collector.
func (w workerCollector) Collect(out chan<- prometheus.Metric) {
	states := map[string]int{"rank": 0, "spare": 0, "draining": 0, "dead": 0, "refused": 0}
	reasons := map[string]int{refusedVersion: 0, refusedCertificate: 0, refusedClass: 0}
	ranks := map[string]bool{}
	for _, g := range w.c.groups.Groups() {
		for _, m := range g.State().Members {
			ranks[m.ID] = true
		}
	}
	if all := w.c.known.Load(); all != nil {
		for _, x := range *all {
			reason, _ := w.c.refused(x)
			switch {
			case w.c.view.Dead(x.ID):
				states["dead"]++
			case reason != "":
				states["refused"]++
				reasons[reason]++
			case x.State == registry.Draining:
				states["draining"]++
			case ranks[x.ID]:
				states["rank"]++
			default:
				states["spare"]++
			}
		}
	}
	for s, n := range states {
		out <- prometheus.MustNewConstMetric(w.desc, prometheus.GaugeValue, float64(n), s)
	}
	for r, n := range reasons {
		out <- prometheus.MustNewConstMetric(w.refused, prometheus.GaugeValue, float64(n), r)
	}
}

// etcdEvery is how often etcd is asked whether it is there.
const etcdEvery = 5 * time.Second

// watchEtcd keeps etcdUp true to etcd, until ctx ends.
func (c *coordinator) watchEtcd(ctx context.Context) error {
	tick := time.NewTicker(etcdEvery)
	defer tick.Stop()
	for {
		actx, cancel := context.WithTimeout(ctx, etcdEvery/2)
		_, err := c.reg.ReadGeneration(actx, "0")
		cancel()
		c.etcdUp.Store(err == nil || !registry.Away(err))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// routerMetrics are those that vLLM's production-stack has of its router, which
// dashboards made for it ask for: here the coordinator is router and engine in one.
type routerMetrics struct {
	qps atomic.Int64 // in thousandths, over the last qpsWindow
}

// qpsWindow is what current_qps averages over.
const qpsWindow = 10 * time.Second

func (r *routerMetrics) register(reg *prometheus.Registry, c *coordinator) {
	server := prometheus.Labels{"server": c.reachable(c.httpL)}
	gauge := func(name, help string, labels prometheus.Labels, f func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f))
	}
	gauge("vllm:healthy_pods_total", "1 while a group serves.", server, func() float64 { return number(c.groups.Ready() == nil) })
	gauge("vllm:current_qps", "Requests a second over the last ten.", server, func() float64 { return float64(r.qps.Load()) / 1000 })
	usage := newHostUsage()
	gauge("router_cpu_usage_percent", "This process's share of all cores, since the last time it was asked for.", nil, usage.cpu)
	gauge("router_memory_usage_percent", "The host's memory in use.", nil, usage.memory)
	gauge("router_disk_usage_percent", "The working folder's file system in use.", nil, usage.disk)
}

// run keeps current_qps until ctx ends; total is a counter of requests.
func (r *routerMetrics) run(ctx context.Context, total func() int64) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	const n = int(qpsWindow / time.Second)
	var ring [n]int64
	for i := 0; ; i++ {
		now := total()
		was := ring[i%n]
		ring[i%n] = now
		r.qps.Store((now - was) * 1000 / int64(n))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
