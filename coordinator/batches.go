package coordinator

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/coordinator/batch"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// runBatches works on batches from when this coordinator leads: one that stands by
// could not have a line answered, and must not hold a folder that both share.
// (Leadership that is lost ends the process.)
func (c *coordinator) runBatches(ctx context.Context, b *batch.Service) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for c.lead.get() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return b.Run(ctx)
}

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
