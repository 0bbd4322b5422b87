package rpc_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

func TestGenerate(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("a가")})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "r-1")
	stream, err := s.api.Generate(ctx, &sullaev1.GenerateRequest{
		Prompt: &sullaev1.GenerateRequest_Text{Text: "xy"},
		Output: &sullaev1.Output{Logprobs: ptr(int32(1)), PromptLogprobs: ptr(int32(0)), PromptTokenIds: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []*sullaev1.GenerateResponse
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	head, err := stream.Header()
	if err != nil || len(head.Get("x-request-id")) != 1 || head.Get("x-request-id")[0] != "r-1" {
		t.Errorf("header %v, %v", head, err)
	}
	lp := func(id int32, token string, position int) *sullaev1.TokenLogprob {
		return &sullaev1.TokenLogprob{TokenId: id, Token: token, Logprob: -0.1 * float32(position+1)}
	}
	with := func(l *sullaev1.TokenLogprob, id int32, token string, delta float32) *sullaev1.TokenLogprob {
		l.Top = []*sullaev1.Alternative{{TokenId: id, Token: token, Logprob: l.Logprob + delta}}
		return l
	}
	deltas := func(d *sullaev1.Delta) *sullaev1.GenerateResponse {
		return &sullaev1.GenerateResponse{RequestId: "r-1", Event: &sullaev1.GenerateResponse_Delta{Delta: d}}
	}
	want := []*sullaev1.GenerateResponse{
		{RequestId: "r-1", Event: &sullaev1.GenerateResponse_Prompt{Prompt: &sullaev1.PromptInfo{
			PromptTokens: 2, TokenIds: []int32{'x', 'y'}, Seed: 42, Logprobs: []*sullaev1.TokenLogprob{{}, lp('y', "y", 1)}}}},
		deltas(&sullaev1.Delta{Text: "a", TokenIds: []int32{'a'}, Logprobs: []*sullaev1.TokenLogprob{with(lp('a', "a", 2), 'a', "a", 0.01)}}),
		deltas(&sullaev1.Delta{TokenIds: []int32{0xea}, Logprobs: []*sullaev1.TokenLogprob{with(lp(0xea, `bytes:\xea`, 3), 0xea, `bytes:\xea`, 0)}}),
		deltas(&sullaev1.Delta{TokenIds: []int32{0xb0}, Logprobs: []*sullaev1.TokenLogprob{with(lp(0xb0, `bytes:\xb0`, 4), 'a', "a", 0.01)}}),
		deltas(&sullaev1.Delta{Text: "가", TokenIds: []int32{0x80}, Logprobs: []*sullaev1.TokenLogprob{with(lp(0x80, `bytes:\x80`, 5), 'a', "a", 0.01)}}),
		deltas(&sullaev1.Delta{Logprobs: []*sullaev1.TokenLogprob{with(lp(gatewaytest.EOS, "[EOS]", 6), gatewaytest.EOS, "[EOS]", 0)},
			Finish: &sullaev1.Finish{Reason: sullaev1.FinishReason_FINISH_REASON_STOP, CompletionTokens: 5,
				Matched: &sullaev1.Finish_TokenId{TokenId: gatewaytest.EOS}}}),
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAllFieldsReachTheEngine(t *testing.T) {
	e := &gatewaytest.Engine{}
	s := serve(t, e)
	stream, err := s.api.Generate(t.Context(), &sullaev1.GenerateRequest{
		RequestId: "mine", Model: "tiny",
		Prompt:   &sullaev1.GenerateRequest_TokenIds{TokenIds: &sullaev1.TokenIds{Ids: []int32{'a', 'b', 'c'}}},
		Sampling: &sullaev1.Sampling{Temperature: ptr(float32(0.5)), TopP: ptr(float32(0.25)), TopK: ptr(int32(3)), Seed: ptr(uint64(9))},
		Stopping: &sullaev1.Stopping{MaxTokens: ptr(int32(5)), Stop: []string{"ca"}, StopTokenIds: []int32{7}, IgnoreEos: true},
		N:        ptr(int32(2)),
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[int32]string{}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.GetRequestId() != "mine" {
			t.Errorf("id %q", r.GetRequestId())
		}
		texts[r.GetDelta().GetIndex()] += r.GetDelta().GetText()
		if f := r.GetDelta().GetFinish(); f != nil && f.GetStop() != "ca" {
			t.Errorf("finish %v", f)
		}
	}
	if diff := cmp.Diff(map[int32]string{0: "ab", 1: "ab"}, texts); diff != "" {
		t.Error(diff)
	}
	want := gateway.Sequence{RequestID: "mine", Index: 1, Prompt: []int32{'a', 'b', 'c'}, MaxTokens: 5, StopTokens: []int32{7},
		Sampling: gateway.Sampling{Temperature: 0.5, TopP: 0.25, TopK: 3, Seed: gateway.ChoiceSeed(9, 1), RepetitionPenalty: 1}, Logprobs: -1, PromptLogprobs: -1}
	if diff := cmp.Diff(want, e.Submitted()[1]); diff != "" {
		t.Error(diff)
	}
}

func TestChat(t *testing.T) {
	e := &gatewaytest.Engine{Tokens: gatewaytest.Say("hi")}
	s := serve(t, e)
	stream, err := s.api.Chat(t.Context(), &sullaev1.ChatRequest{Messages: []*sullaev1.Message{{Role: "user", Content: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text += r.GetDelta().GetText()
	}
	seq := e.Submitted()[0]
	if text != "hi" || (gatewaytest.Tokenizer{}).Decode(seq.Prompt, false) != "user:x;assistant:" || seq.MaxTokens != 1000-len(seq.Prompt) {
		t.Errorf("got %q from %+v", text, seq)
	}
}

func TestCancel(t *testing.T) {
	for _, how := range []string{"cancel", "deadline"} {
		e := &gatewaytest.Engine{Step: make(chan struct{})}
		s := serve(t, e)
		ctx, cancel := context.WithCancel(t.Context())
		if how == "deadline" {
			ctx, cancel = context.WithTimeout(t.Context(), 100e6)
		}
		stream, err := s.api.Generate(ctx, &sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_Text{Text: "x"}, N: ptr(int32(3))})
		if err != nil {
			t.Fatal(err)
		}
		e.Step <- struct{}{}
		for range 2 {
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		want := codes.DeadlineExceeded
		if how == "cancel" {
			cancel()
			want = codes.Canceled
		}
		if _, err := stream.Recv(); status.Code(err) != want {
			t.Errorf("got %v", err)
		}
		if !e.Wait() || e.Cancelled() != 3 {
			t.Errorf("%d of 3 sequences were cancelled", e.Cancelled())
		}
		cancel()
	}
}

func TestTextMethods(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "r-2")
	var head metadata.MD
	tok, err := s.api.Tokenize(ctx, &sullaev1.TokenizeRequest{Input: &sullaev1.TokenizeRequest_Text{Text: "BOS 가"}}, grpc.Header(&head))
	if err != nil || len(tok.GetTokenIds()) != 8 || tok.GetMaxModelLen() != 1000 || head.Get("x-request-id")[0] != "r-2" {
		t.Errorf("got %v, %v, header %v", tok, err, head)
	}
	tok, err = s.api.Tokenize(ctx, &sullaev1.TokenizeRequest{Input: &sullaev1.TokenizeRequest_Text{Text: "BOS 가"}, AddSpecialTokens: ptr(false)})
	if err != nil || len(tok.GetTokenIds()) != 7 {
		t.Errorf("got %v, %v", tok, err)
	}
	tok, err = s.api.Tokenize(ctx, &sullaev1.TokenizeRequest{Input: &sullaev1.TokenizeRequest_Chat{Chat: &sullaev1.Messages{
		Messages: []*sullaev1.Message{{Role: "user", Content: "x"}}, AddGenerationPrompt: ptr(false)}}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.api.Detokenize(ctx, &sullaev1.DetokenizeRequest{TokenIds: append(tok.GetTokenIds(), gatewaytest.EOS), SkipSpecialTokens: true})
	if err != nil || text.GetText() != "user:x;" {
		t.Errorf("got %v, %v", text, err)
	}
	models, err := s.api.ListModels(ctx, &sullaev1.ListModelsRequest{})
	want := &sullaev1.ListModelsResponse{Models: []*sullaev1.Model{{Id: "tiny", Architecture: "ExaoneForCausalLM", MaxModelLen: 1000,
		VocabSize: gatewaytest.Vocab, HasTokenizer: true, HasChatTemplate: true, CreatedUnix: 1_700_000_000}}}
	if diff := cmp.Diff(want, models, protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
