package openai_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

// OpenAI's own client is the contract.
func newSDK(s *server) sdk.Client {
	return sdk.NewClient(option.WithBaseURL(s.url+"/v1/"), option.WithAPIKey("none"), option.WithHTTPClient(s.http), option.WithMaxRetries(0))
}

func TestSDKModels(t *testing.T) {
	c := newSDK(serve(t, &gatewaytest.Engine{}))
	page, err := c.Models.List(t.Context())
	if err != nil || len(page.Data) != 1 || page.Data[0].ID != "tiny" || page.Data[0].Created != 1_700_000_000 {
		t.Errorf("got %+v, %v", page, err)
	}
	m, err := c.Models.Get(t.Context(), "tiny")
	if err != nil || m.OwnedBy != "sullae" || string(m.Object) != "model" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestSDKCompletion(t *testing.T) {
	c := newSDK(serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("Paris.\nQ")}))
	params := sdk.CompletionNewParams{
		Model: "tiny", Prompt: sdk.CompletionNewParamsPromptUnion{OfString: sdk.String("The capital is")},
		MaxTokens: sdk.Int(50), Temperature: sdk.Float(0), Logprobs: sdk.Int(2), N: sdk.Int(2),
		Stop: sdk.CompletionNewParamsStopUnion{OfStringArray: []string{"\n"}},
	}
	got, err := c.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	ch := got.Choices[1]
	if len(got.Choices) != 2 || ch.Text != "Paris." || ch.FinishReason != sdk.CompletionChoiceFinishReasonStop || ch.Index != 1 {
		t.Errorf("got %+v", got)
	}
	if len(ch.Logprobs.Tokens) != 7 || ch.Logprobs.TextOffset[1] != 1 || len(ch.Logprobs.TopLogprobs[1]) < 2 {
		t.Errorf("logprobs %+v", ch.Logprobs)
	}
	stream := c.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	texts := make([]string, 2)
	for stream.Next() {
		for _, ch := range stream.Current().Choices {
			texts[ch.Index] += ch.Text
		}
	}
	if err := stream.Err(); err != nil || !reflect.DeepEqual(texts, []string{"Paris.", "Paris."}) {
		t.Errorf("got %q, %v", texts, err)
	}
}

func TestSDKChat(t *testing.T) {
	e := &gatewaytest.Engine{Tokens: gatewaytest.Say("서울입니다.")}
	c := newSDK(serve(t, e))
	params := sdk.ChatCompletionNewParams{
		Model: "tiny",
		Messages: []sdk.ChatCompletionMessageParamUnion{
			sdk.SystemMessage("Be brief."),
			sdk.UserMessage([]sdk.ChatCompletionContentPartUnionParam{sdk.TextContentPart("수도는"), sdk.TextContentPart("어디?")}),
		},
		Logprobs: sdk.Bool(true), TopLogprobs: sdk.Int(2), Seed: sdk.Int(5), MaxCompletionTokens: sdk.Int(40),
	}
	got, err := c.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	ch := got.Choices[0]
	if ch.Message.Content != "서울입니다." || string(ch.Message.Role) != "assistant" || ch.FinishReason != "stop" || !strings.HasPrefix(got.ID, "chatcmpl-") {
		t.Errorf("got %+v", got)
	}
	if l := ch.Logprobs.Content; len(l) != 17 || len(l[0].TopLogprobs) != 2 || l[0].Bytes[0] != 0xec || l[16].Token != "[EOS]" {
		t.Errorf("logprobs %+v", l)
	}
	if got.Usage.CompletionTokens != 17 || got.Usage.TotalTokens != got.Usage.PromptTokens+17 {
		t.Errorf("usage %+v", got.Usage)
	}
	seq := e.Submitted()[0]
	if want := "system:Be brief.;user:수도는\n어디?;assistant:"; (gatewaytest.Tokenizer{}).Decode(seq.Prompt, false) != want || seq.Sampling.Seed != 5 || seq.MaxTokens != 40 {
		t.Errorf("sequence %+v", seq)
	}

	params.StreamOptions = sdk.ChatCompletionStreamOptionsParam{IncludeUsage: sdk.Bool(true)}
	params.N = sdk.Int(2)
	stream := c.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	acc := sdk.ChatCompletionAccumulator{}
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Fatalf("the chunk doesn't fit: %+v", stream.Current())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	for _, ch := range acc.Choices {
		if ch.Message.Content != "서울입니다." || string(ch.Message.Role) != "assistant" || ch.FinishReason != "stop" || len(ch.Logprobs.Content) != 17 {
			t.Errorf("got %+v", ch)
		}
	}
	if len(acc.Choices) != 2 || acc.Usage.CompletionTokens != 34 {
		t.Errorf("got %+v", acc)
	}
}

func TestSDKErrors(t *testing.T) {
	e := &gatewaytest.Engine{}
	c := newSDK(serve(t, e))
	chat := func(model string, n int64) error {
		_, err := c.Chat.Completions.New(t.Context(), sdk.ChatCompletionNewParams{Model: model, N: sdk.Int(n),
			Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("x")}})
		return err
	}
	var api *sdk.Error
	if err := chat("other", 1); !errors.As(err, &api) || api.StatusCode != 404 || api.Code != "model_not_found" || api.Param != "model" {
		t.Errorf("got %v", err)
	}
	if err := chat("tiny", 500); !errors.As(err, &api) || api.StatusCode != 400 || api.Param != "n" || !strings.Contains(api.Message, "128") {
		t.Errorf("got %v", err)
	}
	full := error(&gateway.RetryError{Err: gateway.ErrOverloaded})
	e.SubmitErr.Store(&full)
	if err := chat("tiny", 1); !errors.As(err, &api) || api.StatusCode != 429 {
		t.Errorf("got %v", err)
	}
	e.SubmitErr.Store(nil)
	e.FailAt, e.FailErr = 3, errors.New("boom")
	stream := c.Chat.Completions.NewStreaming(t.Context(), sdk.ChatCompletionNewParams{Model: "tiny",
		Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("x")}})
	defer stream.Close()
	chunks := 0
	for stream.Next() {
		chunks++
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "internal error") || chunks != 3 {
		t.Errorf("got %d chunks, then %v", chunks, err)
	}
}
