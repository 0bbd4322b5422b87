package edge

import (
	"context"
	"strings"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/sullae/sullae/coordinator/gateway"
)

// Admit lets a gRPC call with a key through: its context gets its caller. Health
// needs none. It looks at the call's header alone and never waits.
func (g *Guard) Admit(ctx context.Context, method string) (context.Context, error) {
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
