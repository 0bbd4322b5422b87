// Package policy asks an operator's PolicyService (proto/sullae/policy/v1) about
// requests. Every call has a deadline; where there is no answer in time, requests
// are refused, or pass, as configured.
package policy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/sullae/sullae/coordinator/gateway"
	policyv1 "github.com/sullae/sullae/proto/sullae/policy/v1"
)

// Config says where the service is and how it is asked. Without an Addr nobody is.
type Config struct {
	Addr    string        // host:port
	CA      string        // PEM file: TLS; "": plain text
	Timeout time.Duration // of each call
	// AllowWhenAway lets requests pass where there is no answer; else they are
	// refused.
	AllowWhenAway bool
	gateway.PolicyConfig
}

// Client implements gateway.Policy.
type Client struct {
	cfg    Config
	log    *slog.Logger
	conn   *grpc.ClientConn
	api    policyv1.PolicyServiceClient
	checks *prometheus.CounterVec
	took   *prometheus.HistogramVec
}

// Dial makes a client, nil where there is no Addr. It connects at the first call.
func Dial(cfg Config, log *slog.Logger, reg prometheus.Registerer, opts ...grpc.DialOption) (*Client, error) {
	if cfg.Addr == "" {
		return nil, nil
	}
	if _, _, err := net.SplitHostPort(cfg.Addr); err != nil {
		return nil, fmt.Errorf("--policy %s: want HOST:PORT", cfg.Addr)
	}
	creds := insecure.NewCredentials()
	if cfg.CA != "" {
		raw, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("--policy-ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("--policy-ca %s holds no certificate in PEM", cfg.CA)
		}
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool})
	}
	conn, err := grpc.NewClient(cfg.Addr, append([]grpc.DialOption{grpc.WithTransportCredentials(creds),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second})}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("--policy %s: %w", cfg.Addr, err)
	}
	c := &Client{cfg: cfg, log: log, conn: conn, api: policyv1.NewPolicyServiceClient(conn),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sullae_policy_checks_total", Help: "Texts that the policy service was asked about, by outcome."}, []string{"stage", "outcome"}),
		took:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sullae_policy_seconds", Help: "Time of a call to the policy service.", Buckets: prometheus.ExponentialBuckets(.0005, 2, 14)}, []string{"stage"}),
	}
	for _, stage := range []string{"input", "output"} {
		for _, outcome := range []string{"allow", "refuse", "redact", "away"} {
			c.checks.WithLabelValues(stage, outcome)
		}
	}
	reg.MustRegister(c.checks, c.took)
	return c, nil
}

// Policy is c, or nil where there is none.
func (c *Client) Policy() gateway.Policy {
	if c == nil {
		return nil
	}
	return c
}

// Close ends the connection.
func (c *Client) Close() {
	if c != nil {
		c.conn.Close()
	}
}

// call asks, within the deadline, and counts the outcome. allowed is true where
// there was no answer and the request passes all the same.
func (c *Client) call(ctx context.Context, stage, req string, ask func(context.Context) (policyv1.Verdict, error)) (v policyv1.Verdict, err error) {
	began := time.Now()
	cctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	v, err = ask(cctx)
	c.took.WithLabelValues(stage).Observe(time.Since(began).Seconds())
	switch v {
	case policyv1.Verdict_VERDICT_ALLOW, policyv1.Verdict_VERDICT_REFUSE, policyv1.Verdict_VERDICT_REDACT:
	default:
		if err == nil {
			err = errors.New("its verdict is none")
		}
	}
	if err == nil {
		c.checks.WithLabelValues(stage, map[policyv1.Verdict]string{policyv1.Verdict_VERDICT_ALLOW: "allow", policyv1.Verdict_VERDICT_REFUSE: "refuse", policyv1.Verdict_VERDICT_REDACT: "redact"}[v]).Inc()
		return v, nil
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx) // the request ended, not the service
	}
	c.checks.WithLabelValues(stage, "away").Inc()
	c.log.WarnContext(ctx, "the policy service does not answer", "req", req, "stage", stage, "err", err, "allowed", c.cfg.AllowWhenAway)
	if c.cfg.AllowWhenAway {
		return policyv1.Verdict_VERDICT_ALLOW, nil
	}
	return 0, fmt.Errorf("%w: the policy service does not answer", gateway.ErrUnavailable)
}
