package policy

import (
	"context"
	"fmt"

	"github.com/sullae/sullae/coordinator/gateway"
	policyv1 "github.com/sullae/sullae/proto/sullae/policy/v1"
)

// CheckInput implements gateway.Policy.
func (c *Client) CheckInput(ctx context.Context, s gateway.PolicySubject, prompts []gateway.Prompt) ([]gateway.Prompt, error) {
	req := &policyv1.CheckInputRequest{RequestId: s.RequestID, Caller: s.Caller, Model: s.Model}
	for _, p := range prompts {
		req.Inputs = append(req.Inputs, inputOf(p))
	}
	var resp *policyv1.CheckInputResponse
	v, err := c.call(ctx, "input", s.RequestID, func(ctx context.Context) (v policyv1.Verdict, err error) {
		resp, err = c.api.CheckInput(ctx, req)
		return resp.GetVerdict(), err
	})
	switch {
	case err != nil:
		return nil, err
	case v == policyv1.Verdict_VERDICT_REFUSE:
		return nil, &gateway.PolicyError{Reason: resp.GetReason()}
	case v == policyv1.Verdict_VERDICT_REDACT:
		return redact(prompts, resp.GetInputs())
	}
	return prompts, nil
}

func inputOf(p gateway.Prompt) *policyv1.Input {
	in := &policyv1.Input{}
	switch p := p.(type) {
	case gateway.Text:
		in.Text = string(p)
	case gateway.Chat:
		for _, m := range p.Messages {
			in.Messages = append(in.Messages, &policyv1.Message{Role: m.Role, Content: m.Content})
		}
	}
	return in
}

// redact puts replacements in the prompts' place. One that does not fit is an
// error: what it was meant to hide must not pass.
func redact(prompts []gateway.Prompt, inputs []*policyv1.Input) ([]gateway.Prompt, error) {
	if len(inputs) != len(prompts) {
		return nil, fmt.Errorf("the policy service redacted %d inputs of %d", len(inputs), len(prompts))
	}
	out := make([]gateway.Prompt, len(prompts))
	for i, p := range prompts {
		chat, ok := p.(gateway.Chat)
		if !ok {
			out[i] = gateway.Text(inputs[i].GetText())
			continue
		}
		if len(inputs[i].GetMessages()) != len(chat.Messages) {
			return nil, fmt.Errorf("the policy service redacted %d messages of %d", len(inputs[i].GetMessages()), len(chat.Messages))
		}
		messages := make([]gateway.Message, len(chat.Messages))
		for j, m := range chat.Messages {
			m.Content = inputs[i].Messages[j].GetContent()
			messages[j] = m
		}
		chat.Messages = messages
		out[i] = chat
	}
	return out, nil
}

// CheckOutput implements gateway.Policy.
func (c *Client) CheckOutput(ctx context.Context, s gateway.PolicySubject, w gateway.PolicyWindow) (gateway.PolicyVerdict, error) {
	var resp *policyv1.CheckOutputResponse
	v, err := c.call(ctx, "output", s.RequestID, func(ctx context.Context) (v policyv1.Verdict, err error) {
		resp, err = c.api.CheckOutput(ctx, &policyv1.CheckOutputRequest{RequestId: s.RequestID, Caller: s.Caller, Model: s.Model,
			Index: int32(w.Index), Released: w.Released, Held: w.Held, Final: w.Final})
		return resp.GetVerdict(), err
	})
	return gateway.PolicyVerdict{
		Refuse: v == policyv1.Verdict_VERDICT_REFUSE, Redact: v == policyv1.Verdict_VERDICT_REDACT,
		Replacement: resp.GetReplacement(), Keep: int(resp.GetKeep()),
	}, err
}
