package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics have vLLM's names and meanings, so that its dashboards and the
// Kubernetes inference gateway work unchanged. A "request" in them is a
// sequence: a choice of a prompt. The scheduler's (queue, running, cache) are
// the engine's to export.
type metrics struct {
	promptTokens, generationTokens prometheus.Counter
	finished                       *prometheus.CounterVec
	firstToken, interToken, e2e    prometheus.Observer
	perToken                       prometheus.Observer
	promptLen, generationLen       prometheus.Observer
	paramsN, paramsMaxTokens       prometheus.Observer
	queued, prefill, decode, infer prometheus.Observer
	longest                        prometheus.Observer
}

var (
	firstTokenBuckets = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	tokenBuckets      = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	requestBuckets    = []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	nBuckets          = []float64{1, 2, 5, 10, 20}
)

func newMetrics(reg prometheus.Registerer, model string) *metrics {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"model_name": model, "engine": "0"}, reg)
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "vllm:" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Observer {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vllm:" + name, Help: help, Buckets: buckets})
		reg.MustRegister(h)
		return h
	}
	lengths := prometheus.ExponentialBuckets(1, 2, 18)
	m := &metrics{
		promptTokens:     counter("prompt_tokens_total", "Prompt tokens processed."),
		generationTokens: counter("generation_tokens_total", "Tokens generated."),
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vllm:request_success_total", Help: "Sequences ended, by reason.",
		}, []string{"finished_reason"}),
		firstToken:      histogram("time_to_first_token_seconds", "From a request's arrival to a sequence's first token.", firstTokenBuckets),
		interToken:      histogram("inter_token_latency_seconds", "Between two tokens of a sequence.", tokenBuckets),
		perToken:        histogram("request_time_per_output_token_seconds", "A sequence's mean time per token after the first.", tokenBuckets),
		e2e:             histogram("e2e_request_latency_seconds", "From a request's arrival to a sequence's end.", requestBuckets),
		promptLen:       histogram("request_prompt_tokens", "Prompt tokens of a sequence.", lengths),
		generationLen:   histogram("request_generation_tokens", "Tokens generated for a sequence.", lengths),
		paramsN:         histogram("request_params_n", "Choices asked for.", nBuckets),
		paramsMaxTokens: histogram("request_params_max_tokens", "Most tokens allowed to a sequence.", lengths),
		queued:          histogram("request_queue_time_seconds", "From a request's arrival to a sequence's first step.", requestBuckets),
		prefill:         histogram("request_prefill_time_seconds", "From a sequence's first step to its first token.", requestBuckets),
		decode:          histogram("request_decode_time_seconds", "From a sequence's first token to its last.", requestBuckets),
		infer:           histogram("request_inference_time_seconds", "From a sequence's first step to its last token.", requestBuckets),
		longest:         histogram("request_max_num_generation_tokens", "Tokens of a request's longest choice.", lengths),
	}
	reg.MustRegister(m.finished)
	for _, reason := range []string{"stop", "length", "content_filter", "abort", "error"} {
		m.finished.WithLabelValues(reason)
	}
	return m
}

func (m *metrics) started(p *plan) {
	for _, pp := range p.prompts {
		m.paramsN.Observe(float64(p.n))
		m.paramsMaxTokens.Observe(float64(pp.maxTokens))
	}
}

// times are those of a sequence: its request's arrival, its first step, its first
// and last token, and its end; zero where there is none.
type times struct{ start, scheduled, first, last, end time.Time }

// ended counts a sequence.
func (m *metrics) ended(reason string, prompt, generated int, t times) {
	m.finished.WithLabelValues(reason).Inc()
	success := reason == "stop" || reason == "length"
	if success || generated > 0 {
		m.promptTokens.Add(float64(prompt))
	}
	if !success {
		return
	}
	m.promptLen.Observe(float64(prompt))
	m.generationLen.Observe(float64(generated))
	m.e2e.Observe(t.end.Sub(t.start).Seconds())
	if generated > 1 {
		m.perToken.Observe(t.end.Sub(t.first).Seconds() / float64(generated-1))
	}
	if t.scheduled.IsZero() || generated == 0 {
		return
	}
	m.queued.Observe(t.scheduled.Sub(t.start).Seconds())
	m.prefill.Observe(t.first.Sub(t.scheduled).Seconds())
	m.decode.Observe(t.last.Sub(t.first).Seconds())
	m.infer.Observe(t.last.Sub(t.scheduled).Seconds())
}
