// Package tracetest is an OTLP receiver for tests, and what one request's trace
// must look like.
package tracetest

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Span is a span with the process that made it.
type Span struct {
	*tracev1.Span
	Service, Instance string // resource attributes service.name and service.instance.id
}

// Sink keeps the spans that it gets, by gRPC (Register) or HTTP.
type Sink struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []Span
}

// Register has a gRPC server take spans.
func (s *Sink) Register(server *grpc.Server) { collector.RegisterTraceServiceServer(server, s) }

// Export implements OTLP over gRPC.
func (s *Sink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range r.GetResourceSpans() {
		var span Span
		for _, a := range rs.GetResource().GetAttributes() {
			switch a.GetKey() {
			case "service.name":
				span.Service = a.GetValue().GetStringValue()
			case "service.instance.id":
				span.Instance = a.GetValue().GetStringValue()
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, span.Span = range ss.GetSpans() {
				s.spans = append(s.spans, span)
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP implements OTLP over HTTP with protobuf bodies, at /v1/traces.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "want a POST of protobuf to /v1/traces", http.StatusUnsupportedMediaType)
		return
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, 64<<20)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	var req collector.ExportTraceServiceRequest
	raw, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(raw, &req)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	res, _ := s.Export(r.Context(), &req)
	out, _ := proto.Marshal(res)
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Write(out)
}

// Spans are those of a trace, by its id in hexadecimal; "": all.
func (s *Sink) Spans(trace string) []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Span
	for _, span := range s.spans {
		if trace == "" || hex.EncodeToString(span.GetTraceId()) == trace {
			out = append(out, span)
		}
	}
	return out
}
