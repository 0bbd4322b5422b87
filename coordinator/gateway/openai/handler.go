// Package openai is the gateway's HTTP edge: OpenAI's completions, chat and
// models, plain and as server-sent events; the tokenizer's endpoints; probes
// and metrics. Beyond OpenAI's fields it takes vLLM's (top_k, ignore_eos,
// stop_token_ids, return_token_ids, skip_special_tokens, add_special_tokens).
//
// A documented field that would change the answer and isn't supported is
// refused by name; a field that nobody documents is ignored. It never decides
// anything about tokens: that is package gateway's.
package openai

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sullae/sullae/coordinator/edge"
	"github.com/sullae/sullae/coordinator/gateway"
)

// Config is what the handler is made of.
type Config struct {
	Service *gateway.Service // required
	// Metrics is served at /metrics; nil: the route is absent.
	Metrics prometheus.Gatherer
	// Version is told at /version.
	Version string
	// MaxBodyBytes bounds a request's body; default 32 MiB.
	MaxBodyBytes int64
}

type handler struct {
	svc     *gateway.Service
	version string
	maxBody int64
	metrics *httpMetrics
}

// NewHandler serves all routes. It registers its metrics in the service's
// registry, so one service has one handler.
func NewHandler(c Config) *edge.Mux {
	h := &handler{
		svc: c.Service, version: c.Version, maxBody: c.MaxBodyBytes,
		metrics: newHTTPMetrics(c.Service.Registry()),
	}
	if h.maxBody <= 0 {
		h.maxBody = 32 << 20
	}
	mux := new(edge.Mux)
	route := func(method, path string, serve http.HandlerFunc) {
		mux.Handle(path, h.wrap(path, only(method, serve)))
	}
	route("GET", "/v1/models", h.listModels)
	route("GET", "/v1/models/{id...}", h.getModel)
	route("POST", "/v1/completions", h.completions)
	route("POST", "/v1/chat/completions", h.chat)
	route("POST", "/tokenize", h.tokenize)
	route("POST", "/detokenize", h.detokenize)
	route("GET", "/tokenizer_info", h.tokenizerInfo)
	route("GET", "/livez", h.live)
	route("GET", "/readyz", h.ready)
	route("GET", "/health", h.ready)
	route("GET", "/version", h.showVersion)
	if c.Metrics != nil {
		route("GET", "/metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}).ServeHTTP)
	}
	mux.Handle("/", h.wrap("", func(w http.ResponseWriter, r *http.Request) {
		NotFound(w, "route_not_found", "there is nothing at "+r.Method+" "+r.URL.Path)
	}))
	return mux
}

// only answers other methods with 405; GET includes HEAD.
func only(method string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			serve(w, r)
			return
		}
		allow := []string{method}
		if method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		writeError(w, apiError{Status: http.StatusMethodNotAllowed, Type: typeInvalid, Code: "method_not_allowed",
			Message: r.URL.Path + " takes " + method + ", not " + r.Method})
	}
}
