package gateway

import (
	"encoding/json"
	"fmt"

	"github.com/sullae/sullae/coordinator/chattemplate"
)

// fileTemplate is the chat template of a model's folder.
type fileTemplate struct {
	t        *chattemplate.Template
	bos, eos string
}

// Render implements Template. The template sees messages and tools as OpenAI's JSON
// has them, but for a call's arguments, which templates want as an object.
func (f fileTemplate) Render(c Chat, addGenerationPrompt bool) (string, error) {
	in := chattemplate.Context{AddGenerationPrompt: addGenerationPrompt, BOSToken: f.bos, EOSToken: f.eos}
	messages := make([]*chattemplate.Map, len(c.Messages))
	for i, m := range c.Messages {
		messages[i] = templateMessage(m)
	}
	in.Messages = messages
	if len(c.Tools) > 0 {
		tools := make([]any, len(c.Tools))
		for i, t := range c.Tools {
			var err error
			if tools[i], err = chattemplate.ParseJSON(t.Definition); err != nil {
				return "", fmt.Errorf("tools[%d]: %w", i, err)
			}
		}
		in.Tools = tools
	}
	if c.Documents != nil {
		var err error
		if in.Documents, err = chattemplate.ParseJSON(c.Documents); err != nil {
			return "", fmt.Errorf("documents: %w", err)
		}
	}
	if c.Args != nil {
		var args chattemplate.Map
		if err := json.Unmarshal(c.Args, &args); err != nil {
			return "", fmt.Errorf("chat_template_kwargs: %w", err)
		}
		in.Extra = map[string]any{}
		for _, name := range args.Keys() {
			in.Extra[name], _ = args.Get(name)
		}
	}
	return f.t.Render(in)
}

func templateMessage(m Message) *chattemplate.Map {
	out := &chattemplate.Map{}
	out.Set("role", m.Role)
	out.Set("content", m.Content)
	if m.Name != "" {
		out.Set("name", m.Name)
	}
	if len(m.ToolCalls) > 0 { // templates ask whether the key is there
		calls := make([]*chattemplate.Map, len(m.ToolCalls))
		for i, c := range m.ToolCalls {
			function := &chattemplate.Map{}
			function.Set("name", c.Name)
			function.Set("arguments", templateArguments(c.Arguments))
			calls[i] = &chattemplate.Map{}
			if c.ID != "" {
				calls[i].Set("id", c.ID)
			}
			calls[i].Set("type", "function")
			calls[i].Set("function", function)
		}
		out.Set("tool_calls", calls)
	}
	if m.ToolCallID != "" {
		out.Set("tool_call_id", m.ToolCallID)
	}
	return out
}

// templateArguments are a call's arguments as an object, or the text that they are
// where they are none.
func templateArguments(text string) any {
	if text == "" {
		return &chattemplate.Map{}
	}
	if v, err := chattemplate.ParseJSON([]byte(text)); err == nil {
		return v
	}
	return text
}
