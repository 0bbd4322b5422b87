package openai_test

import (
	"encoding/json"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	"github.com/sullae/sullae/coordinator/toolcall"
)

func hermes(c *gateway.Config) { c.Model.ToolFormat = toolcall.Hermes }

func weatherParams() sdk.ChatCompletionNewParams {
	return sdk.ChatCompletionNewParams{
		Model:    "tiny",
		Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("서울 날씨는?")},
		Tools: []sdk.ChatCompletionToolUnionParam{sdk.ChatCompletionFunctionTool(sdk.FunctionDefinitionParam{
			Name: "weather", Description: sdk.String("of a city"),
			Parameters: sdk.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
		})},
	}
}

func TestSDKToolCalls(t *testing.T) {
	say := "Let me look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"서울\"}}\n</tool_call>\n" +
		"<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"부산\"}}\n</tool_call>"
	e := &gatewaytest.Engine{Tokens: gatewaytest.Say(say)}
	s := serve(t, e, hermes)
	c := newSDK(s)
	params := weatherParams()
	got, err := c.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	check := func(ch sdk.ChatCompletionChoice) {
		t.Helper()
		calls := ch.Message.ToolCalls
		if ch.Message.Content != "Let me look." || ch.FinishReason != "tool_calls" || len(calls) != 2 ||
			calls[0].Function.Name != "weather" || calls[0].Function.Arguments != `{"city": "서울"}` || calls[1].Function.Arguments != `{"city": "부산"}` ||
			calls[0].Type != "function" || !strings.HasPrefix(calls[0].ID, "call_") || calls[0].ID == calls[1].ID {
			t.Errorf("got %+v", ch)
		}
	}
	check(got.Choices[0])
	stream := c.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	acc := sdk.ChatCompletionAccumulator{}
	finished, pieces := 0, 0
	for stream.Next() {
		chunk := stream.Current()
		if !acc.AddChunk(chunk) {
			t.Fatalf("the chunk doesn't fit: %+v", chunk)
		}
		if _, ok := acc.JustFinishedToolCall(); ok {
			finished++
		}
		for _, ch := range chunk.Choices {
			pieces += len(ch.Delta.ToolCalls)
		}
	}
	if err := stream.Err(); err != nil || finished != 2 || pieces < 6 {
		t.Errorf("%d calls finished in %d pieces, %v", finished, pieces, err)
	}
	check(acc.Choices[0])

	// The answer goes back with the calls; the template sees both.
	params.Messages = append(params.Messages, got.Choices[0].Message.ToParam(), sdk.ToolMessage("맑음", got.Choices[0].Message.ToolCalls[0].ID))
	e.Tokens = gatewaytest.Say("맑습니다.")
	if got, err = c.Chat.Completions.New(t.Context(), params); err != nil || got.Choices[0].Message.Content != "맑습니다." || got.Choices[0].FinishReason != "stop" {
		t.Errorf("got %+v, %v", got, err)
	}
	all := e.Submitted()
	prompt := (gatewaytest.Tokenizer{}).Decode(all[len(all)-1].Prompt, false)
	if !strings.Contains(prompt, ` weather {"city": "부산"};tool:맑음;assistant:`) {
		t.Errorf("prompt %q", prompt)
	}
}

func TestToolCallsOnTheWire(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Say(`<tool_call>{"name": "weather", "arguments": {}}</tool_call>`)}, hermes)
	const body = `{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"weather"}}]`
	var got struct {
		Choices []struct {
			Message map[string]json.RawMessage
		}
	}
	s.post("/v1/chat/completions", body+`}`).ok(&got)
	m := got.Choices[0].Message
	if string(m["content"]) != "null" || !strings.Contains(string(m["tool_calls"]), `"type":"function","function":{"name":"weather","arguments":"{}"}`) {
		t.Errorf("message %s %s", m["content"], m["tool_calls"])
	}
	last := s.post("/v1/chat/completions", body+`,"stream":true}`).events()
	if e := last[len(last)-1]; !strings.Contains(e, `"delta":{},`) || !strings.Contains(e, `"finish_reason":"tool_calls"`) {
		t.Errorf("last event %s", e)
	}
	for body, want := range map[string][2]string{
		body + `,"tool_choice":"always"}`:                                                                                            {"tool_choice", "must be none, auto, required"},
		body + `,"tool_choice":{"type":"function","function":{"name":"f"}}}`:                                                         {"tool_choice", "not among tools"},
		`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"web_search"}]}`:                                               {"tools", "only \"function\""},
		`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"a b"}}]}`:                       {"tools", "1 to 64"},
		`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]}`:         {"tools", "parameters: must be an object"},
		body + `,"tool_choice":"required","response_format":{"type":"json_object"}}`:                                                 {"tool_choice", "no other structure"},
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"1","function":{"arguments":"{}"}}]}],"chat_template_kwargs":{"a":1}}`: {"messages", "name: is missing"},
	} {
		s.post("/v1/chat/completions", body).wantError(400, want[0], "invalid_value", want[1])
	}
}
