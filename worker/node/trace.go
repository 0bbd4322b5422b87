package node

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/sullae/sullae/ops/tracing"
	"github.com/sullae/sullae/worker/engine"
)

// traceStep adds this rank's part of a step to the traces that the plan names.
func (s *service) traceStep(parents []string, r *rank, began time.Time, res engine.Result, spent spent) {
	if s.tracer == nil || len(parents) == 0 {
		return
	}
	ended := time.Now()
	for _, p := range parents {
		_, span := s.tracer.Start(tracing.Under(context.Background(), p), "rank step", trace.WithTimestamp(began), trace.WithAttributes(
			attribute.Int("sullae.rank", int(r.req.Rank)), attribute.String("sullae.worker", s.id), attribute.Int64("sullae.step", int64(res.Step)), attribute.Int64("sullae.epoch", int64(r.req.Epoch)),
			attribute.Int("sullae.rows", res.Rows), attribute.Float64("sullae.compute_ms", float64(res.ComputeNanos)/1e6),
			attribute.Float64("sullae.wire_ms", float64(res.CollectiveNanos-spent.waited.Nanoseconds())/1e6), attribute.Float64("sullae.wait_ms", float64(spent.waited.Nanoseconds())/1e6)))
		span.End(trace.WithTimestamp(ended))
	}
}
