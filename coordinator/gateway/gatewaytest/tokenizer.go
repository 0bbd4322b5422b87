package gatewaytest

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sullae/sullae/coordinator/gateway"
)

// The byte tokenizer's ids beyond the bytes themselves, and its size.
const (
	EOS   int32 = 256
	BOS   int32 = 257
	Vocab       = 260 // two ids have no token
)

// Tokenizer has a token for each byte.
type Tokenizer struct{}

// Encode implements gateway.Tokenizer.
func (Tokenizer) Encode(text string, addSpecial bool) ([]int32, error) {
	var ids []int32
	if addSpecial && strings.HasPrefix(text, "BOS ") {
		ids = append(ids, BOS)
	}
	for i := range len(text) {
		ids = append(ids, int32(text[i]))
	}
	return ids, nil
}

// Decode implements gateway.Tokenizer.
func (t Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	d := t.NewStreamDecoder(skipSpecial)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(d.Push(id))
	}
	return b.String() + d.Flush()
}

// TokenBytes implements gateway.Tokenizer.
func (Tokenizer) TokenBytes(id int32) []byte {
	switch {
	case id == EOS:
		return []byte("[EOS]")
	case id == BOS:
		return []byte("[BOS]")
	case id < 256:
		return []byte{byte(id)}
	}
	return nil
}

// IsSpecial implements gateway.Tokenizer.
func (Tokenizer) IsSpecial(id int32) bool { return id >= 256 }

// NewStreamDecoder implements gateway.Tokenizer.
func (Tokenizer) NewStreamDecoder(skipSpecial bool) gateway.StreamDecoder {
	return &decoder{skip: skipSpecial}
}

type decoder struct {
	skip bool
	held []byte
}

func (d *decoder) Push(id int32) string {
	if id >= 256 {
		if d.skip {
			return ""
		}
		return d.Flush() + string(Tokenizer{}.TokenBytes(id))
	}
	d.held = append(d.held, byte(id))
	var out strings.Builder
	for len(d.held) > 0 && utf8.FullRune(d.held) {
		r, n := utf8.DecodeRune(d.held)
		out.WriteRune(r)
		d.held = d.held[n:]
	}
	return out.String()
}

func (d *decoder) Flush() string {
	if len(d.held) == 0 {
		return ""
	}
	d.held = nil
	return "\uFFFD"
}

// Template writes "tool name;" for each tool and "role:content;" for each message,
// with "call id name arguments;" for each of its calls. It refuses the role "bad".
type Template struct{}

// Render implements gateway.Template.
func (Template) Render(c gateway.Chat, addGenerationPrompt bool) (string, error) {
	var b strings.Builder
	for _, t := range c.Tools {
		b.WriteString("tool " + t.Name + ";")
	}
	for _, m := range c.Messages {
		if m.Role == "bad" {
			return "", errors.New("the role bad is unknown")
		}
		b.WriteString(m.Role + ":" + m.Content + ";")
		for _, call := range m.ToolCalls {
			b.WriteString("call " + call.ID + " " + call.Name + " " + call.Arguments + ";")
		}
	}
	if addGenerationPrompt {
		b.WriteString("assistant:")
	}
	return b.String(), nil
}

// Model is a model with the byte tokenizer and a context of 1000.
func Model() gateway.Model {
	return gateway.Model{
		Name: "tiny", Architecture: "ExaoneForCausalLM", Created: time.Unix(1_700_000_000, 0),
		MaxLen: 1000, Vocab: Vocab, EOS: []int32{EOS}, Tokenizer: Tokenizer{}, Template: Template{},
	}
}
