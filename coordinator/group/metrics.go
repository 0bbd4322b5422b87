package group

import (
	"maps"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/coordinator/block"
	"github.com/sullae/sullae/coordinator/sched"
)

// Metrics are a group's own figures. A nil Metrics records nothing.
type Metrics struct {
	step, compute, collective prometheus.Histogram
	rows, gap, mask           prometheus.Histogram

	drafts, draftTokens, accepted prometheus.Counter
	acceptedAt                    *prometheus.CounterVec // by position
	life                          lifecycle

	blockLife, blockIdle, blockReuse prometheus.Histogram
}

// NewMetrics registers a group's metrics, and gauges that read its state.
func NewMetrics(reg prometheus.Registerer, model, group string) *Metrics {
	labels := prometheus.Labels{"model_name": model, "engine": group}
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 16)
	h := func(name, help string, buckets []float64) prometheus.Histogram {
		m := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets, ConstLabels: labels})
		reg.MustRegister(m)
		return m
	}
	c := func(name, help string) prometheus.Counter {
		m := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
		reg.MustRegister(m)
		return m
	}
	at := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vllm:spec_decode_num_accepted_tokens_per_pos_total", Help: "Draft tokens accepted, by place in their draft.", ConstLabels: labels}, []string{"position"})
	reg.MustRegister(at)
	return &Metrics{
		drafts:      c("vllm:spec_decode_num_drafts_total", "Drafts checked."),
		draftTokens: c("vllm:spec_decode_num_draft_tokens_total", "Draft tokens checked."),
		accepted:    c("vllm:spec_decode_num_accepted_tokens_total", "Draft tokens accepted."),
		acceptedAt:  at,
		life:        newLifecycle(reg, labels),
		step:        h("sullae_step_seconds", "Time of a step as the coordinator sees it.", seconds),
		compute:     h("sullae_step_compute_seconds", "Time of a step that rank 0 spent computing.", seconds),
		collective:  h("sullae_step_collective_seconds", "Time of a step that rank 0 spent in collectives.", seconds),
		gap:         h("sullae_step_gap_seconds", "Between two steps' computing on rank 0, while there was work, and before a step's masks: what the ranks wait for the coordinator.", prometheus.ExponentialBuckets(0.00001, 2, 18)),
		mask:        h("sullae_step_mask_seconds", "Making the masks of a step's structured outputs.", prometheus.ExponentialBuckets(0.00001, 2, 18)),
		blockLife:   h("vllm:kv_block_lifetime_seconds", "From when a KV block was handed out to when its content was given up for another's.", blockBuckets),
		blockIdle:   h("vllm:kv_block_idle_before_evict_seconds", "From when a sequence last took a KV block to when its content was given up.", blockBuckets),
		blockReuse:  h("vllm:kv_block_reuse_gap_seconds", "Between two sequences that take a KV block, one after the other.", blockBuckets),
		rows:        h("vllm:iteration_tokens_total", "Tokens computed per step.", prometheus.ExponentialBuckets(1, 2, 14)),
	}
}

// blockBuckets are vLLM's, for the lives of KV blocks.
var blockBuckets = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800}

// blocks records the lives of KV blocks.
func (m *Metrics) blocks() block.Watch {
	if m == nil {
		return block.Watch{}
	}
	return block.Watch{
		Evicted: func(lifetime, idle float64) {
			m.blockLife.Observe(lifetime)
			m.blockIdle.Observe(idle)
		},
		Reused: m.blockReuse.Observe,
	}
}

// Watch registers gauges over g's state.
func (m *Metrics) Watch(reg prometheus.Registerer, model string, g *Group) {
	labels := prometheus.Labels{"model_name": model, "engine": g.cfg.Name}
	gauge := func(name, help string, f func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f))
	}
	gauge("vllm:num_requests_running", "Sequences that are running.", func() float64 { return float64(g.Load().Running) })
	gauge("vllm:num_requests_waiting", "Sequences that wait to run.", func() float64 { return float64(g.Load().Waiting) })
	gauge("vllm:kv_cache_usage_perc", "Share of KV blocks in use, 0 to 1.", func() float64 {
		l := g.Load()
		return float64(l.BlocksTotal-l.BlocksFree) / float64(l.BlocksTotal)
	})
	gauge("sullae_group_epoch", "Epoch of the group.", func() float64 { return float64(g.State().Epoch) })
	serving := func() float64 {
		if g.Ready() == nil {
			return 1
		}
		return 0
	}
	gauge("sullae_group_serving", "1 while the group runs steps.", serving)
	gauge("vllm:engine_healthy", "1 while the group runs steps.", serving)
	counters := func(name, help string, labels prometheus.Labels, f func(sched.Stats) uint64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(f(g.sched.Stats()))
		}))
	}
	queries := func(s sched.Stats) uint64 { return s.PrefixQueries }
	hits := func(s sched.Stats) uint64 { return s.PrefixHits }
	for name, f := range map[string]func(sched.Stats) uint64{
		"vllm:prefix_cache_queries_total": queries,
		"vllm:prefix_cache_hits_total":    hits,
		"vllm:prompt_tokens_cached_total": hits,
		// Older names, which dashboards still ask for.
		"vllm:gpu_prefix_cache_queries_total": queries,
		"vllm:gpu_prefix_cache_hits_total":    hits,
	} {
		counters(name, "Tokens looked up in, or had from, the prefix cache.", labels, f)
	}
	for source, f := range map[string]func(sched.Stats) uint64{
		"local_cache_hit": hits,
		"local_compute":   func(s sched.Stats) uint64 { return s.PrefixQueries - s.PrefixHits },
	} {
		own := prometheus.Labels{"source": source}
		maps.Copy(own, labels)
		counters("vllm:prompt_tokens_by_source_total", "Prompt tokens, by where their keys and values came from.", own, f)
	}
	reg.MustRegister(newRankCollector(g, labels))
	info := func(name, help string, own prometheus.Labels) {
		maps.Copy(own, labels)
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: own}, func() float64 { return 1 }))
	}
	reg.MustRegister(cacheConfig{g, prometheus.NewDesc("vllm:cache_config_info", "1; its labels say how the KV cache is made.",
		[]string{"block_size", "num_gpu_blocks", "enable_prefix_caching"}, labels)})
	info("vllm:lora_requests_info", "1; there are no adapters.", prometheus.Labels{"max_lora": "0", "waiting_lora_adapters": "", "running_lora_adapters": ""})
	gauge("vllm:engine_sleep_state", "0: the engine never sleeps.", func() float64 { return 0 })
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vllm:num_preemptions_total", Help: "Sequences put back for want of KV blocks.", ConstLabels: labels}, func() float64 { return float64(g.Load().Preemptions) }))
}

// cacheConfig is vLLM's information on the KV cache, whose size each epoch decides.
type cacheConfig struct {
	g    *Group
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c cacheConfig) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect implements prometheus.Collector.
func (c cacheConfig) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, 1, strconv.Itoa(c.g.cfg.BlockSize),
		strconv.Itoa(c.g.Load().BlocksTotal), strconv.FormatBool(!c.g.cfg.NoPrefixCache))
}

// Load is how much a group has to do.
type Load struct {
	Waiting, Running        int // sequences
	BlocksFree, BlocksTotal int // of the KV pool
	WaitingTokens           int
	Preemptions             uint64
}

// Load is a snapshot.
func (g *Group) Load() Load {
	g.mu.Lock()
	defer g.mu.Unlock()
	var l Load
	l.Waiting, l.Running = g.sched.Unfinished()
	l.BlocksFree, l.BlocksTotal = g.sched.Blocks()
	l.Preemptions, l.WaitingTokens = g.sched.Preemptions(), g.sched.Stats().WaitingTokens
	return l
}

func (m *Metrics) observe(d time.Duration, f *flight) {
	if m == nil {
		return
	}
	r := f.result
	if f.busy {
		m.gap.Observe(time.Duration(r.GetIdleNs()).Seconds())
	}
	m.step.Observe(d.Seconds())
	m.compute.Observe(time.Duration(r.GetComputeNs()).Seconds())
	m.collective.Observe(time.Duration(r.GetCollectiveNs()).Seconds())
	m.rows.Observe(float64(r.GetRows()))
}

func (m *Metrics) masked(d time.Duration) {
	if m != nil {
		m.mask.Observe(d.Seconds())
	}
}

// verified counts one draft.
func (m *Metrics) verified(tokens, accepted int) {
	if m == nil {
		return
	}
	m.drafts.Inc()
	m.draftTokens.Add(float64(tokens))
	m.accepted.Add(float64(accepted))
	for i := range accepted {
		m.acceptedAt.WithLabelValues(strconv.Itoa(i)).Inc()
	}
}
