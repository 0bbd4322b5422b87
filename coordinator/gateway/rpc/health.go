package rpc

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sullae/sullae/coordinator/gateway"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// Health answers grpc.health.v1 for "" (the process), the inference service,
// and each model by its name.
type Health struct {
	server *health.Server
	names  []string
}

func registerHealth(s *grpc.Server, svc *gateway.Service) *Health {
	h := &Health{server: health.NewServer(), names: []string{"", sullaev1.InferenceService_ServiceDesc.ServiceName}}
	for _, m := range svc.Models() {
		h.names = append(h.names, m.Name)
	}
	h.SetServing(false)
	healthv1.RegisterHealthServer(s, h.server)
	return h
}

// SetServing says whether requests can be served now: false while loading,
// forming a group anew, and draining.
func (h *Health) SetServing(serving bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthv1.HealthCheckResponse_SERVING
	}
	for _, name := range h.names {
		h.server.SetServingStatus(name, status)
	}
}

// Shutdown says NOT_SERVING for good: SetServing has no effect any more.
func (h *Health) Shutdown() { h.server.Shutdown() }
