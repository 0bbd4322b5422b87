package group

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/sullae/sullae/ops/tracing"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// maxTraced bounds the requests of a step whose traces get it.
const maxTraced = 16

// traceStep begins a span of a step in the trace of each request in it that is
// recorded, and tells the ranks. Where none is, it costs a look at each sequence.
// g.mu is held.
func (g *Group) traceStep(e *epoch, p *clusterv1.StepPlan) (spans []trace.Span) {
	if g.cfg.Tracer == nil {
		return nil
	}
	seen := map[trace.SpanID]bool{}
	for _, q := range p.GetSequences() {
		st := g.seqs[q.GetId()]
		if st == nil || !st.seq.Trace.IsSampled() || seen[st.seq.Trace.SpanID()] || len(spans) == maxTraced {
			continue
		}
		seen[st.seq.Trace.SpanID()] = true
		ctx := trace.ContextWithSpanContext(context.Background(), st.seq.Trace)
		_, span := g.cfg.Tracer.Start(ctx, "step", trace.WithAttributes(
			attribute.Int64("sullae.step", int64(p.GetStep())), attribute.Int64("sullae.epoch", int64(e.id)),
			attribute.String("sullae.group", g.cfg.Name), attribute.Int("sullae.sequences", len(p.GetSequences()))))
		spans = append(spans, span)
		p.Traces = append(p.Traces, tracing.Parent(span.SpanContext()))
	}
	return spans
}
