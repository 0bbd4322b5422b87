package openai_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

func TestChatTokenIDs(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("hi")})
	const body = `{"messages":[{"role":"user","content":"a"}],"return_token_ids":true`
	var c struct {
		PromptTokenIDs []int32 `json:"prompt_token_ids"`
		Choices        []struct {
			TokenIDs []int32 `json:"token_ids"`
		}
	}
	s.post("/v1/chat/completions", body+`}`).ok(&c)
	if len(c.PromptTokenIDs) != len("user:a;assistant:") || !reflect.DeepEqual(c.Choices[0].TokenIDs, []int32{'h', 'i'}) {
		t.Errorf("got %+v", c)
	}
	events := s.post("/v1/chat/completions", body+`,"stream":true}`).events()
	var ids []int32
	for i, e := range events {
		c.PromptTokenIDs, c.Choices = nil, nil
		if err := json.Unmarshal([]byte(e), &c); err != nil {
			t.Fatal(err)
		}
		if (i == 0) != (len(c.PromptTokenIDs) > 0) {
			t.Errorf("the prompt's ids are in the first chunk: %s", e)
		}
		ids = append(ids, c.Choices[0].TokenIDs...)
	}
	if !reflect.DeepEqual(ids, []int32{'h', 'i'}) {
		t.Errorf("ids %v", ids)
	}
	// OpenAI's form: the role first, an empty delta last.
	if !strings.Contains(events[0], `"delta":{"role":"assistant","content":""}`) || !strings.Contains(events[len(events)-1], `"delta":{},`) {
		t.Errorf("events %s", events)
	}
}

func TestBadChats(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	for body, want := range map[string][2]string{
		`{}`:                                          {"messages", "is missing"},
		`{"messages":"x"}`:                            {"messages", "must be an array"},
		`{"messages":[]}`:                             {"messages", "empty"},
		`{"messages":["x"]}`:                          {"messages", "entry 0 must be an object"},
		`{"messages":[{"role":"user"}]}`:              {"messages", "message 0: content: is missing"},
		`{"messages":[{"content":"x"}]}`:              {"messages", "has no role"},
		`{"messages":[{"role":5,"content":""}]}`:      {"messages", "role: must be a string"},
		`{"messages":[{"role":"bad","content":"x"}]}`: {"messages", "the role bad is unknown"},
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}`:                     {"messages", "only text"},
		`{"messages":[{"role":"user","content":[{"type":"text"}]}]}`:                                         {"messages", "part 0 has no text"},
		`{"messages":[{"role":"assistant","content":"x","tool_calls":[{"id":"1"}]}]}`:                        {"messages", "tool_calls: entry 0: name: is missing"},
		`{"messages":[{"role":"user","content":"x"}],"max_completion_tokens":5000}`:                          {"max_completion_tokens", "too large"},
		`{"messages":[{"role":"user","content":"x"}],"max_completion_tokens":5,"max_tokens":6}`:              {"max_completion_tokens", "differ"},
		`{"messages":[{"role":"user","content":"x"}],"top_logprobs":5}`:                                      {"top_logprobs", "needs logprobs"},
		`{"messages":[{"role":"user","content":"x"}],"logprobs":true,"top_logprobs":21}`:                     {"top_logprobs", "between 0 and 20"},
		`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}`:                         {"tools", "entry 0: function: is missing"},
		`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`: {"tools", "takes none"},
		`{"messages":[{"role":"user","content":"x"}],"tool_choice":"required"}`:                              {"tool_choice", "there are no tools"},
		`{"messages":[{"role":"user","content":"x"}],"continue_final_message":true}`:                         {"continue_final_message", "not supported yet"},
		`{"messages":[{"role":"user","content":"x"}],"echo":true}`:                                           {"echo", "/v1/completions"},
		`{"messages":[{"role":"user","content":"` + strings.Repeat("x", 990) + `"}]}`:                        {"messages", "tokens"},
	} {
		code := "invalid_value"
		if strings.Contains(body, "5000") || len(body) > 900 {
			code = "context_length_exceeded"
		}
		s.post("/v1/chat/completions", body).wantError(400, want[0], code, want[1])
	}
}

func TestTokenizeChat(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	var tok struct {
		Count  int
		Max    int `json:"max_model_len"`
		Tokens []int32
	}
	s.post("/tokenize", `{"messages":[{"role":"user","content":"a"}]}`).ok(&tok)
	if tok.Count != len("user:a;assistant:") || tok.Max != 1000 {
		t.Errorf("got %+v", tok)
	}
	s.post("/tokenize", `{"messages":[{"role":"user","content":"a"}],"add_generation_prompt":false}`).ok(&tok)
	if tok.Count != len("user:a;") {
		t.Errorf("got %+v", tok)
	}
	s.post("/tokenize", `{"prompt":""}`).ok(&tok)
	if tok.Count != 0 || tok.Tokens == nil {
		t.Errorf("got %+v", tok)
	}
	s.post("/tokenize", `{}`).wantError(400, "prompt", "invalid_value", "missing")
	s.post("/detokenize", `{}`).wantError(400, "tokens", "invalid_value", "missing")
}
