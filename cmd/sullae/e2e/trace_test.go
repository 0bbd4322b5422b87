package e2e

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// traceSink is an OTLP collector that keeps what it gets.
type traceSink struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []*tracev1.Span
}

func (s *traceSink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range r.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			s.spans = append(s.spans, ss.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// TestTraces: one request is one trace, the caller's, from HTTP through queue and
// steps to every rank. A request that its caller does not record has none.
func TestTraces(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sink := &traceSink{}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, sink)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	p := up(t, "--workers", "2", "--threads", "1", "--otlp-endpoint", "http://"+l.Addr().String())
	ask := func(trace, flags string) {
		t.Helper()
		req, _ := http.NewRequest("POST", p.http+"/v1/completions", strings.NewReader(`{"prompt": "1+2=", "max_tokens": 3, "ignore_eos": true}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("traceparent", "00-"+trace+"-00000000000000aa-"+flags)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
	}
	const recorded, silent = "11111111111111111111111111111111", "22222222222222222222222222222222"
	ask(silent, "00")
	ask(recorded, "01")
	p.stop(syscall.SIGTERM) // sends what is left
	eventually(t, 10*time.Second, "spans of the trace come", func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.spans) >= 10
	})
	sink.mu.Lock()
	defer sink.mu.Unlock()
	byID, names, ranks := map[string]*tracev1.Span{}, map[string]int{}, map[int64]int{}
	for _, s := range sink.spans {
		switch hex.EncodeToString(s.GetTraceId()) {
		case recorded:
		case silent:
			t.Errorf("%s was not to be recorded", s.GetName())
		default:
			t.Errorf("%s begins a trace of its own", s.GetName())
		}
		byID[string(s.GetSpanId())] = s
		names[s.GetName()]++
		for _, a := range s.GetAttributes() {
			if a.GetKey() == "sullae.rank" {
				ranks[a.GetValue().GetIntValue()]++
			}
		}
	}
	for name, least := range map[string]int{"POST /v1/completions": 1, "sullae.request": 1, "queue": 1, "prefill": 1, "decode": 1, "step": 3, "rank step": 6} {
		if names[name] < least {
			t.Errorf("%d spans %q of %v", names[name], name, names)
		}
	}
	if ranks[0] < 3 || ranks[0] != ranks[1] {
		t.Errorf("spans by rank: %v", ranks)
	}
	parents := map[string]string{"rank step": "step", "step": "sullae.request", "queue": "sullae.request", "prefill": "sullae.request", "decode": "sullae.request", "sullae.request": "POST /v1/completions"}
	for _, s := range sink.spans {
		if want, ok := parents[s.GetName()]; ok {
			if parent := byID[string(s.GetParentSpanId())]; parent.GetName() != want {
				t.Errorf("%s is under %q, not %s", s.GetName(), parent.GetName(), want)
			}
		}
	}
}
