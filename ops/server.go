// Package ops is what every process of a cluster shows to those who run it, on a
// plaintext port of its own: probes, metrics, and /debug/, which answers this
// host alone. It knows nothing of models; coordinators and workers give it their
// answers.
package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config is what is shown.
type Config struct {
	Addr    string // host:port; port 0 takes a free one
	Metrics prometheus.Gatherer
	// Started, Ready and Live are nil where all is well. Live must depend on this
	// process alone: a probe that fails restarts it.
	Started, Ready, Live func() error
	// Debug are snapshots for /debug/NAME, told as JSON.
	Debug  map[string]func() any
	Logger *slog.Logger
}

// Server is a bound port.
type Server struct {
	cfg Config
	l   net.Listener
}

// Listen binds the port.
func Listen(cfg Config) (*Server, error) {
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("--ops %s: %w (choose another address, or port 0 for a free one)", cfg.Addr, err)
	}
	return &Server{cfg, l}, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.l.Addr() }

// Serve answers until ctx ends; then it returns nil.
func (s *Server) Serve(ctx context.Context) error {
	web := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	stop := context.AfterFunc(ctx, func() { web.Close() })
	defer stop()
	s.cfg.Logger.Info("probes, metrics and /debug/", "address", s.l.Addr().String())
	if err := web.Serve(s.l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("--ops: %w", err)
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /startupz", probe(s.cfg.Started))
	mux.Handle("GET /readyz", probe(s.cfg.Ready))
	mux.Handle("GET /livez", probe(s.cfg.Live))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{}))
	mux.Handle("/debug/", thisHost(debugMux(s.cfg.Debug)))
	return mux
}

// probe answers 200, or 503 with the reason.
func probe(check func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status, body := http.StatusOK, struct {
			Status string `json:"status"`
			Reason string `json:"reason,omitempty"`
		}{Status: "ok"}
		if check != nil {
			if err := check(); err != nil {
				status, body.Status, body.Reason = http.StatusServiceUnavailable, "not ok", err.Error()
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	})
}
