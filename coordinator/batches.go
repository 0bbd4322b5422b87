package coordinator

import (
	"strings"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/coordinator/batch"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// yieldToStreams makes batches yield to gRPC's requests for tokens, as they do
// to HTTP's.
func yieldToStreams(b *batch.Service) grpc.ServerOption {
	prefix := "/" + sullaev1.InferenceService_ServiceDesc.ServiceName + "/"
	return grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if strings.HasPrefix(info.FullMethod, prefix) { // health is watched for hours
			defer b.Interactive()()
		}
		return next(srv, s)
	})
}
