package openai

import (
	"encoding/json"
	"io"

	"github.com/sullae/sullae/coordinator/gateway"
)

// chatBuilder turns a Stream's items into a chat completion, or its chunks.
type chatBuilder struct {
	h     *handler
	req   *chatRequest
	n     int
	head  chatCompletion
	usage usage
}

func (b *chatBuilder) collect(st *gateway.Stream) (chatCompletion, error) {
	out := b.head
	out.Choices = make([]chatChoice, b.n)
	tokens := make([][]gateway.TokenLogprob, b.n)
	for {
		it, err := st.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return out, err
		}
		b.usage.add(it)
		if info := it.Prompt; info != nil {
			if b.req.returnIDs {
				out.PromptTokenIDs = &info.TokenIDs
			}
			if b.req.promptScores {
				out.PromptLogprobs = promptScores(info)
			}
			for i := range out.Choices {
				out.Choices[i] = b.begin(i)
				out.Choices[i].Message = &chatMessage{Role: "assistant", Content: new(string)}
			}
			continue
		}
		d := it.Delta
		c := &out.Choices[d.Index]
		*c.Message.Content += d.Text
		addToolCalls(c.Message, d.ToolCalls)
		tokens[d.Index] = append(tokens[d.Index], d.Logprobs...)
		b.end(c, d)
	}
	for i := range out.Choices {
		c := &out.Choices[i]
		if b.req.Output.Logprobs != nil {
			c.Logprobs = b.h.chatLogprobs(tokens[i])
		}
		if m := c.Message; len(m.ToolCalls) > 0 && *m.Content == "" {
			m.Content = nil
		}
	}
	out.Usage, _ = marshal(b.usage)
	return out, nil
}

func (b *chatBuilder) begin(index int) chatChoice {
	c := chatChoice{Index: index}
	if b.req.returnIDs {
		c.TokenIDs = &[]int32{}
	}
	return c
}

func (b *chatBuilder) end(c *chatChoice, d *gateway.Delta) {
	if c.TokenIDs != nil {
		*c.TokenIDs = append(*c.TokenIDs, d.TokenIDs...)
	}
	c.FinishReason, c.StopReason = ending(d.Finish)
}

// chunks: a choice's first chunk names the role; its last one's delta is empty
// if no text is left.
func (b *chatBuilder) chunks(it gateway.Item) []any {
	b.usage.add(it)
	if info := it.Prompt; info != nil {
		var out []any
		for i := range b.n {
			c := b.begin(i)
			c.Delta = &chatDelta{Role: "assistant", Content: new(string)}
			chunk := b.chunk(c)
			if b.req.returnIDs {
				chunk.PromptTokenIDs = &info.TokenIDs
			}
			out = append(out, chunk)
		}
		return out
	}
	d := it.Delta
	if d.Text == "" && d.ToolCalls == nil && d.Finish == nil && d.Logprobs == nil && !b.req.returnIDs {
		return nil // half a character, or what may begin a stop string
	}
	c := b.begin(d.Index)
	c.Delta = &chatDelta{}
	for _, p := range d.ToolCalls {
		c.Delta.ToolCalls = append(c.Delta.ToolCalls, wireToolCall(p, true))
	}
	if d.Text != "" || d.Finish == nil && d.ToolCalls == nil {
		c.Delta.Content = &d.Text
	}
	if d.Logprobs != nil {
		c.Logprobs = b.h.chatLogprobs(d.Logprobs)
	}
	b.end(&c, d)
	return []any{b.chunk(c)}
}

func (b *chatBuilder) chunk(c chatChoice) chatCompletion {
	out := b.head
	out.Choices = []chatChoice{c}
	if b.req.includeUsage {
		out.Usage = json.RawMessage("null")
	}
	return out
}

func (b *chatBuilder) usageChunk() any {
	if !b.req.includeUsage {
		return nil
	}
	out := b.head
	out.Choices = []chatChoice{}
	out.Usage, _ = marshal(b.usage)
	return out
}
