package gateway_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

func TestBadRequests(t *testing.T) {
	type R = gateway.Request
	sampling := func(p gateway.SamplingParams) R { return R{Prompts: text("x"), Sampling: p} }
	stopping := func(p gateway.Stopping) R { return R{Prompts: text("x"), Stopping: p} }
	output := func(p gateway.Output) R { return R{Prompts: text("x"), Output: p} }
	nan := float32(math.NaN())
	tests := []struct {
		name    string
		r       R
		field   string
		problem string // a part of it
	}{
		{"no prompt", R{}, "prompt", "missing"},
		{"empty prompt", R{Prompts: text("")}, "prompt", "is empty"},
		{"empty ids", R{Prompts: []gateway.Prompt{gateway.TokenIDs{}}}, "prompt", "is empty"},
		{"id too large", R{Prompts: []gateway.Prompt{gateway.TokenIDs{1, 260}}}, "prompt", "token id 260 at position 1 is outside the vocabulary (0 to 259)"},
		{"negative id", R{Prompts: []gateway.Prompt{gateway.TokenIDs{-1}}}, "prompt", "token id -1"},
		{"second prompt", R{Prompts: []gateway.Prompt{gateway.TokenIDs{1}, gateway.TokenIDs{}}}, "prompt", "prompt 1 of 2: is empty"},
		{"not UTF-8", R{Prompts: text("a\uFFFDb\xff")}, "prompt", "byte 5"},
		{"message not UTF-8", R{Prompts: []gateway.Prompt{gateway.Chat{Messages: []gateway.Message{{Role: "user", Content: "\xff"}}}}}, "messages[0]", "byte 0"},
		{"no messages", R{Prompts: []gateway.Prompt{gateway.Chat{}}}, "messages", "empty"},
		{"no role", R{Prompts: []gateway.Prompt{gateway.Chat{Messages: []gateway.Message{{Content: "x"}}}}}, "messages", "message 0 has no role"},
		{"the template's own", R{Prompts: []gateway.Prompt{gateway.Chat{Messages: []gateway.Message{{Role: "bad"}}}}}, "messages", "the role bad is unknown"},
		{"request id", R{ID: "a b", Prompts: text("x")}, "request_id", "without blanks"},
		{"n 0", R{Prompts: text("x"), N: ptr(0)}, "n", "between 1 and 128"},
		{"n 129", R{Prompts: text("x"), N: ptr(129)}, "n", "got 129"},
		{"too many choices", R{Prompts: make([]gateway.Prompt, 9), N: ptr(128)}, "prompt", "1152"},
		{"temperature", sampling(gateway.SamplingParams{Temperature: ptr(float32(-1))}), "temperature", "between 0 and 100, got -1"},
		{"temperature NaN", sampling(gateway.SamplingParams{Temperature: &nan}), "temperature", "NaN"},
		{"temperature 101", sampling(gateway.SamplingParams{Temperature: ptr(float32(101))}), "temperature", "101"},
		{"top_p 0", sampling(gateway.SamplingParams{TopP: ptr(float32(0))}), "top_p", "above 0"},
		{"top_p 1.5", sampling(gateway.SamplingParams{TopP: ptr(float32(1.5))}), "top_p", "1.5"},
		{"top_p NaN", sampling(gateway.SamplingParams{TopP: &nan}), "top_p", "NaN"},
		{"top_k", sampling(gateway.SamplingParams{TopK: ptr(-2)}), "top_k", "-2"},
		{"max_tokens", stopping(gateway.Stopping{MaxTokens: ptr(-1)}), "max_tokens", "0 or more"},
		{"empty stop", stopping(gateway.Stopping{Stop: []string{"a", ""}}), "stop", "string 1 is empty"},
		{"many stops", stopping(gateway.Stopping{Stop: make([]string, 17)}), "stop", "at most 16"},
		{"long stop", stopping(gateway.Stopping{Stop: []string{strings.Repeat("a", 1025)}}), "stop", "1025 bytes"},
		{"stop not UTF-8", stopping(gateway.Stopping{Stop: []string{"\xff"}}), "stop", "UTF-8"},
		{"stop token", stopping(gateway.Stopping{StopTokenIDs: []int32{300}}), "stop_token_ids", "300"},
		{"logprobs 21", output(gateway.Output{Logprobs: ptr(21)}), "logprobs", "between 0 and 20"},
		{"logprobs -1", output(gateway.Output{Logprobs: ptr(-1)}), "logprobs", "-1"},
		{"prompt logprobs", output(gateway.Output{PromptLogprobs: ptr(21)}), "prompt_logprobs", "21"},
	}
	e := &gatewaytest.Engine{}
	s := newService(t, e)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.Generate(t.Context(), tt.r)
			var fe *gateway.FieldError
			if !errors.As(err, &fe) || fe.Field != tt.field || !strings.Contains(fe.Problem, tt.problem) {
				t.Errorf("got %v, want %s: ...%s...", err, tt.field, tt.problem)
			}
		})
	}
	if len(e.Submitted()) != 0 {
		t.Error("a bad request reached the engine")
	}
}

func TestContextLength(t *testing.T) {
	s := newService(t, &gatewaytest.Engine{})
	long := func(n int) []gateway.Prompt { return text(strings.Repeat("a", n)) }
	for _, tt := range []struct {
		r     gateway.Request
		parts []string
	}{
		{gateway.Request{Prompts: long(1001)}, []string{"prompt: has 1001 tokens", "1000 tokens long"}},
		{gateway.Request{Prompts: long(1000)}, []string{"prompt: has 1000 tokens and fills the context"}},
		{gateway.Request{Prompts: long(900), Stopping: gateway.Stopping{MaxTokens: ptr(101)}},
			[]string{"max_tokens: 101 is too large", "1000 tokens long", "the prompt has 900", "leaves 100"}},
	} {
		_, err := s.Generate(t.Context(), tt.r)
		if !errors.Is(err, gateway.ErrContextLength) {
			t.Errorf("got %v", err)
			continue
		}
		for _, p := range tt.parts {
			if !strings.Contains(err.Error(), p) {
				t.Errorf("%q lacks %q", err, p)
			}
		}
	}
	for _, r := range []gateway.Request{
		{Prompts: long(1000), Stopping: gateway.Stopping{MaxTokens: ptr(0)}},
		{Prompts: long(900), Stopping: gateway.Stopping{MaxTokens: ptr(100)}},
	} {
		if res := generate(t, s, r); res.err != nil {
			t.Error(res.err)
		}
	}
}

func TestUnknownModel(t *testing.T) {
	s := newService(t, &gatewaytest.Engine{})
	_, err := s.Generate(t.Context(), gateway.Request{Model: "other", Prompts: text("x")})
	if !errors.Is(err, gateway.ErrModelNotFound) || !strings.Contains(err.Error(), `"other" is not served here; served: tiny`) {
		t.Errorf("got %v", err)
	}
}

func TestTokenizeAndBack(t *testing.T) {
	s := newService(t, &gatewaytest.Engine{})
	ids, err := s.Tokenize(gateway.TokenizeRequest{Input: gateway.Chat{Messages: []gateway.Message{{Role: "user", Content: "안"}}}, NoGenerationPrompt: true})
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.Detokenize("tiny", append(ids, gatewaytest.EOS), true)
	if err != nil || back != "user:안;" {
		t.Errorf("got %q, %v", back, err)
	}
	if _, err := s.Detokenize("", []int32{999}, false); err == nil || !strings.HasPrefix(err.Error(), "tokens: token id 999") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Tokenize(gateway.TokenizeRequest{}); err == nil {
		t.Error("no input")
	}
}
