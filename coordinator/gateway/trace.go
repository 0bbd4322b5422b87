package gateway

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// traceRequest begins a request's span, under that of the edge.
func (st *Stream) traceRequest(p *plan) {
	s := st.svc
	if s.tracer == nil {
		return
	}
	st.ctx, st.span = s.tracer.Start(st.ctx, "sullae.request", trace.WithTimestamp(st.start))
	if !st.span.IsRecording() {
		return
	}
	prompt := 0
	for _, pp := range p.prompts {
		prompt += len(pp.ids)
	}
	st.span.SetAttributes(attribute.String("sullae.request_id", p.id), attribute.String("sullae.caller", st.caller.Name),
		attribute.String("gen_ai.request.model", s.model.Name), attribute.Int("gen_ai.usage.input_tokens", prompt), attribute.Int("sullae.choices", len(p.prompts)*p.n))
}

// traceEnd ends a request's span.
func (st *Stream) traceEnd(completion int, err error) {
	if st.span == nil {
		return
	}
	st.span.SetAttributes(attribute.Int("gen_ai.usage.output_tokens", completion))
	if err != nil {
		st.span.SetStatus(codes.Error, err.Error())
	}
	st.span.End()
}

// spanContext is what the engine's spans belong to.
func (st *Stream) spanContext() trace.SpanContext {
	if st.span == nil {
		return trace.SpanContext{}
	}
	return st.span.SpanContext()
}

// traceStages adds what a sequence's time went to, when it is known.
func (c *choice) traceStages(reason string, t times) {
	st := c.stream
	if st.span == nil || !st.span.IsRecording() {
		return
	}
	stage := func(name string, from, to time.Time, attrs ...attribute.KeyValue) {
		if from.IsZero() || to.IsZero() || to.Before(from) {
			return
		}
		_, span := st.svc.tracer.Start(st.ctx, name, trace.WithTimestamp(from), trace.WithAttributes(append(attrs, attribute.Int("sullae.choice", c.seq.Index))...))
		span.End(trace.WithTimestamp(to))
	}
	stage("queue", t.start, t.scheduled)
	stage("prefill", t.scheduled, t.first, attribute.Int("sullae.prompt_tokens", len(c.seq.Prompt)))
	stage("decode", t.first, t.last, attribute.Int("sullae.tokens", c.generated), attribute.String("gen_ai.response.finish_reason", reason))
}
