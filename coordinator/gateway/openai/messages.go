package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sullae/sullae/coordinator/gateway"
)

// readMessages reads a conversation. Content is a string, or a list of text
// parts, which are joined by line ends; beside calls of tools it may be absent.
func readMessages(o *object) []gateway.Message {
	const name = "messages"
	raw := o.want(name, "array")
	if raw == nil {
		o.fail(name, "is missing")
		return nil
	}
	list := entries(raw)
	chat := make([]gateway.Message, 0, len(list))
	for i, e := range list {
		if kindOf(e) != "object" {
			o.fail(name, "entry %d must be an object, got %s", i, article(kindOf(e)))
			return nil
		}
		m := subObject(e)
		msg := gateway.Message{Role: m.str("role"), Name: m.str("name"), ToolCalls: readToolCalls(m), ToolCallID: m.str("tool_call_id")}
		if m.get("content") != nil || len(msg.ToolCalls) == 0 {
			msg.Content = readContent(m)
		}
		for _, f := range []string{"function_call", "audio"} {
			if raw := m.get(f); raw != nil && !isEmpty(raw) {
				m.fail(f, "not supported yet")
			}
		}
		if m.err != nil {
			o.fail(name, "message %d: %v", i, m.err)
			return nil
		}
		chat = append(chat, msg)
	}
	return chat
}

func readContent(m *object) string {
	const name = "content"
	raw := m.get(name)
	switch {
	case raw == nil:
		m.fail(name, "is missing")
		return ""
	case kindOf(raw) == "string":
		return m.str(name)
	case kindOf(raw) != "array":
		m.fail(name, "must be a string or a list of text parts, got %s", article(kindOf(raw)))
		return ""
	}
	parts := entries(raw)
	texts := make([]string, 0, len(parts))
	for i, e := range parts {
		text, err := readPart(e)
		if err != nil {
			m.fail(name, "part %d %v", i, err)
			return ""
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "\n")
}

func readPart(raw json.RawMessage) (string, error) {
	if kindOf(raw) == "string" {
		var s string
		return s, json.Unmarshal(raw, &s)
	}
	if kindOf(raw) != "object" {
		return "", fmt.Errorf("must be an object, got %s", article(kindOf(raw)))
	}
	p := subObject(raw)
	if t := p.str("type"); t != "text" && p.err == nil {
		return "", fmt.Errorf("has the type %q; only text is supported", t)
	}
	if p.get("text") == nil {
		return "", errors.New("has no text")
	}
	text := p.str("text")
	return text, p.err
}
