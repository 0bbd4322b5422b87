package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"github.com/sullae/sullae/collective/registry/zapslog"
)

// callTimeout bounds one call to etcd where the caller's ctx does not.
const callTimeout = 5 * time.Second

// Registry is one process's connection to the cluster's records. Its methods
// may be called from any goroutine.
type Registry struct {
	backend backend
	keys    keys
	ttl     time.Duration
	log     *slog.Logger

	ctx  context.Context // ends at Close
	stop context.CancelFunc

	mu     sync.Mutex // guards closed, and wg against Add during Wait
	closed bool
	wg     sync.WaitGroup
}

// Open connects to etcd and returns when it has answered. It fails within
// cfg.DialTimeout, give or take a second, with an error that names the endpoints, the flag and what to
// check: when nothing answers (ErrUnreachable), when TLS fails, when etcd
// refuses the user, or when the user may not read the prefix.
func Open(ctx context.Context, cfg Config) (*Registry, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg, err = cfg.withEndpoints(); err != nil {
		return nil, err
	}
	var tlsConfig *tls.Config
	if strings.HasPrefix(cfg.Endpoints[0], "https:") {
		if tlsConfig, err = cfg.TLS.config(); err != nil {
			return nil, err
		}
	}
	// A fifth of the time is kept to find out why etcd does not answer.
	dialCtx, cancel := context.WithTimeout(ctx, cfg.DialTimeout*4/5)
	defer cancel()
	client, err := dial(dialCtx, cfg, tlsConfig)
	if err == nil {
		r := newRegistry(etcdBackend{client}, cfg)
		if _, err = client.Get(dialCtx, string(r.keys), clientv3.WithPrefix(), clientv3.WithCountOnly()); err == nil {
			return r, nil
		}
		r.Close()
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("registry: open: %w", context.Cause(ctx))
	}
	return nil, explain(ctx, err, cfg, tlsConfig)
}

// dial makes the client, which logs in where a user is given.
func dial(ctx context.Context, cfg Config, tlsConfig *tls.Config) (*clientv3.Client, error) {
	options := []grpc.DialOption{
		// grpc's own would wait up to two minutes to connect again.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: retryMax},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
	if tlsConfig != nil && cfg.TLS.ServerName != "" {
		options = append(options, grpc.WithTransportCredentials(
			namedCredentials{credentials.NewTLS(tlsConfig), cfg.TLS.ServerName}))
	}
	// The client lives on after ctx, but may not outlive it before it is made.
	base, abort := context.WithCancel(context.Background())
	release := context.AfterFunc(ctx, abort)
	client, err := clientv3.New(clientv3.Config{
		Context:              base,
		Endpoints:            cfg.Endpoints,
		Username:             cfg.Username,
		Password:             cfg.Password,
		TLS:                  tlsConfig,
		DialTimeout:          cfg.DialTimeout,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		Logger:               zapslog.New(cfg.Logger, zapslog.Quiet),
		DialOptions:          options,
	})
	if err != nil {
		release()
		abort()
		return nil, err
	}
	if !release() {
		client.Close()
		return nil, ctx.Err()
	}
	return client, nil
}

// newRegistry expects cfg to have its defaults.
func newRegistry(b backend, cfg Config) *Registry {
	ctx, stop := context.WithCancel(context.Background())
	return &Registry{
		backend: b,
		keys:    newKeys(cfg.Prefix, cfg.Cluster),
		ttl:     cfg.TTL,
		log:     cfg.Logger,
		ctx:     ctx,
		stop:    stop,
	}
}

// ErrClosed is returned by calls on a closed Registry.
var ErrClosed = errors.New("registry closed")

// Close ends everything that the Registry runs, watches and registrations
// alike, and waits for it. It revokes nothing: what should go at once is closed
// first; the rest lapses with its lease.
func (r *Registry) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.wg.Wait()
	return r.backend.close()
}

// spawn runs f until it returns; its ctx ends with parent and at Close.
func (r *Registry) spawn(parent context.Context, f func(ctx context.Context)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.wg.Go(func() {
		ctx, cancel := r.within(parent)
		defer cancel()
		f(ctx)
	})
	return nil
}

// within is parent, ended at Close too.
func (r *Registry) within(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	if r.ctx.Err() != nil {
		cancel(ErrClosed) // at once, where AfterFunc would take its time
	}
	release := context.AfterFunc(r.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { release(); cancel(nil) }
}

// call is the ctx of one call to the backend.
func (r *Registry) call(parent context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := r.within(parent)
	timed, stop := context.WithTimeout(ctx, timeout)
	return timed, func() { stop(); cancel() }
}

// beat is how often a lease is refreshed, and how long a call that does so may
// take: three may fail in a row before the lease lapses.
func beat(ttl time.Duration) time.Duration { return ttl / 3 }
