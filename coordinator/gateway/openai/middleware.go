package openai

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/ops/response"
)

type httpMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newHTTPMetrics(reg prometheus.Registerer) *httpMetrics {
	m := &httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sullae_http_requests_total", Help: "HTTP requests answered.",
		}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sullae_http_request_seconds", Help: "From an HTTP request's headers to its answer's end.",
			Buckets: prometheus.ExponentialBuckets(.001, 4, 11),
		}, []string{"route"}),
	}
	reg.MustRegister(m.requests, m.seconds)
	return m
}

// identify gives a request and its answer an id, the client's where that can be one.
func identify(w http.ResponseWriter, r *http.Request) string {
	id := r.Header.Get(gateway.RequestIDHeader)
	if !gateway.ValidRequestID(id) {
		id = gateway.NewRequestID()
		r.Header.Set(gateway.RequestIDHeader, id)
	}
	w.Header().Set(gateway.RequestIDHeader, id)
	return id
}

// wrap gives a route its request id, its log line, its metrics, and a 500 where
// it panics.
func (h *handler) wrap(route string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := h.svc.Now()
		id := identify(w, r)
		sw := &response.Recorder{ResponseWriter: w}
		defer func() {
			p := recover()
			took := h.svc.Now().Sub(start)
			if p != nil && p != http.ErrAbortHandler {
				h.svc.Logger().ErrorContext(r.Context(), "panic in a request", "req", id, "route", route, "panic", p, "stack", string(debug.Stack()))
				if sw.Status == 0 {
					writeError(sw, internalError(id))
					p = nil
				} else {
					// Too late for a status: break the connection, so that the
					// answer doesn't look whole.
					p = http.ErrAbortHandler
				}
			}
			h.metrics.requests.WithLabelValues(route, strconv.Itoa(sw.Status)).Inc()
			h.metrics.seconds.WithLabelValues(route).Observe(took.Seconds())
			h.svc.Logger().LogAttrs(r.Context(), slog.LevelDebug, "http request", slog.String("req", id),
				slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.Int("status", sw.Status), slog.Duration("took", took))
			if p != nil {
				panic(p)
			}
		}()
		if v := r.Header.Get(timeoutHeader); v != "" {
			limit, err := parseTimeout(v)
			if err != nil {
				h.fail(sw, r, err)
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			r = r.WithContext(ctx)
		}
		next(sw, r)
	})
}

// timeoutHeader bounds a request's time, waiting included: seconds ("1.5") or a
// Go duration ("1500ms"). When it is over the request ends within a step.
const timeoutHeader = "X-Request-Timeout"

func parseTimeout(v string) (time.Duration, error) {
	limit, err := time.ParseDuration(v)
	if seconds, ferr := strconv.ParseFloat(v, 64); ferr == nil {
		limit, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || limit <= 0 {
		return 0, &gateway.FieldError{Field: timeoutHeader, Problem: fmt.Sprintf("must be seconds or a duration above 0, got %q", v)}
	}
	return limit, nil
}
