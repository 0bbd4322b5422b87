package openai

import (
	"encoding/json"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/toolcall"
)

// readChatPrompt reads what a chat template renders.
func readChatPrompt(o *object) gateway.Chat {
	chat := gateway.Chat{Messages: readMessages(o), Tools: readTools(o)}
	if raw := o.want("documents", "array"); raw != nil && !isEmpty(raw) {
		chat.Documents = raw
	}
	if raw := o.want("chat_template_kwargs", "object"); raw != nil && !isEmpty(raw) {
		chat.Args = raw
	}
	return chat
}

// readTools reads OpenAI's list of functions.
func readTools(o *object) []gateway.Tool {
	const name = "tools"
	raw := o.want(name, "array")
	if raw == nil {
		return nil
	}
	list := entries(raw)
	tools := make([]gateway.Tool, 0, len(list))
	for i, e := range list {
		if kindOf(e) != "object" {
			o.fail(name, "entry %d must be an object, got %s", i, article(kindOf(e)))
			return nil
		}
		t, f := subObject(e), (*object)(nil)
		if kind := t.str("type"); kind != "function" && t.err == nil {
			t.fail("type", "%q is not supported; only \"function\" is", kind)
		}
		if inner := t.want("function", "object"); inner != nil {
			f = subObject(inner)
		} else {
			t.fail("function", "is missing")
			f = subObject(nil)
		}
		tool := gateway.Tool{Tool: toolcall.Tool{Name: f.str("name"), Parameters: f.want("parameters", "object"), Strict: f.boolean("strict", false)}, Definition: e}
		for _, err := range []error{t.err, f.err} {
			if err != nil {
				o.fail(name, "entry %d: %v", i, err)
				return nil
			}
		}
		tools = append(tools, tool)
	}
	return tools
}

// readToolChoice reads tool_choice and parallel_tool_calls.
func readToolChoice(o *object) (c gateway.ToolChoice) {
	const name = "tool_choice"
	c.Serial = !o.boolean("parallel_tool_calls", true)
	raw := o.get(name)
	if raw == nil {
		return c
	}
	var word string
	var named struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	switch {
	case json.Unmarshal(raw, &word) == nil:
		switch word {
		case "auto":
		case "none":
			c.None = true
		case "required":
			c.Required = true
		default:
			o.fail(name, "must be none, auto, required or a function, got %q", word)
		}
	case json.Unmarshal(raw, &named) == nil && named.Type == "function" && named.Function.Name != "":
		c.Name = named.Function.Name
	default:
		o.fail(name, `must be "none", "auto", "required" or {"type": "function", "function": {"name": "..."}}`)
	}
	return c
}

// readToolCalls reads the calls of an assistant's message.
func readToolCalls(m *object) []gateway.ToolCall {
	const name = "tool_calls"
	raw := m.want(name, "array")
	if raw == nil {
		return nil
	}
	list := entries(raw)
	var calls []gateway.ToolCall
	for i, e := range list {
		if kindOf(e) != "object" {
			m.fail(name, "entry %d must be an object, got %s", i, article(kindOf(e)))
			return nil
		}
		c := subObject(e)
		f := subObject(c.want("function", "object"))
		call := gateway.ToolCall{ID: c.str("id"), Name: f.str("name")}
		// Arguments are a string of JSON; some clients send the object.
		if raw := f.get("arguments"); raw != nil {
			call.Arguments = string(raw)
			if kindOf(raw) == "string" {
				call.Arguments = f.str("arguments")
			}
		}
		if call.Name == "" {
			f.fail("name", "is missing")
		}
		for _, err := range []error{c.err, f.err} {
			if err != nil {
				m.fail(name, "entry %d: %v", i, err)
				return nil
			}
		}
		calls = append(calls, call)
	}
	return calls
}

// subObject is an object within another; nil is an empty one.
func subObject(raw json.RawMessage) *object {
	o := &object{seen: map[string]bool{}}
	if raw != nil {
		_ = json.Unmarshal(raw, &o.fields)
	}
	return o
}

// toolCall is a call, whole or a piece of one.
type toolCall struct {
	Index    *int         `json:"index,omitempty"` // in a stream
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"` // "function"
	Function toolFunction `json:"function"`
}

type toolFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

func wireToolCall(p gateway.ToolCallPiece, stream bool) toolCall {
	t := toolCall{ID: p.ID, Function: toolFunction{Name: p.Name, Arguments: p.Arguments}}
	if p.Name != "" {
		t.Type = "function"
	}
	if stream {
		t.Index = &p.Index
	}
	return t
}

// addToolCalls appends pieces to a message's calls.
func addToolCalls(m *chatMessage, pieces []gateway.ToolCallPiece) {
	for _, p := range pieces {
		if p.Name != "" {
			m.ToolCalls = append(m.ToolCalls, wireToolCall(p, false))
			continue
		}
		m.ToolCalls[p.Index].Function.Arguments += p.Arguments
	}
}
