package rpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// failure is a status with its details, flat.
type failure struct {
	Code      codes.Code
	Reason    string
	Field     string
	Resource  string
	Retry     time.Duration
	RequestID string
}

func flat(t *testing.T, err error) (failure, string) {
	t.Helper()
	s := status.Convert(err)
	f := failure{Code: s.Code()}
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			f.Reason = d.GetReason()
			if d.GetDomain() != "sullae.dev" {
				t.Errorf("domain %q", d.GetDomain())
			}
		case *errdetails.BadRequest:
			f.Field = d.GetFieldViolations()[0].GetField()
		case *errdetails.ResourceInfo:
			f.Resource = d.GetResourceName()
		case *errdetails.RetryInfo:
			f.Retry = d.GetRetryDelay().AsDuration()
		case *errdetails.RequestInfo:
			f.RequestID = d.GetRequestId()
		}
	}
	return f, s.Message()
}

func (s *server) generate(ctx context.Context, req *sullaev1.GenerateRequest) (metadata.MD, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", "r")
	stream, err := s.api.Generate(ctx, req)
	if err != nil {
		return nil, err
	}
	for err == nil {
		_, err = stream.Recv()
	}
	return stream.Trailer(), err
}

func textRequest(text string) *sullaev1.GenerateRequest {
	return &sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_Text{Text: text}}
}

func TestFailures(t *testing.T) {
	e := &gatewaytest.Engine{}
	s := serve(t, e)
	check := func(req *sullaev1.GenerateRequest, want failure, part string) {
		t.Helper()
		trailer, err := s.generate(t.Context(), req)
		want.RequestID = "r"
		got, message := flat(t, err)
		if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(message, part) {
			t.Errorf("%s (lacks %q)\n%s", message, part, diff)
		}
		if id := trailer.Get("x-request-id"); len(id) != 1 || id[0] != "r" {
			t.Errorf("trailer %v", trailer)
		}
	}
	invalid := func(field string) failure {
		return failure{Code: codes.InvalidArgument, Reason: "INVALID_FIELD", Field: field}
	}
	check(&sullaev1.GenerateRequest{}, invalid("prompt"), "missing")
	check(textRequest(""), invalid("text"), "empty")
	check(&sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_TokenIds{TokenIds: &sullaev1.TokenIds{Ids: []int32{999}}}},
		invalid("token_ids.ids"), "999")
	r := textRequest("x")
	r.Sampling = &sullaev1.Sampling{Temperature: ptr(float32(-1))}
	check(r, invalid("sampling.temperature"), "sampling.temperature: must be between")
	r = textRequest("x")
	r.Stopping = &sullaev1.Stopping{Stop: []string{""}}
	check(r, invalid("stopping.stop"), "empty")
	r = textRequest("x")
	r.Output = &sullaev1.Output{Logprobs: ptr(int32(21))}
	check(r, invalid("output.logprobs"), "20")
	check(textRequest(strings.Repeat("a", 1001)), failure{Code: codes.InvalidArgument, Reason: "CONTEXT_LENGTH_EXCEEDED", Field: "text"}, "1001")
	r = textRequest("x")
	r.Sampling = &sullaev1.Sampling{LogitBias: map[int32]float32{999: 1}}
	check(r, invalid("sampling.logit_bias"), "999")
	r = textRequest("x")
	r.Structure = &sullaev1.Structure{Kind: &sullaev1.Structure_Regex{Regex: "("}}
	check(r, invalid("structure"), "missing closing )")
	r = textRequest("x")
	r.Model = "gpt"
	check(r, failure{Code: codes.NotFound, Reason: "MODEL_NOT_FOUND", Resource: "gpt"}, "served: tiny")

	refuse := func(err error) { e.SubmitErr.Store(&err) }
	refuse(&gateway.RetryError{Err: gateway.ErrOverloaded, After: 2 * time.Second})
	check(textRequest("x"), failure{Code: codes.ResourceExhausted, Reason: "QUEUE_FULL", Retry: 2 * time.Second}, "")
	refuse(gateway.ErrUnavailable)
	check(textRequest("x"), failure{Code: codes.Unavailable, Reason: "NOT_SERVING", Retry: time.Second}, "")
	refuse(errors.New("secret of the house"))
	check(textRequest("x"), failure{Code: codes.Internal, Reason: "INTERNAL"}, "request id r")
	if !strings.Contains(s.log.String(), "secret of the house") {
		t.Error("it is not in the log")
	}
}

func TestNoTokenizer(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{}, func(c *gateway.Config) { c.Model.Tokenizer, c.Model.Template = nil, nil })
	_, err := s.generate(t.Context(), textRequest("x"))
	if f, message := flat(t, err); f.Code != codes.FailedPrecondition || f.Reason != "NO_TOKENIZER" || !strings.Contains(message, "send token ids") {
		t.Errorf("got %+v %s", f, message)
	}
	_, err = s.api.Tokenize(t.Context(), &sullaev1.TokenizeRequest{Input: &sullaev1.TokenizeRequest_Text{Text: "x"}})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
}

func TestPanic(t *testing.T) {
	s := serve(t, panics{})
	_, err := s.generate(t.Context(), textRequest("x"))
	if f, message := flat(t, err); f.Code != codes.Internal || strings.Contains(message, "boom") {
		t.Errorf("got %+v %s", f, message)
	}
	if log := s.log.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "status_test.go") {
		t.Error("the log has no stack")
	}
}

type panics struct{}

func (panics) Ready() error { return nil }
func (panics) Submit(context.Context, gateway.Sequence) (<-chan gateway.Event, error) {
	panic("boom")
}

// raw sends bytes as they are: Go's own client refuses to encode broken UTF-8.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (raw) Unmarshal([]byte, any) error   { return nil }
func (raw) Name() string                  { return "proto" }

func TestBrokenUTF8IsTheClientsFault(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	broken := []byte{2<<3 | 2, 3, 'a', 'b', 0xff} // TokenizeRequest.text
	err := s.conn.Invoke(t.Context(), sullaev1.InferenceService_Tokenize_FullMethodName, broken, new([]byte), grpc.ForceCodec(raw{}))
	if f, message := flat(t, err); f.Code != codes.InvalidArgument || f.Field != "text" || message != "text: is not UTF-8: broken at byte 2" {
		t.Errorf("got %+v %s", f, message)
	}
	for body, field := range map[string]string{
		"\x1a\x01\xff":         "text",          // GenerateRequest.text
		"\x32\x03\x12\x01\xff": "stopping.stop", // .stopping.stop
		"\x32\x05\x12\x01\xff": "request",       // a length that lies
	} {
		stream, err := s.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, sullaev1.InferenceService_Generate_FullMethodName, grpc.ForceCodec(raw{}))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SendMsg([]byte(body))
		_ = stream.CloseSend()
		err = stream.RecvMsg(new([]byte))
		if field == "request" {
			if status.Code(err) == codes.OK {
				t.Error("it was decoded")
			}
			continue
		}
		if f, message := flat(t, err); f.Code != codes.InvalidArgument || f.Field != field {
			t.Errorf("%s: got %+v %s", field, f, message)
		}
	}
}

func TestHealth(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	client := healthv1.NewHealthClient(s.conn)
	check := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, name := range []string{"", "sullae.v1.InferenceService", "tiny"} {
			r, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
			if err != nil || r.GetStatus() != want {
				t.Errorf("%q: got %v, %v", name, r, err)
			}
		}
	}
	check(healthv1.HealthCheckResponse_NOT_SERVING)
	s.health.SetServing(true)
	check(healthv1.HealthCheckResponse_SERVING)
	s.health.Shutdown()
	s.health.SetServing(true)
	check(healthv1.HealthCheckResponse_NOT_SERVING)
	if _, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "gpt"}); status.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestReflection(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	stream, err := reflectionv1.NewServerReflectionClient(s.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, svc := range r.GetListServicesResponse().GetService() {
		names[svc.GetName()] = true
	}
	if !names["sullae.v1.InferenceService"] || !names["grpc.health.v1.Health"] {
		t.Errorf("services %v", names)
	}
	_ = stream.CloseSend()
	_, _ = stream.Recv()
}
