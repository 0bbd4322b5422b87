package rpc

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/sullae/sullae/coordinator/gateway"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

type interceptor struct {
	svc      *gateway.Service
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newInterceptor(svc *gateway.Service) *interceptor {
	i := &interceptor{
		svc: svc,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sullae_grpc_requests_total", Help: "gRPC calls answered.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sullae_grpc_request_seconds", Help: "From a gRPC call's start to its status.",
			Buckets: prometheus.ExponentialBuckets(.001, 4, 11),
		}, []string{"method"}),
	}
	svc.Registry().MustRegister(i.requests, i.seconds)
	return i
}

func (i *interceptor) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	c := i.begin(ctx, info.FullMethod)
	defer func() { err = c.end(recover(), err) }()
	return next(context.WithValue(ctx, callKey{}, c), req)
}

func (i *interceptor) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	c := i.begin(ss.Context(), info.FullMethod)
	defer func() { err = c.end(recover(), err) }()
	return next(srv, callStream{ss, context.WithValue(ss.Context(), callKey{}, c)})
}

// tap answers calls that are not admitted.
func (i *interceptor) tap(admit func(context.Context, string) (context.Context, error)) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		admitted, err := admit(ctx, info.FullMethodName)
		if err != nil {
			return ctx, i.begin(ctx, known(info.FullMethodName)).end(nil, err)
		}
		return admitted, nil
	}
}

// known is a method of the API, or "other": a name that anybody may make up is no
// label of a metric.
func known(method string) string {
	desc := &sullaev1.InferenceService_ServiceDesc
	name, ok := strings.CutPrefix(method, "/"+desc.ServiceName+"/")
	if ok && (slices.ContainsFunc(desc.Methods, func(m grpc.MethodDesc) bool { return m.MethodName == name }) ||
		slices.ContainsFunc(desc.Streams, func(s grpc.StreamDesc) bool { return s.StreamName == name })) {
		return method
	}
	return "other"
}

type callStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s callStream) Context() context.Context { return s.ctx }

// call is one RPC, with the id under which it is logged.
type call struct {
	i      *interceptor
	ctx    context.Context
	id     string
	method string
	start  time.Time
}

type callKey struct{}

func (i *interceptor) begin(ctx context.Context, method string) *call {
	c := &call{i: i, ctx: ctx, method: method, start: i.svc.Now()}
	if v := metadata.ValueFromIncomingContext(ctx, gateway.RequestIDHeader); len(v) > 0 && gateway.ValidRequestID(v[0]) {
		c.id = v[0]
	} else {
		c.id = gateway.NewRequestID()
	}
	return c
}

// end turns a panic or an error into the call's status. The request's id goes in
// the trailer then, not in the header: a call without headers is one that gRPC
// clients may retry by themselves.
func (c *call) end(panicked any, err error) error {
	log := c.i.svc.Logger()
	code := codes.OK
	switch {
	case panicked != nil:
		log.ErrorContext(c.ctx, "panic in a request", "req", c.id, "method", c.method, "panic", panicked, "stack", string(debug.Stack()))
		err = errPanic
		fallthrough
	case err != nil:
		s, known := toStatus(err, c.id)
		if !known && panicked == nil {
			log.ErrorContext(c.ctx, "request failed", "req", c.id, "method", c.method, "error", err)
		}
		code = s.Code()
		_ = grpc.SetTrailer(c.ctx, metadata.Pairs(gateway.RequestIDHeader, c.id))
		err = s.Err()
	}
	took := c.i.svc.Now().Sub(c.start)
	c.i.requests.WithLabelValues(c.method, code.String()).Inc()
	c.i.seconds.WithLabelValues(c.method).Observe(took.Seconds())
	log.LogAttrs(c.ctx, slog.LevelDebug, "grpc request", slog.String("req", c.id),
		slog.String("method", c.method), slog.String("code", code.String()), slog.Duration("took", took))
	return err
}

var errPanic = errors.New("panic")

// callOf finds the call that the interceptor began.
func callOf(ctx context.Context) (*call, error) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return nil, status.Error(codes.Internal, "the gRPC server was made without rpc.ServerOptions")
	}
	return c, nil
}
