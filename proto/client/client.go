// Package client calls a Sullae cluster from Go, over gRPC.
//
// Messages are those of sullae.v1. A call that fails before its first token
// because the cluster isn't serving is retried a few times; after that, and for
// everything else, errors are of type *Error. A call ends with its context:
// cancelling it, or closing the Stream, frees what the cluster holds for it.
package client

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// serviceConfig spreads calls over all addresses of the target, and retries what
// failed before anything was sent. It may be used with other gRPC clients, too.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{
		"name": [{"service": "sullae.v1.InferenceService"}],
		"retryPolicy": {
			"maxAttempts": 4, "initialBackoff": "0.2s", "maxBackoff": "5s", "backoffMultiplier": 3,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}],
	"retryThrottling": {"maxTokens": 20, "tokenRatio": 0.5}
}`

// maxResponseBytes has room for the log-probabilities of a very long prompt.
const maxResponseBytes = 256 << 20

// Client is a connection to a cluster. It is safe for concurrent use.
type Client struct {
	dial   func() (*grpc.ClientConn, error)
	resume time.Duration

	mu     sync.Mutex
	conn   *grpc.ClientConn // replaced when nothing is heard over it
	closed bool

	// reached: the cluster has answered a call, so an address that does not answer
	// is one that is away, not one that never was.
	reached atomic.Bool
	beats   atomic.Bool // the cluster sends heartbeats in the silence of streams
}

// defaultResume covers a coordinator's failover with room to spare.
const defaultResume = 30 * time.Second

type options struct {
	creds  credentials.TransportCredentials
	resume time.Duration
	grpc   []grpc.DialOption
}

// WithResume sets how long a stream that broke because the cluster is away is
// taken up again, and one that could not begin is begun again (by a client that
// the cluster has answered before); default 30 s, 0 for not at all.
func WithResume(limit time.Duration) Option {
	return func(o *options) { o.resume = limit }
}

// Option changes how Dial connects.
type Option func(*options)

// WithTLS encrypts the connection; a nil config trusts the system's authorities.
// Without this option it is plain text.
func WithTLS(config *tls.Config) Option {
	return func(o *options) {
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		o.creds = credentials.NewTLS(config)
	}
}

// WithAPIKey sends an API key with every call. Without WithTLS it can be read on
// the way.
func WithAPIKey(key string) Option {
	return func(o *options) { o.grpc = append(o.grpc, grpc.WithPerRPCCredentials(apiKey(key))) }
}

// apiKey implements credentials.PerRPCCredentials.
type apiKey string

func (k apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(k)}, nil
}

// RequireTransportSecurity: a cluster on loopback, or behind a proxy that ends
// TLS, is the caller's to judge.
func (apiKey) RequireTransportSecurity() bool { return false }

// WithGRPC adds options of the gRPC library: interceptors, stats handlers,
// credentials per call.
func WithGRPC(opts ...grpc.DialOption) Option {
	return func(o *options) { o.grpc = append(o.grpc, opts...) }
}

// Dial prepares a connection to a target: "host:port", several of them with
// commas between (a leading coordinator and those that stand by), or gRPC's
// "dns:///name:port" for all addresses behind a name. It connects at the first
// call; so its only errors are those of a wrong target or option.
func Dial(target string, opts ...Option) (*Client, error) {
	o := options{creds: insecure.NewCredentials(), resume: defaultResume}
	for _, opt := range opts {
		opt(&o)
	}
	if addrs := strings.Split(target, ","); len(addrs) > 1 {
		static := manual.NewBuilderWithScheme("sullae-addresses")
		var state resolver.State
		for _, a := range addrs {
			state.Addresses = append(state.Addresses, resolver.Address{Addr: a, ServerName: host(a)})
		}
		static.InitialState(state)
		o.grpc = append(o.grpc, grpc.WithResolvers(static))
		target = static.Scheme() + ":///" + host(addrs[0])
	}
	c := &Client{resume: o.resume, dial: func() (*grpc.ClientConn, error) {
		return grpc.NewClient(target, append([]grpc.DialOption{
			grpc.WithTransportCredentials(o.creds),
			grpc.WithDefaultServiceConfig(serviceConfig),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponseBytes)),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
		}, o.grpc...)...)
	}}
	var err error
	if c.conn, err = c.dial(); err != nil {
		return nil, err
	}
	return c, nil
}

// host is an address without its port.
func host(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}

// Close ends the connection and the calls on it.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.conn.Close()
}

// Conn is the connection, for other services of the cluster (health, say). A
// client whose coordinator hangs makes itself a new one.
func (c *Client) Conn() *grpc.ClientConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

func (c *Client) api() sullaev1.InferenceServiceClient {
	return sullaev1.NewInferenceServiceClient(c.Conn())
}

// renew replaces a connection over which nothing is heard: a new one comes up
// with those coordinators alone that answer. Other streams over it go on over the
// new one.
func (c *Client) renew(silent *grpc.ClientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != silent || c.closed {
		return
	}
	if conn, err := c.dial(); err == nil {
		c.conn = conn
		silent.Close()
	}
}

// WithRequestID names the calls that are made with the context it returns; the
// cluster logs the name and sends it back.
func WithRequestID(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-request-id", id)
}

// Tokenize turns text or a conversation into token ids.
func (c *Client) Tokenize(ctx context.Context, req *sullaev1.TokenizeRequest) ([]int32, error) {
	resp, err := c.api().Tokenize(ctx, req)
	return resp.GetTokenIds(), wrap(err)
}

// Detokenize turns token ids into text.
func (c *Client) Detokenize(ctx context.Context, req *sullaev1.DetokenizeRequest) (string, error) {
	resp, err := c.api().Detokenize(ctx, req)
	return resp.GetText(), wrap(err)
}

// Models lists what the cluster serves.
func (c *Client) Models(ctx context.Context) ([]*sullaev1.Model, error) {
	resp, err := c.api().ListModels(ctx, &sullaev1.ListModelsRequest{})
	return resp.GetModels(), wrap(err)
}
