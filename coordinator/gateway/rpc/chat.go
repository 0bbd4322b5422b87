package rpc

import (
	"encoding/json"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/toolcall"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// chatPrompt is what a chat template renders, of a ChatRequest or of Messages.
type chatPrompt interface {
	GetMessages() []*sullaev1.Message
	GetTools() []*sullaev1.Tool
	GetTemplateArgs() string
	GetDocuments() string
}

func chat(in chatPrompt) (gateway.Chat, error) {
	var c gateway.Chat
	for _, m := range in.GetMessages() {
		out := gateway.Message{Role: m.GetRole(), Content: m.GetContent(), Name: m.GetName(), ToolCallID: m.GetToolCallId()}
		for _, call := range m.GetToolCalls() {
			out.ToolCalls = append(out.ToolCalls, gateway.ToolCall{ID: call.GetId(), Name: call.GetName(), Arguments: call.GetArguments()})
		}
		c.Messages = append(c.Messages, out)
	}
	for _, t := range in.GetTools() {
		tool, err := tool(t)
		if err != nil {
			return c, err
		}
		c.Tools = append(c.Tools, tool)
	}
	var err error
	if c.Args, err = rawJSON("template_args", in.GetTemplateArgs(), '{'); err != nil {
		return c, err
	}
	c.Documents, err = rawJSON("documents", in.GetDocuments(), '[')
	return c, err
}

// tool makes OpenAI's definition of a tool, which templates know.
func tool(t *sullaev1.Tool) (gateway.Tool, error) {
	parameters, err := rawJSON("tools.parameters", t.GetParameters(), '{')
	if err != nil {
		return gateway.Tool{}, err
	}
	type function struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
	}
	definition, err := json.Marshal(struct {
		Type     string   `json:"type"`
		Function function `json:"function"`
	}{"function", function{t.GetName(), t.GetDescription(), parameters}})
	return gateway.Tool{
		Tool:       toolcall.Tool{Name: t.GetName(), Parameters: parameters, Strict: t.GetStrict()},
		Definition: definition,
	}, err
}

// rawJSON is a field that holds JSON, an object or an array; nil where it is empty.
func rawJSON(field, text string, first byte) (json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	kind := map[byte]string{'{': "object", '[': "array"}[first]
	if !json.Valid([]byte(text)) || text[0] != first {
		return nil, &gateway.FieldError{Field: field, Problem: "must be a JSON " + kind}
	}
	return json.RawMessage(text), nil
}

func toolChoice(in *sullaev1.ToolChoice) gateway.ToolChoice {
	return gateway.ToolChoice{
		None: in.GetMode() == sullaev1.ToolChoice_MODE_NONE, Required: in.GetMode() == sullaev1.ToolChoice_MODE_REQUIRED,
		Name: in.GetName(), Serial: in.GetSerial(),
	}
}
