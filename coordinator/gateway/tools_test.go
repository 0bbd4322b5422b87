package gateway_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	"github.com/sullae/sullae/coordinator/toolcall"
)

// markTokenizer has one more special token, which marks calls.
type markTokenizer struct{ gatewaytest.Tokenizer }

const markID = 258

func (t markTokenizer) Encode(text string, addSpecial bool) ([]int32, error) {
	if text == "[TOOL_CALLS]" {
		return []int32{markID}, nil
	}
	return t.Tokenizer.Encode(text, addSpecial)
}

func (t markTokenizer) TokenBytes(id int32) []byte {
	if id == markID {
		return []byte("[TOOL_CALLS]")
	}
	return t.Tokenizer.TokenBytes(id)
}

func (t markTokenizer) NewStreamDecoder(skip bool) gateway.StreamDecoder {
	return markDecoder{t.Tokenizer.NewStreamDecoder(skip), skip}
}

type markDecoder struct {
	gateway.StreamDecoder
	skip bool
}

func (d markDecoder) Push(id int32) string {
	if id == markID && !d.skip {
		return "[TOOL_CALLS]"
	}
	return d.StreamDecoder.Push(id)
}

func toolModel(format toolcall.Format) func(*gateway.Config) {
	return func(c *gateway.Config) { c.Model.ToolFormat, c.Model.Tokenizer = format, markTokenizer{} }
}

func weatherChat() []gateway.Prompt {
	schema := `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`
	return []gateway.Prompt{gateway.Chat{
		Messages: []gateway.Message{{Role: "user", Content: "x"}},
		Tools: []gateway.Tool{{Tool: toolcall.Tool{Name: "weather", Parameters: []byte(schema)},
			Definition: []byte(`{"type":"function"}`)}},
	}}
}

// say is a script of tokens: a mark, a text, the end.
func say(marked bool, text string) func(gateway.Sequence) func(int) int32 {
	var ids []int32
	if marked {
		ids = append(ids, markID)
	}
	for _, b := range []byte(text) {
		ids = append(ids, int32(b))
	}
	return gatewaytest.Script(append(ids, gatewaytest.EOS)...)
}

func TestToolCallsAreRead(t *testing.T) {
	text := `[{"name": "weather", "arguments": {"city": "서울"}}, {"name": "weather", "arguments": {}}]`
	e := &gatewaytest.Engine{Tokens: say(true, text)}
	s := newService(t, e, toolModel(toolcall.Mistral))
	res := generate(t, s, gateway.Request{ID: "r", Prompts: weatherChat()})
	c := res.choices[0]
	want := []gateway.ToolCall{{ID: toolcall.Mistral.ID("r", 0, 0), Name: "weather", Arguments: `{"city": "서울"}`},
		{ID: toolcall.Mistral.ID("r", 0, 1), Name: "weather", Arguments: "{}"}}
	if c.text != "" || !reflect.DeepEqual(c.calls, want) || c.finish.Reason != gateway.FinishToolCalls {
		t.Errorf("got %q %+v %v", c.text, c.calls, c.finish.Reason)
	}
	if len(want[0].ID) != 9 {
		t.Errorf("id %q", want[0].ID)
	}
	if got := (gatewaytest.Tokenizer{}).Decode(e.Submitted()[0].Prompt, false); got != "tool weather;user:x;assistant:" {
		t.Errorf("prompt %q", got)
	}
	if e.Submitted()[0].Constraint != nil {
		t.Error("a free choice is constrained")
	}

	res = generate(t, s, gateway.Request{Prompts: weatherChat(), ToolChoice: gateway.ToolChoice{Serial: true}})
	if c := res.choices[0]; len(c.calls) != 1 {
		t.Errorf("%d calls, where one is allowed", len(c.calls))
	}
	res = generate(t, s, gateway.Request{Prompts: weatherChat(), ToolChoice: gateway.ToolChoice{None: true}})
	if c := res.choices[0]; c.text != text || c.calls != nil || c.finish.Reason != gateway.FinishStop {
		t.Errorf("without tools: %q %v", c.text, c.calls)
	}
	res = generate(t, s, gateway.Request{Prompts: weatherChat(), Stopping: gateway.Stopping{MaxTokens: ptr(51)}})
	if c := res.choices[0]; c.calls[0].Arguments != `{"city": "서울` || c.finish.Reason != gateway.FinishLength {
		t.Errorf("cut short: %+v %v", c.calls, c.finish.Reason)
	}
}

func TestForcedToolCalls(t *testing.T) {
	e := &gatewaytest.Engine{Tokens: say(true, `[{"name": "weather", "arguments": {"city": ""}}]`)}
	s := newService(t, e, toolModel(toolcall.Mistral))
	generate(t, s, gateway.Request{Prompts: weatherChat(), ToolChoice: gateway.ToolChoice{Name: "weather"}})
	constraint := e.Submitted()[0].Constraint
	mask := make([]uint64, (gatewaytest.Vocab+63)/64)
	if !constraint.MaskWithin(mask, 200) || mask[markID/64]>>(markID%64)&1 != 1 || mask['{'/64]>>('{'%64)&1 != 0 {
		t.Errorf("mask %x", mask)
	}
	for _, id := range append([]int32{markID}, []int32(bytesOf(`[{"name": "weather", "arguments": {"city": "x"}}]`))...) {
		if !constraint.Accept(id) {
			t.Fatalf("%q is not accepted", rune(id))
		}
	}
	if constraint.Accept(',') || !constraint.Accept(gatewaytest.EOS) {
		t.Error("the text has to end here")
	}
	for name, r := range map[string]gateway.Request{
		"tool_choice: names the tool":                   {Prompts: weatherChat(), ToolChoice: gateway.ToolChoice{Name: "other"}},
		"tool_choice: makes the model call a tool: its": {Prompts: weatherChat(), ToolChoice: gateway.ToolChoice{Required: true}, Structure: gateway.Structure{JSONObject: true}},
		"tool_choice: makes the model":                  {Prompts: text("x"), ToolChoice: gateway.ToolChoice{Required: true}},
		"tool_choice: needs an end-of-seque":            {Prompts: weatherChat(), ToolChoice: gateway.ToolChoice{Required: true}, Stopping: gateway.Stopping{IgnoreEOS: true}},
	} {
		if _, err := s.Generate(t.Context(), r); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func bytesOf(text string) (ids []int32) {
	for _, b := range []byte(text) {
		ids = append(ids, int32(b))
	}
	return ids
}

// TestResumeInACall: a client that has a part of a call gets the rest of it.
func TestResumeInACall(t *testing.T) {
	text := `[{"name": "weather", "arguments": {"city": "Seoul"}}]`
	e := &gatewaytest.Engine{Tokens: say(true, text)}
	s := newService(t, e, toolModel(toolcall.Mistral))
	whole := generate(t, s, gateway.Request{Prompts: weatherChat()}).choices[0]
	for had := range len(text) {
		ids := append([]int32{markID}, bytesOf(text[:had])...)
		e.Tokens = gatewaytest.Script(append(bytesOf(text[had:]), gatewaytest.EOS)...)
		p := toolcall.Mistral.NewParser([]string{"weather"})
		out := p.Push("[TOOL_CALLS]" + text[:had])
		r := gateway.Resumed{TokenIDs: ids, TextBytes: len(out.Content)}
		for _, c := range out.Calls {
			r.ArgumentBytes = append(r.ArgumentBytes, len(c.Arguments))
		}
		res := generate(t, s, gateway.Request{Prompts: weatherChat(), Sampling: gateway.SamplingParams{Seed: ptr(uint64(1))}, Resume: []gateway.Resumed{r}})
		got := ""
		for _, c := range out.Calls {
			got += c.Arguments
		}
		for _, piece := range res.choices[0].pieces {
			got += piece.Arguments
		}
		if got != whole.calls[0].Arguments || res.choices[0].finish.Reason != gateway.FinishToolCalls {
			t.Errorf("after %d: %q, want %q", had, got, whole.calls[0].Arguments)
		}
	}
}
