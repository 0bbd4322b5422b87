package openai_test

import (
	"strings"
	"testing"

	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

// TestPromptLogprobs: vLLM's prompt_logprobs, in completions and chat.
func TestPromptLogprobs(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Script('o', gatewaytest.EOS), PromptChunk: 2})
	type entry struct {
		Logprob float32 `json:"logprob"`
		Rank    *int    `json:"rank"`
		Token   string  `json:"decoded_token"`
	}
	check := func(name string, list []map[string]entry, prompt string) {
		t.Helper()
		if len(list) < len(prompt) || list[0] != nil {
			t.Fatalf("%s: %+v", name, list)
		}
		for i, m := range list[1:] {
			least := 1
			for id, e := range m {
				if e.Rank == nil {
					least = 2 // the actual token and the likeliest
				}
				if id == "" || e.Logprob >= 0 || e.Rank != nil && *e.Rank != 1 {
					t.Errorf("%s, position %d: %q %+v", name, i+1, id, e)
				}
			}
			if len(m) < least {
				t.Errorf("%s, position %d: %+v", name, i+1, m)
			}
		}
	}
	var c struct {
		Choices []struct {
			List []map[string]entry `json:"prompt_logprobs"`
			Text string
		}
		List []map[string]entry `json:"prompt_logprobs"`
	}
	s.post("/v1/completions", `{"prompt":"abc","max_tokens":1,"prompt_logprobs":1}`).ok(&c)
	check("completion", c.Choices[0].List, "abc")
	if e, ok := c.Choices[0].List[1]["98"]; !ok || e.Token != "b" {
		t.Errorf("position 1: %+v", c.Choices[0].List[1])
	}
	s.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"max_tokens":1,"prompt_logprobs":1}`).ok(&c)
	check("chat", c.List, "hi")

	for body, want := range map[string]string{
		`{"prompt":"abc","prompt_logprobs":1,"stream":true}`:            "stream",
		`{"prompt":"abc","prompt_logprobs":1,"logprobs":2,"echo":true}`: "echo",
		`{"prompt":"abc","prompt_logprobs":21}`:                         "21",
	} {
		if r := s.post("/v1/completions", body); r.status != 400 || !strings.Contains(r.body, "prompt_logprobs") || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}
