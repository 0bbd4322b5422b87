package client

import (
	"context"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// Completion is a whole answer.
type Completion struct {
	RequestID string
	Prompt    *sullaev1.PromptInfo
	Choices   []Choice // by index
}

// Choice is one whole continuation.
type Choice struct {
	Text      string
	ToolCalls []*sullaev1.ToolCall
	TokenIDs  []int32
	Logprobs  []*sullaev1.TokenLogprob
	Finish    *sullaev1.Finish
}

// Complete is Generate, collected.
func (c *Client) Complete(ctx context.Context, req *sullaev1.GenerateRequest) (*Completion, error) {
	s, err := c.Generate(ctx, req)
	if err != nil {
		return nil, err
	}
	return collect(s)
}

// CompleteChat is Chat, collected.
func (c *Client) CompleteChat(ctx context.Context, req *sullaev1.ChatRequest) (*Completion, error) {
	s, err := c.Chat(ctx, req)
	if err != nil {
		return nil, err
	}
	return collect(s)
}

func collect(s *Stream) (*Completion, error) {
	out := &Completion{}
	for d, err := range s.All() {
		if err != nil {
			return nil, err
		}
		for int(d.GetIndex()) >= len(out.Choices) {
			out.Choices = append(out.Choices, Choice{})
		}
		c := &out.Choices[d.GetIndex()]
		c.Text += d.GetText()
		for _, p := range d.GetToolCalls() {
			for int(p.GetIndex()) >= len(c.ToolCalls) {
				c.ToolCalls = append(c.ToolCalls, &sullaev1.ToolCall{Id: p.GetId(), Name: p.GetName()})
			}
			c.ToolCalls[p.GetIndex()].Arguments += p.GetArguments()
		}
		c.TokenIDs = append(c.TokenIDs, d.GetTokenIds()...)
		c.Logprobs = append(c.Logprobs, d.GetLogprobs()...)
		if d.GetFinish() != nil {
			c.Finish = d.GetFinish()
		}
	}
	out.RequestID, out.Prompt = s.RequestID(), s.Prompt()
	return out, nil
}
