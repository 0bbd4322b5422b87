package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/ops/tracing/tracetest"
)

// TestTraces: one request is one trace, the caller's, from HTTP through queue and
// steps to every rank, by both protocols of OTLP. A request that its caller does
// not record has none.
func TestTraces(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	t.Run("grpc", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sink, server := &tracetest.Sink{}, grpc.NewServer()
		sink.Register(server)
		go server.Serve(l)
		t.Cleanup(server.Stop)
		traces(t, sink, "--otlp-endpoint", "http://"+l.Addr().String())
	})
	t.Run("http", func(t *testing.T) {
		sink := &tracetest.Sink{}
		server := httptest.NewServer(sink)
		t.Cleanup(server.Close)
		traces(t, sink, "--otlp-endpoint", server.URL+"/", "--otlp-protocol", "http/protobuf")
	})
}

// traces asks a cluster of two workers, whose traces go to the sink.
func traces(t *testing.T, sink *tracetest.Sink, flags ...string) {
	p := up(t, append([]string{"--workers", "2", "--threads", "1"}, flags...)...)
	const recorded, silent = "11111111111111111111111111111111", "22222222222222222222222222222222"
	for trace, record := range map[string]bool{silent: false, recorded: true} {
		req, _ := http.NewRequest("POST", p.http+"/v1/completions", strings.NewReader(`{"prompt": "1+2=", "max_tokens": 3, "ignore_eos": true}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("traceparent", tracetest.Traceparent(trace, record))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
	}
	p.stop(syscall.SIGTERM) // sends what is left
	whole := func() error { return tracetest.Request(sink.Spans(recorded), "POST /v1/completions", 2, 3) }
	for deadline := time.Now().Add(10 * time.Second); whole() != nil && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	if err := whole(); err != nil {
		t.Error(err)
	}
	logged := false
	for line := range strings.Lines(p.log.String()) {
		logged = logged || strings.Contains(line, "request ended") && strings.Contains(line, "trace_id="+recorded)
		if strings.Contains(line, "trace_id="+silent) {
			t.Errorf("logged with a trace that is not recorded: %s", line)
		}
	}
	if !logged {
		t.Error("the recorded request's log line has no trace_id")
	}
	if n := len(sink.Spans("")) - len(sink.Spans(recorded)); n > 0 {
		t.Errorf("%d spans are not of the trace that was to be recorded", n)
	}
}
