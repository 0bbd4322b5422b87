package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake answers with the prompt's words, one delta each, for n choices.
type fake struct {
	sullaev1.UnimplementedInferenceServiceServer
	failures int // calls to refuse before one is answered
	refusal  error
	endless  bool
	ended    chan struct{} // an endless call has seen its client go
	id       string
}

func (f *fake) Generate(req *sullaev1.GenerateRequest, out grpc.ServerStreamingServer[sullaev1.GenerateResponse]) error {
	if v := metadata.ValueFromIncomingContext(out.Context(), "x-request-id"); len(v) > 0 {
		f.id = v[0]
	}
	if f.failures > 0 {
		f.failures--
		return f.refusal
	}
	send := func(r *sullaev1.GenerateResponse) { r.RequestId = "r"; _ = out.Send(r) }
	send(&sullaev1.GenerateResponse{Event: &sullaev1.GenerateResponse_Prompt{Prompt: &sullaev1.PromptInfo{PromptTokens: 2, Seed: 7}}})
	delta := func(d *sullaev1.Delta) {
		send(&sullaev1.GenerateResponse{Event: &sullaev1.GenerateResponse_Delta{Delta: d}})
	}
	if f.endless {
		delta(&sullaev1.Delta{Text: "..."})
		<-out.Context().Done()
		close(f.ended)
		return out.Context().Err()
	}
	for i, word := range strings.Fields(req.GetText()) {
		for c := int32(max(req.GetN(), 1)) - 1; c >= 0; c-- {
			delta(&sullaev1.Delta{Index: c, Text: word, TokenIds: []int32{int32(i)}})
		}
	}
	for c := range max(req.GetN(), 1) {
		delta(&sullaev1.Delta{Index: c, Finish: &sullaev1.Finish{Reason: sullaev1.FinishReason_FINISH_REASON_STOP}})
	}
	return nil
}

func (f *fake) Chat(_ *sullaev1.ChatRequest, out grpc.ServerStreamingServer[sullaev1.ChatResponse]) error {
	_ = out.Send(&sullaev1.ChatResponse{Event: &sullaev1.ChatResponse_Delta{Delta: &sullaev1.Delta{Text: "네"}}})
	return out.Send(&sullaev1.ChatResponse{Event: &sullaev1.ChatResponse_Delta{Delta: &sullaev1.Delta{Finish: &sullaev1.Finish{}}}})
}

func (f *fake) Tokenize(context.Context, *sullaev1.TokenizeRequest) (*sullaev1.TokenizeResponse, error) {
	return &sullaev1.TokenizeResponse{TokenIds: []int32{1, 2}}, nil
}

func (f *fake) ListModels(context.Context, *sullaev1.ListModelsRequest) (*sullaev1.ListModelsResponse, error) {
	return &sullaev1.ListModelsResponse{Models: []*sullaev1.Model{{Id: "tiny"}}}, nil
}

// dial connects to a server in memory; stop ends both.
func dial(f *fake) (c *client.Client, stop func()) {
	lis := bufconn.Listen(1 << 16)
	s := grpc.NewServer()
	sullaev1.RegisterInferenceServiceServer(s, f)
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(lis) }()
	c, err := client.Dial("passthrough:///memory", client.WithGRPC(grpc.WithContextDialer(
		func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) })))
	if err != nil {
		panic(err)
	}
	return c, func() { c.Close(); s.Stop(); <-served }
}

func request(text string) *sullaev1.GenerateRequest {
	return &sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_Text{Text: text}}
}

func TestComplete(t *testing.T) {
	f := &fake{}
	c, stop := dial(f)
	defer stop()
	req := request("one two")
	n := int32(2)
	req.N = &n
	got, err := c.Complete(client.WithRequestID(t.Context(), "mine"), req)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Choices) != 2 || got.Prompt.GetSeed() != 7 || got.RequestID != "r" || f.id != "mine" {
		t.Errorf("got %+v, id %q", got, f.id)
	}
	for _, ch := range got.Choices {
		if ch.Text != "onetwo" || len(ch.TokenIDs) != 2 || ch.Finish.GetReason() != sullaev1.FinishReason_FINISH_REASON_STOP {
			t.Errorf("choice %+v", ch)
		}
	}
	chat, err := c.CompleteChat(t.Context(), &sullaev1.ChatRequest{})
	if err != nil || chat.Choices[0].Text != "네" {
		t.Errorf("got %+v, %v", chat, err)
	}
	ids, err := c.Tokenize(t.Context(), &sullaev1.TokenizeRequest{})
	models, err2 := c.Models(t.Context())
	if err != nil || err2 != nil || len(ids) != 2 || models[0].GetId() != "tiny" {
		t.Errorf("got %v, %v, %v, %v", ids, err, models, err2)
	}
	var e *client.Error
	if _, err := c.Detokenize(t.Context(), &sullaev1.DetokenizeRequest{}); !errors.As(err, &e) || e.Code != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
}

func TestStreamAfterItsEnd(t *testing.T) {
	c, stop := dial(&fake{})
	defer stop()
	s, err := c.Generate(t.Context(), request("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := s.Recv(); err != io.EOF {
			t.Errorf("got %v", err)
		}
	}
}

func TestUnavailableIsRetried(t *testing.T) {
	c, stop := dial(&fake{failures: 2, refusal: status.Error(codes.Unavailable, "forming")})
	defer stop()
	if _, err := c.Complete(t.Context(), request("a")); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestErrorDetails(t *testing.T) {
	s, err := status.New(codes.ResourceExhausted, "the queue is full").WithDetails(
		&errdetails.ErrorInfo{Reason: "QUEUE_FULL", Domain: "sullae.dev"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)},
		&errdetails.RequestInfo{RequestId: "r"},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "n", Description: "too large"}}})
	if err != nil {
		t.Fatal(err)
	}
	c, stop := dial(&fake{failures: 9, refusal: s.Err()})
	defer stop()
	_, err = c.Complete(t.Context(), request("a"))
	var e *client.Error
	if !errors.As(err, &e) || e.Reason != "QUEUE_FULL" || e.RetryAfter != 3*time.Second || e.RequestID != "r" ||
		len(e.Violations) != 1 || e.Violations[0] != (client.Violation{Field: "n", Problem: "too large"}) {
		t.Fatalf("got %#v", err)
	}
	if want := "sullae: ResourceExhausted: the queue is full (try again in 3s)"; err.Error() != want || status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

func TestContextEndsACall(t *testing.T) {
	for _, how := range []string{"deadline", "cancel", "break"} {
		t.Run(how, func(t *testing.T) {
			f := &fake{endless: true, ended: make(chan struct{})}
			c, stop := dial(f)
			defer stop()
			ctx, cancel := context.WithCancel(t.Context())
			if how == "deadline" {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			s, err := c.Generate(ctx, request("a"))
			if err != nil {
				t.Fatal(err)
			}
			for d, err := range s.All() {
				switch {
				case how == "break":
				case err == nil && how == "cancel":
					cancel()
					continue
				case err == nil:
					continue
				case how == "cancel" && !errors.Is(err, context.Canceled), how == "deadline" && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("got %v, %v", d, err)
				}
				break
			}
			<-f.ended
		})
	}
}

func TestBadTarget(t *testing.T) {
	if _, err := client.Dial("dns://%zz", client.WithTLS(nil)); err == nil {
		t.Error("no error")
	}
}
