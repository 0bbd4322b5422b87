package client_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// frozen answers one word and falls silent, the first time; it sends no more
// heartbeats then, as a process that is stopped.
type frozen struct {
	sullaev1.UnimplementedInferenceServiceServer
	calls atomic.Int32
	had   atomic.Pointer[sullaev1.Resume]
}

func (f *frozen) Generate(req *sullaev1.GenerateRequest, out grpc.ServerStreamingServer[sullaev1.GenerateResponse]) error {
	first := f.calls.Add(1) == 1
	_ = out.SetHeader(metadata.Pairs("x-sullae-heartbeat", "1"))
	_ = out.Send(&sullaev1.GenerateResponse{Event: &sullaev1.GenerateResponse_Prompt{Prompt: &sullaev1.PromptInfo{PromptTokens: 2, Seed: 7}}})
	delta := func(d *sullaev1.Delta) {
		_ = out.Send(&sullaev1.GenerateResponse{Event: &sullaev1.GenerateResponse_Delta{Delta: d}})
	}
	if first {
		delta(&sullaev1.Delta{Text: "one", TokenIds: []int32{1}})
		<-out.Context().Done()
		return out.Context().Err()
	}
	f.had.Store(req.GetResume())
	_ = out.Send(&sullaev1.GenerateResponse{}) // a heartbeat
	delta(&sullaev1.Delta{Text: "two", TokenIds: []int32{2}, Finish: &sullaev1.Finish{}})
	return nil
}

// TestSilence: a stream over which nothing is heard any more, not even heartbeats,
// goes on over a new connection, from what was received.
func TestSilence(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &frozen{}
	srv := grpc.NewServer()
	sullaev1.RegisterInferenceServiceServer(srv, f)
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve(l) }()
	defer func() { srv.Stop(); <-served }()
	c, err := client.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := c.Conn()
	s, err := c.Generate(ctx, &sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_Text{Text: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for d, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		text += d.Text
	}
	if text != "onetwo" || c.Conn() == before {
		t.Errorf("got %q over the same connection: %v", text, c.Conn() == before)
	}
	if had := f.had.Load(); len(had.GetChoices()) != 1 || len(had.Choices[0].TokenIds) != 1 {
		t.Errorf("resumed from %v", had)
	}
}

// TestBeginsAgain: a call that finds the cluster away is begun again where the
// cluster has answered before, and fails at once where it never has.
func TestBeginsAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	serve := func(l net.Listener) (stop func()) {
		srv := grpc.NewServer()
		sullaev1.RegisterInferenceServiceServer(srv, &fake{})
		served := make(chan struct{})
		go func() { defer close(served); srv.Serve(l) }()
		return func() { srv.Stop(); <-served }
	}
	c, err := client.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.Close()
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := c.Complete(ctx, &sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_Text{Text: "a"}})
		return err
	}
	began := time.Now()
	if err := ask(); err == nil || time.Since(began) > 15*time.Second {
		t.Errorf("a cluster that never answered: %v after %v", err, time.Since(began))
	}
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Skip(err)
	}
	stop := serve(l)
	for end := time.Now().Add(20 * time.Second); ask() != nil; {
		if time.Now().After(end) {
			t.Fatal("the cluster does not answer")
		}
	}
	stop()
	back := make(chan func(), 1)
	time.AfterFunc(time.Second, func() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			back <- func() {}
			return
		}
		back <- serve(l)
	})
	if err := ask(); err != nil {
		t.Errorf("a cluster that was away for a second: %v", err)
	}
	(<-back)()
}
