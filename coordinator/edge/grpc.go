package edge

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/sullae/sullae/coordinator/gateway"
)

// GRPC lets calls with a key through, with their caller in the context; health
// needs none. It goes behind the interceptors that turn the gateway's errors into
// statuses.
func (g *Guard) GRPC() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx, err := g.admit(ctx, info.FullMethod)
			if err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			ctx, err := g.admit(ss.Context(), info.FullMethod)
			if err != nil {
				return err
			}
			return next(srv, stream{ss, ctx})
		}),
	}
}

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

func (g *Guard) admit(ctx context.Context, method string) (context.Context, error) {
	caller := gateway.Caller{Via: "grpc"}
	if p, ok := peer.FromContext(ctx); ok {
		caller.Remote = p.Addr.String()
	}
	if g != nil && !strings.HasPrefix(method, "/"+healthv1.Health_ServiceDesc.ServiceName+"/") {
		authorization := ""
		if v := metadata.ValueFromIncomingContext(ctx, "authorization"); len(v) > 0 {
			authorization = v[0]
		}
		k, err := g.identify(authorization)
		if err != nil {
			return ctx, err
		}
		caller = g.caller(k, caller.Via, caller.Remote)
	}
	return gateway.WithCaller(ctx, caller), nil
}
