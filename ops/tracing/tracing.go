// Package tracing sends OpenTelemetry traces, where a collector is named: by the
// flags, or by OpenTelemetry's own OTEL_* variables. Trace contexts travel as W3C
// traceparents: in HTTP headers, in gRPC metadata, and in the plans of steps.
//
// Without a collector there is no provider, the tracer is OpenTelemetry's no-op
// one, and nothing is recorded or sent.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Config says where traces go. The zero value leaves all to OTEL_* variables.
type Config struct {
	// Endpoint is a collector's URL, such as http://collector:4317.
	Endpoint string
	// Protocol is "grpc" or "http/protobuf"; "": OTEL_EXPORTER_OTLP_PROTOCOL, or grpc.
	Protocol string
	// Ratio of the traces that begin here are recorded, 0 to 1; those that callers
	// began are as they decided. Below 0: OTEL_TRACES_SAMPLER, or all.
	Ratio float64

	Service, Version, Instance string
}

// Provider makes tracers. A nil *Provider makes such as record nothing.
type Provider struct {
	sdk *trace.TracerProvider
	log *slog.Logger
}

const scope = "github.com/sullae/sullae"

// Propagator is how trace contexts travel.
var Propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

// first is the first variable that is set.
func first(names ...string) string {
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// Start connects to the collector, in the background; nil where none is named.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (*Provider, error) {
	if cfg.Ratio > 1 {
		return nil, fmt.Errorf("--trace-ratio %g: must be between 0 and 1", cfg.Ratio)
	}
	named := cfg.Endpoint != "" || first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") != ""
	if !named || os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	if u, err := url.Parse(cfg.Endpoint); cfg.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("--otlp-endpoint %s: want a URL such as http://collector:4317", cfg.Endpoint)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing", "err", err) }))
	protocol := cfg.Protocol
	if protocol == "" {
		protocol = first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	var exporter *otlptrace.Exporter
	var err error
	switch protocol {
	case "", "grpc":
		var opts []otlptracegrpc.Option
		if cfg.Endpoint != "" {
			opts = append(opts, otlptracegrpc.WithEndpointURL(cfg.Endpoint))
		}
		exporter, err = otlptracegrpc.New(ctx, opts...)
	case "http/protobuf":
		var opts []otlptracehttp.Option
		if cfg.Endpoint != "" {
			opts = append(opts, otlptracehttp.WithEndpointURL(strings.TrimSuffix(cfg.Endpoint, "/")+"/v1/traces"))
		}
		exporter, err = otlptracehttp.New(ctx, opts...)
	default:
		return nil, fmt.Errorf("--otlp-protocol %s: want grpc or http/protobuf", protocol)
	}
	if err != nil {
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Version), attribute.String("service.instance.id", cfg.Instance)),
		resource.WithFromEnv(), resource.WithHost())
	if err != nil {
		log.Warn("tracing: resource", "err", err) // what could be found is in res
	}
	opts := []trace.TracerProviderOption{trace.WithBatcher(exporter, trace.WithMaxQueueSize(16384)), trace.WithResource(res)}
	if cfg.Ratio >= 0 {
		opts = append(opts, trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(cfg.Ratio))))
	}
	log.Info("traces are sent", "protocol", protocol, "endpoint", cfg.Endpoint)
	return &Provider{trace.NewTracerProvider(opts...), log}, nil
}

// Tracer is for all spans of this process.
func (p *Provider) Tracer() api.Tracer {
	if p == nil {
		return noop.NewTracerProvider().Tracer(scope)
	}
	return p.sdk.Tracer(scope)
}

// Close sends what is left, within five seconds.
func (p *Provider) Close() {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := p.sdk.Shutdown(ctx); err != nil {
		p.log.Warn("tracing: not all spans were sent", "err", err)
	}
}

// Parent is a recorded span's context as a traceparent, "" for others.
func Parent(s api.SpanContext) string {
	if !s.IsSampled() {
		return ""
	}
	m := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(api.ContextWithSpanContext(context.Background(), s), m)
	return m["traceparent"]
}

// Under is a context whose spans are children of a traceparent.
func Under(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}
