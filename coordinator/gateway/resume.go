package gateway

import "slices"

// A broken stream is resumed by computing prompt and tokens so far as one
// prompt: the tokens that follow are the same, bit for bit, so nothing has to be
// remembered here.

// checkResume refuses what cannot be the continuation of an earlier request.
func (s *Service) checkResume(p *plan, r Request) error {
	if r.Resume == nil {
		return nil
	}
	if n := len(p.prompts) * p.n; len(r.Resume) != n {
		return fieldErr("resume", "has %d choices, the request has %d", len(r.Resume), n)
	}
	if p.sampling.Temperature > 0 && r.Sampling.Seed == nil {
		return fieldErr("resume", "needs the seed that the first response told")
	}
	for i, c := range r.Resume {
		if err := s.validIDs("resume", c.TokenIDs); err != nil {
			return err
		}
		if most := p.prompts[i/p.n].maxTokens; len(c.TokenIDs) > most {
			return fieldErr("resume", "choice %d has %d tokens, more than max_tokens, %d", i, len(c.TokenIDs), most)
		}
	}
	p.promptLogprobs = -1 // the client has them
	p.resume = r.Resume
	return nil
}

// resume brings a choice to where the client is. early is the choice's last
// delta where nothing is left to compute.
func (c *choice) resume(had Resumed) (early *Delta, err error) {
	c.seq.PromptLen = len(c.seq.Prompt)
	c.seq.Prompt = append(c.seq.Prompt[:len(c.seq.Prompt):len(c.seq.Prompt)], had.TokenIDs...)
	c.seq.MaxTokens -= len(had.TokenIDs)
	d, stop := &Delta{Index: c.seq.Index}, ""
	for _, id := range had.TokenIDs {
		c.generated++
		if g := c.seq.Constraint; g != nil && !g.Accept(id) {
			return nil, fieldErr("resume", "choice %d: token %d does not follow the structure", c.seq.Index, id)
		}
		var out string
		out, stop = c.decode(id)
		d.Text += out
		if stop != "" {
			break
		}
	}
	switch {
	case stop != "":
		d.Finish = &Finish{Reason: FinishStop, StopString: stop}
	case c.seq.MaxTokens == 0:
		d.Finish = c.finish(d, Event{Finish: FinishLength})
	}
	c.readCalls(d)
	if err := had.leaveOut(d); err != nil {
		return nil, err
	}
	if d.Finish == nil {
		c.pending = d
		return nil, nil
	}
	d.Finish.CompletionTokens = c.generated
	return d, nil
}

// leaveOut takes from a delta, the first of its choice, what the client has.
func (had Resumed) leaveOut(d *Delta) error {
	if len(d.Text) < had.TextBytes {
		return fieldErr("resume", "choice %d: %d bytes of text were received, but its tokens make %d", d.Index, had.TextBytes, len(d.Text))
	}
	d.Text = d.Text[had.TextBytes:]
	var rest []ToolCallPiece
	left := slices.Clone(had.ArgumentBytes)
	for _, p := range d.ToolCalls {
		if p.Index < len(left) {
			n := min(left[p.Index], len(p.Arguments))
			left[p.Index] -= n
			p.ID, p.Name, p.Arguments = "", "", p.Arguments[n:]
			if p.Arguments == "" {
				continue
			}
		}
		rest = append(rest, p)
	}
	if slices.Max(append(left, 0)) > 0 {
		return fieldErr("resume", "choice %d: more of its calls was received than its tokens make", d.Index)
	}
	d.ToolCalls = rest
	return nil
}
