// Package rpc is the gateway's gRPC edge: sullae.v1.InferenceService, with
// grpc.health.v1 and reflection beside it. It translates messages, errors and
// request ids; it never decides anything about tokens: that is package gateway's.
package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/sullae/sullae/coordinator/gateway"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// defaultMaxRequest: gRPC's own limit, 4 MiB, is less than a long prompt of ids.
const defaultMaxRequest = 32 << 20

// ServerOptions are what a grpc.Server needs for Register's services: request
// ids, errors with details, recovery, logs, metrics (in the service's registry,
// so one service has one server), and limits: of maxRequestBytes (0: 32 MiB) a
// request. admit gives a call's context its caller, or refuses it, before anything
// but its header has been read; it must not wait.
func ServerOptions(svc *gateway.Service, maxRequestBytes int, admit func(ctx context.Context, method string) (context.Context, error)) []grpc.ServerOption {
	i := newInterceptor(svc)
	if maxRequestBytes <= 0 {
		maxRequestBytes = defaultMaxRequest
	}
	return []grpc.ServerOption{
		grpc.InTapHandle(i.tap(admit)),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute}),
		grpc.ChainUnaryInterceptor(i.unary),
		grpc.ChainStreamInterceptor(i.stream),
	}
}

// Register adds the inference service, health and reflection to a server made
// with ServerOptions. Health says NOT_SERVING until SetServing.
func Register(s *grpc.Server, svc *gateway.Service) *Health {
	desc := clearDecodeErrors(sullaev1.InferenceService_ServiceDesc)
	s.RegisterService(&desc, &server{svc: svc})
	h := registerHealth(s, svc)
	reflection.Register(s)
	return h
}

type server struct {
	sullaev1.UnimplementedInferenceServiceServer
	svc *gateway.Service
}
