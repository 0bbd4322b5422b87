package rpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	"github.com/sullae/sullae/coordinator/gateway/rpc"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type server struct {
	api    sullaev1.InferenceServiceClient
	conn   *grpc.ClientConn
	health *rpc.Health
	log    *syncBuffer
}

func admitAll(ctx context.Context, _ string) (context.Context, error) { return ctx, nil }

func serve(t *testing.T, e gateway.Engine, change ...func(*gateway.Config)) *server {
	t.Helper()
	return serveTo(t, admitAll, e, change...)
}

func serveTo(t *testing.T, admit func(context.Context, string) (context.Context, error), e gateway.Engine, change ...func(*gateway.Config)) *server {
	t.Helper()
	s := &server{log: &syncBuffer{}}
	c := gateway.Config{Model: gatewaytest.Model(), Engine: e, NewSeed: func() uint64 { return 42 },
		Logger: slog.New(slog.NewTextHandler(s.log, nil))}
	for _, f := range change {
		f(&c)
	}
	svc := gateway.New(c)
	gs := grpc.NewServer(rpc.ServerOptions(svc, 0, admit)...)
	s.health = rpc.Register(gs, svc)
	lis := bufconn.Listen(1 << 20)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = gs.Serve(lis)
	}()
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	s.conn, s.api = conn, sullaev1.NewInferenceServiceClient(conn)
	t.Cleanup(func() {
		conn.Close()
		gs.Stop()
		<-served
		if f, ok := e.(*gatewaytest.Engine); ok && !f.Wait() {
			t.Error("a sequence still runs after the test")
		}
	})
	return s
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func ptr[T any](v T) *T { return &v }
