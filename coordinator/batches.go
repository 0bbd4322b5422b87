package coordinator

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/coordinator/batch"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// runBatches works on batches while this coordinator leads: one that stands by
// could not have a line answered, and must not hold a folder that both share.
func (c *coordinator) runBatches(ctx context.Context, b *batch.Service) error {
	for {
		if !c.awaitLead(ctx, true) {
			return nil
		}
		term, end := context.WithCancel(ctx)
		go func() { // ends with term
			c.awaitLead(term, false)
			end()
		}()
		err := b.Run(term)
		lost := term.Err() != nil
		end()
		if ctx.Err() != nil || !lost {
			return err
		}
	}
}

// awaitLead waits until this coordinator leads, or does not; false: ctx has ended.
func (c *coordinator) awaitLead(ctx context.Context, leads bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for (c.lead.get() != nil) != leads {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
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
